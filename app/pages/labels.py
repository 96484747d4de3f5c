"""Labels: what the teacher believed at one step, mask by mask, and why it was dropped."""

from app.parts import frame

TITLE = "Labels"


def build() -> None:
    """The gallery is drawn by static/labels.js from /lab/runs/{run}/labels."""
    frame("labels")
