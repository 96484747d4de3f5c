"""Runs: which experiments exist, how far they are, how good their pseudo-labels are."""

from app.parts import frame

TITLE = "Runs"


def build() -> None:
    """The table is drawn by static/runs.js from /lab/runs."""
    frame("runs")
