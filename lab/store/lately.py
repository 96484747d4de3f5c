"""How a run keeps pseudo-labels lately: one window for every table, tile and page."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Row, Select, func, select

from lab.datasets.records import LabelSource
from lab.store.rows import Lately, ratio
from lab.store.tables import runs, step_summaries

LATELY_STEPS = 50
"""Recorded steps that "lately" means: one step of a few images says little about a run."""
COUNTS = ("images", "kept", "kept_cor", "kept_unknown", "kept_ignored", "truths", "found")


def kept_lately(connection: Connection, numbers: Sequence[int]) -> dict[int, Lately]:
    """run -> what it kept in its last LATELY_STEPS recorded steps; runs without any are absent.

    Reads those rows alone, by the primary key: the length of the runs does not matter.
    """
    return {row.run: _lately(row) for row in connection.execute(_sums(numbers))}


def _sums(numbers: Sequence[int]) -> Select:
    table, earlier = step_summaries.c, step_summaries.alias("earlier")
    first = (
        select(earlier.c.step)
        .where(earlier.c.run == runs.c.run, earlier.c.source == int(LabelSource.PSEUDO))
        .order_by(earlier.c.step.desc())
        .limit(1)
        .offset(LATELY_STEPS - 1)
        .scalar_subquery()
    )
    windows = (
        select(runs.c.run, func.coalesce(first, 0).label("first"))
        .where(runs.c.run.in_(numbers))
        .subquery()
    )
    return (
        select(
            table.run,
            func.min(table.step).label("first_step"),
            func.max(table.step).label("last_step"),
            func.count().label("steps"),
            *(func.sum(table[name]).label(name) for name in COUNTS),
        )
        .join(windows, (table.run == windows.c.run) & (table.step >= windows.c.first))
        .where(table.source == int(LabelSource.PSEUDO))
        .group_by(table.run)
    )


def _lately(row: Row) -> Lately:
    kept = int(row.kept)
    judged = kept - int(row.kept_unknown) - int(row.kept_ignored)
    return Lately(
        first_step=row.first_step,
        last_step=row.last_step,
        steps=row.steps,
        images=int(row.images),
        kept=kept,
        kept_per_image=ratio(kept, int(row.images)),
        precision=ratio(int(row.kept_cor), judged),
        recall=ratio(int(row.found), int(row.truths)),
    )
