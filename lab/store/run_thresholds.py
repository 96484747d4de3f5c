"""The thresholds of runs whose code is not ours, in the place where ours have them."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select, update

from lab.store.runs import run_number
from lab.store.store import Store
from lab.store.tables import runs


def note_thresholds(store: Store, run_id: str, thresholds: Mapping[str, float]) -> None:
    """Write them into the `method` of the run's config, such as {"class_threshold": 0.7}."""
    with store.writing() as connection:
        run = run_number(connection, run_id)
        config = connection.scalar(select(runs.c.config).where(runs.c.run == run)) or {}
        method = {**config.get("method", {}), **thresholds}
        changed = update(runs).where(runs.c.run == run)
        connection.execute(changed.values(config={**config, "method": method}))
