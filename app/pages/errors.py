"""Errors: what is wrong with the labels, since when, of which class, and which score knows it."""

from app.parts import frame

TITLE = "Errors"


def build() -> None:
    """The charts are drawn by static/errors.js from /lab/runs/{run}/errors."""
    frame("errors")
