"""What-if: what other thresholds would have kept, and how much of that is right."""

from app.parts import frame

TITLE = "What-if"


def build() -> None:
    """The plane and the sliders are drawn by static/what_if.js from /lab/runs/{run}/what-if."""
    frame("what_if")
