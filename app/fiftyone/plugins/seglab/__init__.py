"""What FiftyOne loads of us; see app/fiftyone/operators.py and panel.py."""

from __future__ import annotations

from typing import Any

from app.fiftyone.operators import OpenCell, Refresh, Relaunch, SendSelection
from app.fiftyone.panel import Breakdown


def register(plugin: Any) -> None:
    """Called by FiftyOne when its App starts."""
    for one in (Relaunch, Refresh, OpenCell, SendSelection, Breakdown):
        plugin.register(one)
