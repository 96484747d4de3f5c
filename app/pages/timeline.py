"""Timeline: one image through the steps: what is born, changes class, is dropped, goes."""

from app.parts import frame

TITLE = "Timeline"


def build() -> None:
    """The image and its lanes are drawn by static/timeline.js from /lab/runs/{run}/timeline."""
    frame("timeline")
