"""Labels that somebody picked out and named: events of a run."""

from __future__ import annotations

from dataclasses import dataclass

from lab.store.queries import EventRow, events
from lab.store.store import Store

SELECTION = "selection"
"""Kind of the event that says which labels somebody picked out."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Some labels of a run under a name."""

    selection_id: int
    """Of its event."""
    name: str
    label_ids: tuple[int, ...]
    created: float
    """Unix seconds."""


def selections(store: Store, run_id: str) -> list[Selection]:
    """Those of a run, oldest first."""
    return [from_event(one) for one in events(store, run_id) if one.kind == SELECTION]


def find_selection(store: Store, run_id: str, selection_id: int) -> Selection:
    """One of a run.

    Raises:
        ValueError: the run has none with this id.
    """
    found = events(store, run_id, since_id=selection_id - 1)
    if not found or found[0].event_id != selection_id or found[0].kind != SELECTION:
        raise ValueError(f"selection={selection_id}: run {run_id} has no such selection")
    return from_event(found[0])


def from_event(event: EventRow) -> Selection:
    ids = tuple(int(one) for one in event.payload["label_ids"])
    return Selection(event.event_id, str(event.payload["name"]), ids, event.created)


def labels_page(run_id: str, selection_id: int) -> str:
    """Where the dashboard shows exactly these labels."""
    return f"/labels?run={run_id}&span=0&selection={selection_id}"
