"""Data: images, splits and classes of the datasets, and what CLIP recognises in them."""

from app.parts import frame

TITLE = "Data"


def build() -> None:
    """The page is drawn by static/data.js from /lab/datasets and /lab/clip-reports."""
    frame("data")
