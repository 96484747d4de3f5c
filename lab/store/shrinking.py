"""Making the database smaller after rows were deleted, without standing in a recorder's way."""

from __future__ import annotations

from lab.store.database import Shrunk
from lab.store.run_queries import list_runs
from lab.store.store import Store

__all__ = ["Shrunk", "shrink"]


def shrink(store: Store) -> Shrunk:
    """Give freed space back to the disk; what needs the tables for itself waits for all runs."""
    going = [run.run_id for run in list_runs(store) if run.status in ("running", "stopping")]
    return store.database.shrink(going)
