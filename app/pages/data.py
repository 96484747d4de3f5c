"""Data: what CLIP recognises in a dataset, class by class."""

from app.parts import frame

TITLE = "Data"


def build() -> None:
    """The page is drawn by static/data.js from /lab/clip-reports."""
    frame("data")
