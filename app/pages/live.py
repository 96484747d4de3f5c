"""Live: one run as it goes: losses, AP, what it keeps and how right that is."""

from app.parts import frame

TITLE = "Live"


def build() -> None:
    """The curves are drawn by static/live.js from /lab/runs/{run}/live."""
    frame("live")
