"""A run from one store into another: every row as it is, under the other store's numbers."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, insert, or_, select, update

from lab.store import tables
from lab.store.database import database_of
from lab.store.runs import run_number
from lab.store.statements import column_names
from lab.store.store import Store
from lab.store.writer import insert_first_columns, name_ids, reserve_label_ids

WHOLE = (
    tables.origins,
    tables.pulses,
    tables.step_summaries,
    tables.evaluations,
    tables.checkpoints,
)
"""Tables whose rows of a run are copied with nothing but the run's number changed."""
TRANSLATED = (
    tables.runs,
    tables.datasets,
    tables.images,
    tables.truths,
    tables.scalar_names,
    tables.scalars,
    tables.latest_scalars,
    tables.label_sets,
    tables.labels,
    tables.label_masks,
    tables.events,
)
"""Tables in which more numbers than the run's belong to the store."""
LEFT_BEHIND = (tables.jobs, tables.workers, tables.asks, tables.counters)
"""The business of one store: its queue and its counters."""

ROWS_PER_TRANSACTION = 5_000
SETS_PER_TRANSACTION = 200
UNFINISHED = "its import did not finish: import the file again"
"""Error of a run that is being copied; only the last transaction makes it what it was."""


def copy_run(source: Store, target: Store, run_id: str) -> None:
    """Copy all rows of a run, in short transactions; `target` must not have it.

    A copy that is interrupted leaves a failed run whose error is UNFINISHED.
    """
    with source.reading() as reader:
        run = run_number(reader, run_id)
        row = _run_row(reader, run)
        datasets = {
            name: _copy_dataset(reader, target, row[name])
            for name in ("train_dataset_id", "val_dataset_id")
        }
        started = {**row, **datasets, "status": "failed", "error": UNFINISHED}
        del started["run"]
        with target.writing() as writer:
            added = insert(tables.runs).values(started).returning(tables.runs.c.run)
            new = writer.execute(added).scalar_one()
        _copy_scalars(reader, target, run, new)
        _copy_labels(reader, target, run, new)
        for table in (*WHOLE, tables.events):
            _copy_whole(reader, target, table, run, new)
        with target.writing() as writer:
            ended = update(tables.runs).where(tables.runs.c.run == new)
            writer.execute(ended.values(status=row["status"], error=row["error"]))


def is_unfinished(store: Store, run_id: str) -> bool:
    """Whether the run is a copy that was interrupted, or is going on."""
    with store.reading() as connection:
        return _run_row(connection, run_number(connection, run_id))["error"] == UNFINISHED


def run_digest(store: Store, run_id: str) -> str:
    """Equal for runs with equal rows, whatever their numbers in the store are. SHA-256.

    The values are Python's, so that it is equal on SQLite and PostgreSQL.
    """
    digest = hashlib.sha256()
    with store.reading() as connection:
        run = run_number(connection, run_id)
        row = _run_row(connection, run)
        for name in ("run", "train_dataset_id", "val_dataset_id"):
            del row[name]
        digest.update(repr(row).encode())
        for query in _content(run):
            digest.update(b"\n")
            options = {"yield_per": ROWS_PER_TRANSACTION}
            for part in connection.execute(query, execution_options=options):
                digest.update(repr(tuple(part)).encode())
    return digest.hexdigest()


def _content(run: int) -> Iterator[Select]:
    """Queries that answer what a run holds, in an order of its own, without the store's numbers."""
    for table in (*WHOLE, tables.events):
        columns = _without(table, "run", "event_id")
        order = [column for column in table.primary_key if column.name != "run"]
        yield select(*columns).where(table.c.run == run).order_by(*order)
    names = tables.scalar_names
    for table in (tables.scalars, tables.latest_scalars):
        named = select(names.c.name, table.c.step, table.c.value)
        joined = named.join(names, names.c.name_id == table.c.name_id).where(table.c.run == run)
        yield joined.order_by(names.c.name, table.c.step)
    sets, labels = tables.label_sets, tables.labels
    place = (sets.c.source, sets.c.step, sets.c.image_id)
    own = _without(sets, "run", "first_label_id")
    yield select(*own).where(sets.c.run == run).order_by(*place)
    yield _masks_of(run)
    own = _without(labels, "run", "label_id")
    place = (labels.c.source, labels.c.step, labels.c.image_id, labels.c.position)
    yield select(*own).where(labels.c.run == run).order_by(*place)
    yield _datasets_of(run)


def _masks_of(run: int) -> Select:
    """Masks in the order of the sets and labels that they belong to."""
    sets, masks = tables.label_sets.c, tables.label_masks.c
    last = sets.first_label_id + sets.candidates - 1
    nth = masks.label_id - sets.first_label_id
    return (
        select(nth, masks.height, masks.width, masks.counts)
        .join_from(
            tables.label_sets,
            tables.label_masks,
            masks.label_id.between(sets.first_label_id, last),
        )
        .where(sets.run == run)
        .order_by(sets.source, sets.step, sets.image_id, masks.label_id)
    )


def _datasets_of(run: int) -> Select:
    runs, datasets = tables.runs.c, tables.datasets.c
    is_its = or_(
        datasets.dataset_id == runs.train_dataset_id, datasets.dataset_id == runs.val_dataset_id
    )
    return (
        select(runs.train_dataset_id.is_(None), datasets.content_key)
        .join_from(tables.runs, tables.datasets, is_its, isouter=True)
        .where(runs.run == run)
        .order_by(datasets.content_key)
    )


def _without(table: Table, *names: str) -> list[ColumnElement[Any]]:
    return [column for column in table.columns if column.name not in names]


def _run_row(connection: Connection, run: int) -> dict[str, Any]:
    """The run's row by column name."""
    query = select(tables.runs).where(tables.runs.c.run == run)
    return dict(connection.execute(query).mappings().one())


def _copy_dataset(reader: Connection, target: Store, dataset_id: int | None) -> int | None:
    """The dataset's number in `target`, where it is written unless the same content is there."""
    if dataset_id is None:
        return None
    datasets = tables.datasets
    found = reader.execute(select(datasets).where(datasets.c.dataset_id == dataset_id))
    row = dict(found.mappings().one())
    del row["dataset_id"]
    known = select(datasets.c.dataset_id).where(datasets.c.content_key == row["content_key"])
    with target.writing() as writer:
        there = writer.scalar(known)
        if there is not None:
            return there
        added = insert(datasets).values(row).returning(datasets.c.dataset_id)
        new = writer.execute(added).scalar_one()
        for table in (tables.images, tables.truths):
            columns = [name for name in column_names(table) if name != "truth"]
            for rows in _rows(reader, table, table.c.dataset_id == dataset_id, names=columns):
                moved = _replaced(columns, rows, {"dataset_id": new})
                database_of(writer).insert(writer, table, columns, moved)
    return new


def _copy_whole(reader: Connection, target: Store, table: Table, run: int, new: int) -> None:
    """Few rows, some with JSON in them."""
    query = select(*_without(table, "event_id")).where(table.c.run == run)
    found = reader.execute(query.order_by(*table.primary_key)).mappings()
    for rows in found.partitions(ROWS_PER_TRANSACTION):
        with target.appending() as writer:
            writer.execute(insert(table), [{**row, "run": new} for row in rows])


def _copy_scalars(reader: Connection, target: Store, run: int, new: int) -> None:
    known, latest = tables.scalar_names.c, tables.latest_scalars.c
    recorded = (
        select(known.name_id, known.name)
        .join(tables.latest_scalars, latest.name_id == known.name_id)
        .where(latest.run == run)
    )
    names: dict[int, str] = {name_id: name for name_id, name in reader.execute(recorded)}
    with target.appending() as writer:
        numbers = name_ids(writer, set(names.values()))
    for table in (tables.scalars, tables.latest_scalars):
        for rows in _rows(reader, table, table.c.run == run):
            with target.appending() as writer:
                translated = [(new, numbers[names[row[1]]], *row[2:]) for row in rows]
                insert_first_columns(writer, table, translated)


def _copy_labels(reader: Connection, target: Store, run: int, new: int) -> None:
    """Label sets with their labels and masks, under label numbers that `target` gives out."""
    sets = tables.label_sets
    columns = column_names(sets)
    first, count = columns.index("first_label_id"), columns.index("candidates")
    # A set without labels has the first number of the next one: it comes before it.
    query = select(sets).where(sets.c.run == run).order_by(sets.c.first_label_id, sets.c.candidates)
    found = reader.execute(query, execution_options={"yield_per": SETS_PER_TRANSACTION})
    for rows in found.partitions():
        spans = [(row[first], row[count]) for row in rows]
        with target.appending() as writer:
            moved = _Moved(spans, reserve_label_ids(writer, sum(size for _, size in spans)))
            for row in rows:
                changed = {"run": new, "first_label_id": moved(row[first])}
                insert_first_columns(writer, sets, _replaced(columns, [row], changed))
            _copy_labels_of(reader, writer, run, new, moved)


def _copy_labels_of(
    reader: Connection, writer: Connection, run: int, new: int, moved: _Moved
) -> None:
    """The labels of some sets and their masks."""
    labels, masks = tables.labels, tables.label_masks
    span = (labels.c.label_id.between(*moved.span), labels.c.run == run)
    for rows in _rows(reader, labels, *span):
        renamed = [(moved(one[0]), new, *one[2:]) for one in rows]
        insert_first_columns(writer, labels, renamed)
    for rows in _rows(reader, masks, masks.c.label_id.between(*moved.span)):
        mine = [(moved(one[0]), *one[1:]) for one in rows if moved.knows(one[0])]
        insert_first_columns(writer, masks, mine)


class _Moved:
    """Label numbers of some sets, (first, count) rising, under numbers that begin elsewhere."""

    def __init__(self, spans: Sequence[tuple[int, int]], begin: int) -> None:
        self._spans = spans
        self._firsts = [first for first, _ in spans]
        self._starts = list(accumulate((count for _, count in spans), initial=begin))
        self.span = (spans[0][0], sum(spans[-1]) - 1)
        """The first and the last of the old numbers."""

    def __call__(self, label_id: int) -> int:
        index = bisect_right(self._firsts, label_id) - 1
        return self._starts[index] + label_id - self._firsts[index]

    def knows(self, label_id: int) -> bool:
        first, count = self._spans[bisect_right(self._firsts, label_id) - 1]
        return first <= label_id < first + count


def _rows(
    reader: Connection,
    table: Table,
    *where: ColumnElement[bool],
    names: Sequence[str] | None = None,
) -> Iterator[Sequence[Sequence[Any]]]:
    """Rows in batches, in the order of their primary key; columns in the order of the table."""
    columns = [table.c[name] for name in names or column_names(table)]
    query = select(*columns).where(*where).order_by(*table.primary_key)
    found = reader.execute(query, execution_options={"yield_per": ROWS_PER_TRANSACTION})
    yield from found.partitions()


def _replaced(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], changed: Mapping[str, int]
) -> list[tuple[Any, ...]]:
    """The rows with some columns set to other values."""
    places = {columns.index(name): value for name, value in changed.items()}
    return [tuple(places.get(index, value) for index, value in enumerate(row)) for row in rows]
