"""Questions about curves: scalars, and labels counted per step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, Row, Select, Table, func, select

from lab.datasets.records import ErrorKind, LabelSource
from lab.store import tables
from lab.store.jsonable import number
from lab.store.rows import LatestScalar, Series, StepSummary
from lab.store.runs import run_number
from lab.store.store import Store

KINDS = tuple(ErrorKind)


def latest_scalars(store: Store, run_id: str) -> dict[str, LatestScalar]:
    """The newest value of every scalar of the run, by name in alphabetical order."""
    names, latest = tables.scalar_names.c, tables.latest_scalars.c
    with store.reading() as connection:
        rows = connection.execute(
            select(names.name, latest.step, latest.value)
            .join(tables.scalar_names, names.name_id == latest.name_id)
            .where(latest.run == run_number(connection, run_id))
            .order_by(names.name)
        ).all()
    return {name: LatestScalar(step, number(value)) for name, step, value in rows}


def scalar_names(store: Store, run_id: str) -> list[str]:
    """What the run has curves of, in alphabetical order."""
    return list(latest_scalars(store, run_id))


def scalar_series(
    store: Store,
    run_id: str,
    names: Sequence[str],
    *,
    since_step: int = -1,
    max_points: int = 1000,
) -> dict[str, Series]:
    """Curves by name, each thinned evenly to at most `max_points`, those after `since_step` only.

    The last point is always there, so that a curve ends where the run is now. A name that the
    run never recorded gives an empty series.
    """
    with store.reading() as connection:
        run = run_number(connection, run_id)
        return {name: _series(connection, run, name, since_step, max_points) for name in names}


def step_summaries(
    store: Store,
    run_id: str,
    source: LabelSource = LabelSource.PSEUDO,
    *,
    since_step: int = -1,
    max_points: int = 500,
) -> list[StepSummary]:
    """The labels of each step counted, oldest first; thinned like `scalar_series`."""
    table = tables.step_summaries
    with store.reading() as connection:
        run = run_number(connection, run_id)
        places = (table.c.run == run, table.c.source == source, table.c.step > since_step)
        rows = connection.execute(_thinned(connection, table, places, max_points)).all()
    return [summary_of(row) for row in rows]


def label_steps(
    store: Store, run_id: str, source: LabelSource = LabelSource.PSEUDO
) -> NDArray[np.int64]:
    """The steps at which labels of this source were recorded, ascending."""
    steps = tables.step_summaries.c
    with store.reading() as connection:
        run = run_number(connection, run_id)
        found = connection.scalars(
            select(steps.step).where(steps.run == run, steps.source == source).order_by(steps.step)
        ).all()
    return np.array(found, np.int64)


def last_summaries(
    store: Store, run_id: str, count: int, source: LabelSource = LabelSource.PSEUDO
) -> list[StepSummary]:
    """The newest `count` recorded steps counted, oldest first; none is left out between them."""
    table = tables.step_summaries
    with store.reading() as connection:
        rows = connection.execute(
            select(table)
            .where(table.c.run == run_number(connection, run_id), table.c.source == source)
            .order_by(table.c.step.desc())
            .limit(count)
        ).all()
    return [summary_of(row) for row in reversed(rows)]


def _series(
    connection: Connection, run: int, name: str, since_step: int, max_points: int
) -> Series:
    table = tables.scalars
    name_id = connection.scalar(
        select(tables.scalar_names.c.name_id).where(tables.scalar_names.c.name == name)
    )
    places = (table.c.run == run, table.c.name_id == name_id, table.c.step > since_step)
    rows = connection.execute(_thinned(connection, table, places, max_points)).all()
    return Series(
        np.array([row.step for row in rows], np.int64),
        np.array([number(row.value) for row in rows], np.float64),
    )


def _thinned(
    connection: Connection, table: Table, places: tuple[ColumnElement[bool], ...], max_points: int
) -> Select:
    """Every k-th row by step and the last one, k the smallest that gives `max_points` or fewer."""
    if max_points < 1:
        raise ValueError(f"max_points {max_points}: expected 1 or more")
    total = connection.scalar(select(func.count()).select_from(table).where(*places)) or 0
    if total <= max_points:
        return select(table).where(*places).order_by(table.c.step)
    stride = -(-total // max_points)
    nth = func.row_number().over(order_by=table.c.step).label("nth")
    numbered = select(table, nth).where(*places).subquery()
    return select(numbered).where((total - numbered.c.nth) % stride == 0).order_by(numbered.c.step)


def summary_of(row: Row) -> StepSummary:
    """A row of the table `step_summaries`; columns after the table's own are passed over."""
    _, _, step, images, candidates, kept, kept_right, truths, found, *kinds = row
    return StepSummary(
        step=step,
        images=images,
        candidates=candidates,
        kept=kept,
        kept_right=kept_right,
        truths=truths,
        found=found,
        all_kinds=dict(zip(KINDS, kinds[: len(KINDS)], strict=True)),
        kept_kinds=dict(zip(KINDS, kinds[len(KINDS) : 2 * len(KINDS)], strict=True)),
    )
