"""A run from one store into another: every row as it is, under the other store's numbers."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from sqlalchemy import Connection, Table

from lab.store import tables
from lab.store.runs import run_number
from lab.store.statements import insert_sql
from lab.store.store import Store
from lab.store.writer import name_ids, reserve_label_ids

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
        started = {**row, **datasets, "status": "failed", "error": UNFINISHED, "run": None}
        with target.writing() as writer:
            _insert(writer, tables.runs, [tuple(started.values())])
            new = run_number(writer, run_id)
        _copy_scalars(reader, target, run, new)
        _copy_labels(reader, target, run, new)
        for table in (*WHOLE, tables.events):
            _copy_whole(reader, target, table, run, new)
        with target.writing() as writer:
            writer.exec_driver_sql(
                "UPDATE runs SET status = ?, error = ? WHERE run = ?",
                (row["status"], row["error"], new),
            )


def is_unfinished(store: Store, run_id: str) -> bool:
    """Whether the run is a copy that was interrupted, or is going on."""
    with store.reading() as connection:
        return _run_row(connection, run_number(connection, run_id))["error"] == UNFINISHED


def run_digest(store: Store, run_id: str) -> str:
    """Equal for runs with equal rows, whatever their numbers in the store are. SHA-256."""
    digest = hashlib.sha256()
    with store.reading() as connection:
        run = run_number(connection, run_id)
        row = _run_row(connection, run)
        for name in ("run", "train_dataset_id", "val_dataset_id"):
            del row[name]
        digest.update(repr(row).encode())
        for query in _content(run):
            digest.update(b"\n")
            for part in connection.exec_driver_sql(query).yield_per(ROWS_PER_TRANSACTION):
                digest.update(repr(tuple(part)).encode())
    return digest.hexdigest()


def _content(run: int) -> Iterator[str]:
    """Queries that answer what a run holds, in an order of its own, without the store's numbers."""
    for table in (*WHOLE, tables.events):
        names = [c.name for c in table.columns if c.name not in ("run", "event_id")]
        order = "event_id" if table is tables.events else ", ".join(names[:4])
        yield f"SELECT {', '.join(names)} FROM {table.name} WHERE run = {run} ORDER BY {order}"
    for table in (tables.scalars, tables.latest_scalars):
        yield (
            f"SELECT n.name, s.step, s.value FROM {table.name} AS s JOIN scalar_names AS n "
            f"ON n.name_id = s.name_id WHERE s.run = {run} ORDER BY n.name, s.step"
        )
    sets = [c.name for c in tables.label_sets.columns if c.name not in ("run", "first_label_id")]
    place = "source, step, image_id"
    yield f"SELECT {', '.join(sets)} FROM label_sets WHERE run = {run} ORDER BY {place}"
    yield (
        "SELECT m.label_id - s.first_label_id, m.height, m.width, m.counts FROM label_sets AS s "
        "CROSS JOIN label_masks AS m ON m.label_id BETWEEN s.first_label_id "
        f"AND s.first_label_id + s.candidates - 1 WHERE s.run = {run} ORDER BY {place}, m.label_id"
    )
    labels = [c.name for c in tables.labels.columns if c.name not in ("run", "label_id")]
    yield (f"SELECT {', '.join(labels)} FROM labels WHERE run = {run} ORDER BY {place}, position")
    yield (
        "SELECT r.train_dataset_id IS NULL, d.content_key FROM runs AS r LEFT JOIN datasets AS d "
        f"ON d.dataset_id IN (r.train_dataset_id, r.val_dataset_id) WHERE r.run = {run} ORDER BY 2"
    )


def _run_row(connection: Connection, run: int) -> dict[str, Any]:
    """The run's row as it is stored, by column name."""
    names = _names(tables.runs)
    query = f"SELECT {', '.join(names)} FROM runs WHERE run = ?"
    return dict(zip(names, connection.exec_driver_sql(query, (run,)).one(), strict=True))


def _copy_dataset(reader: Connection, target: Store, dataset_id: int | None) -> int | None:
    """The dataset's number in `target`, where it is written unless the same content is there."""
    if dataset_id is None:
        return None
    names = _names(tables.datasets)
    query = f"SELECT {', '.join(names)} FROM datasets WHERE dataset_id = ?"
    row = reader.exec_driver_sql(query, (dataset_id,)).one()
    key = row[names.index("content_key")]
    find = "SELECT dataset_id FROM datasets WHERE content_key = ?"
    with target.writing() as writer:
        known = writer.exec_driver_sql(find, (key,)).scalar()
        if known is not None:
            return known
        _insert(writer, tables.datasets, [(None, *row[1:])])
        new = writer.exec_driver_sql(find, (key,)).scalar_one()
        for table, changed in (
            (tables.images, {"dataset_id": new}),
            (tables.truths, {"dataset_id": new, "truth": None}),
        ):
            order = ", ".join(column.name for column in table.primary_key)
            found = _rows(reader, table, f"dataset_id = {dataset_id} ORDER BY {order}")
            for rows in found:
                _insert(writer, table, _replaced(table, rows, changed))
    return new


def _copy_whole(reader: Connection, target: Store, table: Table, run: int, new: int) -> None:
    changed: dict[str, int | None] = {"run": new}
    if table is tables.events:
        changed["event_id"] = None
    order = ", ".join(column.name for column in table.primary_key)
    for rows in _rows(reader, table, f"run = {run} ORDER BY {order}"):
        with target.writing() as writer:
            _insert(writer, table, _replaced(table, rows, changed))


def _copy_scalars(reader: Connection, target: Store, run: int, new: int) -> None:
    names = dict(
        reader.exec_driver_sql(
            "SELECT n.name_id, n.name FROM scalar_names AS n JOIN latest_scalars AS s "
            "ON s.name_id = n.name_id WHERE s.run = ?",
            (run,),
        ).all()
    )
    with target.writing() as writer:
        numbers = name_ids(writer, set(names.values()))
    for table in (tables.scalars, tables.latest_scalars):
        for rows in _rows(reader, table, f"run = {run} ORDER BY name_id, step"):
            with target.writing() as writer:
                translated = [(new, numbers[names[row[1]]], *row[2:]) for row in rows]
                _insert(writer, table, translated)


def _copy_labels(reader: Connection, target: Store, run: int, new: int) -> None:
    """Label sets with their labels and masks, under label numbers that `target` gives out."""
    query = "SELECT rowid FROM label_sets WHERE run = ? ORDER BY first_label_id"
    numbers = reader.exec_driver_sql(query, (run,)).scalars().all()
    columns = _names(tables.label_sets)
    first, count = columns.index("first_label_id"), columns.index("candidates")
    for start in range(0, len(numbers), SETS_PER_TRANSACTION):
        listed = ", ".join(map(str, numbers[start : start + SETS_PER_TRANSACTION]))
        where = f"rowid IN ({listed}) ORDER BY first_label_id"
        sets = [row for rows in _rows(reader, tables.label_sets, where) for row in rows]
        spans = [(row[first], row[count]) for row in sets]
        with target.writing() as writer:
            moved = _Moved(spans, reserve_label_ids(writer, sum(size for _, size in spans)))
            for row in sets:
                changed = {"run": new, "first_label_id": moved(row[first])}
                _insert(writer, tables.label_sets, _replaced(tables.label_sets, [row], changed))
            where = f"label_id BETWEEN {spans[0][0]} AND {sum(spans[-1]) - 1}"
            for rows in _rows(reader, tables.labels, f"{where} AND run = {run}"):
                _insert(writer, tables.labels, [(moved(one[0]), new, *one[2:]) for one in rows])
            for rows in _rows(reader, tables.label_masks, where):
                mine = [(moved(one[0]), *one[1:]) for one in rows if moved.knows(one[0])]
                _insert(writer, tables.label_masks, mine)


class _Moved:
    """Label numbers of some sets, (first, count) rising, under numbers that begin elsewhere."""

    def __init__(self, spans: Sequence[tuple[int, int]], begin: int) -> None:
        self._spans = spans
        self._firsts = [first for first, _ in spans]
        self._starts = list(accumulate((count for _, count in spans), initial=begin))

    def __call__(self, label_id: int) -> int:
        index = bisect_right(self._firsts, label_id) - 1
        return self._starts[index] + label_id - self._firsts[index]

    def knows(self, label_id: int) -> bool:
        first, count = self._spans[bisect_right(self._firsts, label_id) - 1]
        return first <= label_id < first + count


def _rows(
    reader: Connection, table: Table, where: str, size: int = ROWS_PER_TRANSACTION
) -> Iterator[Sequence[Sequence[Any]]]:
    """Stored values as they are, in batches; columns in the order of the table."""
    query = f"SELECT {', '.join(_names(table))} FROM {table.name} WHERE {where}"
    yield from reader.exec_driver_sql(query).partitions(size)


def _replaced(
    table: Table, rows: Sequence[Sequence[Any]], changed: Mapping[str, int | None]
) -> list[tuple[Any, ...]]:
    """The rows with some columns set to other values."""
    places = {_names(table).index(name): value for name, value in changed.items()}
    return [tuple(places.get(index, value) for index, value in enumerate(row)) for row in rows]


def _insert(writer: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        writer.exec_driver_sql(insert_sql(table), list(rows))


def _names(table: Table) -> list[str]:
    return [column.name for column in table.columns]
