"""Questions about what happened in all runs at once."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select

from lab.store import tables
from lab.store.rows import EventRow
from lab.store.store import Store


def events_by_run(store: Store, kinds: Collection[str]) -> dict[str, list[EventRow]]:
    """Events of these kinds by run id, oldest first; runs without any are absent."""
    table, runs = tables.events.c, tables.runs.c
    query = (
        select(runs.run_id, table.event_id, table.step, table.kind, table.payload, table.created)
        .join(tables.runs, runs.run == table.run)
        .where(table.kind.in_(kinds))
        .order_by(table.event_id)
    )
    found: dict[str, list[EventRow]] = {}
    with store.reading() as connection:
        for run_id, *event in connection.execute(query):
            found.setdefault(run_id, []).append(EventRow(*event))
    return found
