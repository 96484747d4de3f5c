"""Data: what a run's datasets hold, what is wrong with them, and what CLIP makes of them."""

from app.parts import frame

TITLE = "Data"


def build() -> None:
    """Drawn by static/data.js from /lab/runs/{run}/data and /lab/clip-reports."""
    frame("data")
