"""What the recorder's thread writes: one batch of a run, in one transaction."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select, text, update

from lab.config import AppliedChange
from lab.datasets.records import Evaluation, LabelSource, PseudoLabels
from lab.store.asks import write_applied
from lab.store.database import Rows, database_of
from lab.store.jsonable import jsonable
from lab.store.packing import count_labels, pack, pack_boxes, placed_rows, row_values
from lab.store.runs import write_beat
from lab.store.statements import column_names, on_conflict_sql
from lab.store.tables import (
    COUNT_COLUMNS,
    checkpoints,
    counters,
    evaluations,
    events,
    label_masks,
    label_sets,
    labels,
    latest_scalars,
    scalar_names,
    scalars,
    step_summaries,
)

PLACE = "run = :run AND source = :source AND step = :step AND image_id = :image_id"

Event = tuple[int | None, str, Mapping[str, Any]]
"""Step, kind, payload."""


@dataclass(frozen=True, slots=True)
class LabelSet:
    """The labels of one image at one step, in the forms the store keeps them.

    They are made here, before a transaction begins: while one lasts, other processes wait.
    """

    step: int
    labels: PseudoLabels
    with_masks: bool
    """Whether their masks are worth keeping."""
    packed: bytes
    packed_boxes: bytes | None
    counts: tuple[int, ...]
    values: list[tuple[object, ...]]
    """What a row of `labels` holds after its id and place, of each label."""

    @classmethod
    def of(cls, step: int, labels: PseudoLabels, with_masks: bool) -> LabelSet:
        packed, boxes = pack(labels), pack_boxes(labels)
        return cls(
            step,
            labels,
            with_masks,
            packed.tobytes(),
            None if boxes is None else boxes.tobytes(),
            count_labels(labels, packed),
            row_values(packed, boxes),
        )


@dataclass
class Batch:
    """Everything that goes into one transaction. A later entry for the same place wins."""

    scalars: dict[tuple[str, int], float] = field(default_factory=dict)
    label_sets: dict[tuple[LabelSource, int, int], LabelSet] = field(default_factory=dict)
    evaluations: list[tuple[int, Evaluation]] = field(default_factory=list)
    checkpoints: list[tuple[int, Path]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    applied: list[AppliedChange] = field(default_factory=list)
    num_labels: int = 0

    def add_scalars(self, step: int, values: Mapping[str, float]) -> None:
        self.scalars.update({(name, step): float(value) for name, value in values.items()})

    def add_labels(self, made: LabelSet) -> None:
        self.label_sets[made.labels.source, made.step, made.labels.image_id] = made
        self.num_labels += len(made.labels)

    def __len__(self) -> int:
        """How many things it holds; 0 = nothing to write."""
        rows = (self.scalars, self.label_sets, self.evaluations, self.checkpoints)
        return sum(map(len, (*rows, self.events, self.applied)))


@dataclass(frozen=True, slots=True)
class RunWriter:
    """Writes batches of one run. Recording the same step again replaces what it said before."""

    run: int
    directory: Path

    def write(self, connection: Connection, batch: Batch, step: int | None) -> None:
        """Write all of the batch and a heartbeat at `step`, inside the caller's transaction."""
        now = time.time()
        if batch.scalars:
            self._write_scalars(connection, batch.scalars)
        if batch.label_sets:
            self._write_labels(connection, list(batch.label_sets.values()))
        for at, evaluation in batch.evaluations:
            self._write_evaluation(connection, at, evaluation)
        for at, path in batch.checkpoints:
            row = (self.run, at, self._stored_path(path), now)
            database_of(connection).upsert(connection, checkpoints, [row])
        for at, kind, payload in batch.events:
            connection.execute(
                insert(events).values(
                    run=self.run, step=at, kind=kind, payload=jsonable(payload), created=now
                )
            )
        for change in batch.applied:
            write_applied(connection, self.run, change, now)
        write_beat(connection, self.run, step, now)

    def _write_scalars(
        self, connection: Connection, values: Mapping[tuple[str, int], float]
    ) -> None:
        ids = name_ids(connection, {name for name, _ in values})
        rows = [(self.run, ids[name], step, value) for (name, step), value in values.items()]
        database = database_of(connection)
        database.upsert(connection, scalars, rows)
        newest = {row[1]: row for row in sorted(rows, key=lambda row: row[2])}
        guard = "excluded.step >= latest_scalars.step"
        database.upsert(connection, latest_scalars, list(newest.values()), only_if=guard)

    def _write_labels(self, connection: Connection, sets: Sequence[LabelSet]) -> None:
        self._forget(connection, sets)
        next_id = reserve_label_ids(connection, sum(len(one.labels) for one in sets))
        set_rows: list[tuple[object, ...]] = []
        label_rows: list[tuple[object, ...]] = []
        box_rows: list[tuple[object, ...]] = []
        mask_rows: list[tuple[object, ...]] = []
        for one in sets:
            made = one.labels
            place = (self.run, int(made.source), one.step, made.image_id)
            visible = made.visible or (None, None, None, None)
            packed = (one.packed, one.packed_boxes)
            set_rows.append((*place, next_id, *visible, *one.counts, *packed))
            rows_of_kind = label_rows if one.packed_boxes is None else box_rows
            rows_of_kind += placed_rows(one.values, next_id, place)
            if one.with_masks:
                mask_rows += [
                    (next_id + position, mask.height, mask.width, mask.counts)
                    for position, mask in enumerate(made.masks)
                ]
            next_id += len(made)
        for table, rows in (
            *((label_sets, set_rows), (labels, label_rows)),
            *((labels, box_rows), (label_masks, mask_rows)),
        ):
            insert_first_columns(connection, table, rows)
        self._summarise(connection, {(int(one.labels.source), one.step) for one in sets})

    def _forget(self, connection: Connection, sets: Sequence[LabelSet]) -> None:
        """Delete what an earlier recording of the same images and steps left."""
        steps = {one.step for one in sets}
        known = step_summaries.c
        old = connection.execute(
            select(known.source, known.step).where(
                known.run == self.run, known.step.between(min(steps), max(steps))
            )
        )
        old_steps = {tuple(row) for row in old}
        again = [one for one in sets if (int(one.labels.source), one.step) in old_steps]
        for one in again:
            place = {
                **{"run": self.run, "source": int(one.labels.source)},
                **{"step": one.step, "image_id": one.labels.image_id},
            }
            masks_of_set = (
                "DELETE FROM label_masks WHERE label_id IN (SELECT label_id FROM labels "
                f"WHERE {PLACE})"
            )
            for statement in (
                masks_of_set,
                f"DELETE FROM labels WHERE {PLACE}",
                f"DELETE FROM label_sets WHERE {PLACE}",
            ):
                connection.execute(text(statement), place)

    def _summarise(self, connection: Connection, steps: set[tuple[int, int]]) -> None:
        sums = ", ".join(f"sum({name})" for name in COUNT_COLUMNS)
        names = ", ".join(("run", "source", "step", "images", *COUNT_COLUMNS))
        connection.execute(
            text(
                f"INSERT INTO step_summaries ({names}) "
                f"SELECT run, source, step, count(*), {sums} FROM label_sets "
                "WHERE run = :run AND source = :source AND step = :step "
                f"GROUP BY run, source, step {on_conflict_sql(step_summaries)}"
            ),
            [{"run": self.run, "source": one, "step": step} for one, step in sorted(steps)],
        )

    def _write_evaluation(self, connection: Connection, step: int, made: Evaluation) -> None:
        table = evaluations.c
        connection.execute(
            delete(evaluations).where(
                table.run == self.run,
                table.step == step,
                table.split == made.split,
                table.model == made.model,
            )
        )
        connection.execute(
            insert(evaluations).values(
                run=self.run,
                step=step,
                split=made.split,
                model=made.model,
                ap=made.metrics.get("AP"),
                metrics=jsonable(made.metrics),
                per_class=jsonable(made.per_class),
                kinds=jsonable(made.kinds),
            )
        )

    def _stored_path(self, path: Path) -> str:
        """Relative inside the run's directory, so that a store can be moved."""
        path = path.absolute()
        inside = path.is_relative_to(self.directory)
        return str(path.relative_to(self.directory) if inside else path)


def insert_first_columns(connection: Connection, table: Table, rows: Rows) -> None:
    """Rows of the table's first columns, as many as they have; the others are NULL."""
    if rows:
        columns = column_names(table)[: len(rows[0])]
        database_of(connection).insert(connection, table, columns, rows)


def name_ids(connection: Connection, names: set[str]) -> Mapping[str, int]:
    """Numbers of scalars by name; new names get one.

    Asked first, because an INSERT that does nothing uses up a number on PostgreSQL.
    """
    known = _known_names(connection, names)
    new = sorted(names - known.keys())
    if not new:
        return known
    statement = "INSERT INTO scalar_names (name) VALUES (:name) ON CONFLICT (name) DO NOTHING"
    connection.execute(text(statement), [{"name": name} for name in new])
    return _known_names(connection, names)


def _known_names(connection: Connection, names: set[str]) -> dict[str, int]:
    rows = connection.execute(
        select(scalar_names.c.name, scalar_names.c.name_id).where(scalar_names.c.name.in_(names))
    )
    return {name: name_id for name, name_id in rows}


def reserve_label_ids(connection: Connection, count: int) -> int:
    """The first of `count` ids that belong to this transaction alone."""
    take = (
        update(counters)
        .where(counters.c.name == "label_id")
        .values(value=counters.c.value + count)
        .returning(counters.c.value)
    )
    with database_of(connection).counting(connection) as own:
        return own.execute(take).scalar_one() - count + 1
