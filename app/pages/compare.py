"""Compare: up to four runs side by side: curves, what differs in their configs, one image."""

from app.parts import frame

TITLE = "Compare"


def build() -> None:
    """Everything is drawn by static/compare.js from /lab/compare."""
    frame("compare")
