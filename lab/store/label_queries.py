"""Questions about labels: which are meant, a page of them, their masks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from sqlalchemy import ColumnElement, Connection, Row, Table, bindparam, exists, func, select

from lab.datasets.records import DropRule, ErrorKind, LabelSource, Rle
from lab.store import tables
from lab.store.jsonable import number
from lab.store.packing import FLOAT_COLUMNS
from lab.store.rows import LabelPage, LabelRow
from lab.store.runs import run_number
from lab.store.store import Store
from lab.store.tables import label_sets, labels
from lab.store.truth_queries import on_truth_of

SORT_COLUMNS = (
    *FLOAT_COLUMNS,
    "label_id",
    "step",
    "image_id",
    "label",
    "label_before",
    "kind",
    "rule",
    "gt_id",
    "target_id",
)
"""What labels can be sorted by."""

IDS_PER_QUERY = 10_000

Range = tuple[float | None, float | None]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class LabelFilter:
    """Which labels of a run; None = any. Bounds are inclusive, and NaN lies in no range."""

    source: LabelSource = LabelSource.PSEUDO
    first_step: int | None = None
    last_step: int | None = None
    image_id: int | None = None
    label: int | None = None
    label_before: int | None = None
    """Class before correction."""
    kinds: Collection[ErrorKind] | None = None
    kept: bool | None = None
    rules: Collection[DropRule] | None = None
    changed_class: bool | None = None
    """Whether correction changed the class."""
    duplicate: bool | None = None
    true_label: int | None = None
    """Class of the truth that decided the label's kind; -1 = it lies on nothing."""
    ranges: Mapping[str, Range] = field(default_factory=dict)
    """(lowest, highest) by name of a float column, such as {"mask_quality": (0.5, None)}."""
    label_ids: Collection[int] | None = None
    """None but these."""
    min_area: float | None = None
    """Mask pixels."""
    max_area: float | None = None

    def __post_init__(self) -> None:
        for name in self.ranges:
            if name not in FLOAT_COLUMNS:
                raise ValueError(
                    f"LabelFilter.ranges[{name!r}]: no such column; there are "
                    f"{', '.join(FLOAT_COLUMNS)}"
                )

    def all_ranges(self) -> list[tuple[str, Range]]:
        return [*self.ranges.items(), ("area", (self.min_area, self.max_area))]


def find_labels(
    store: Store,
    run_id: str,
    filter: LabelFilter,
    *,
    sort: str = "mask_quality",
    descending: bool = False,
    limit: int = 48,
    offset: int = 0,
) -> LabelPage:
    """Labels that pass the filter, sorted by a column of SORT_COLUMNS; NaN comes last."""
    if sort not in SORT_COLUMNS:
        raise ValueError(f"sort {sort!r}: expected one of {', '.join(SORT_COLUMNS)}")
    column = labels.c[sort]
    order = (column.desc() if descending else column.asc()).nulls_last()
    has_mask = exists().where(tables.label_masks.c.label_id == labels.c.label_id).label("has_mask")
    with store.reading() as connection:
        passing = _conditions(run_number(connection, run_id), filter)
        total = connection.scalar(select(func.count()).select_from(labels).where(*passing)) or 0
        rows = connection.execute(
            select(labels, has_mask)
            .where(*passing)
            .order_by(order, labels.c.label_id)
            .limit(limit)
            .offset(offset)
        ).all()
    return LabelPage(total, [_label_row(row) for row in rows])


def label_masks(store: Store, label_ids: Sequence[int]) -> dict[int, Rle]:
    """Masks by label id; labels without a kept mask are absent."""
    with store.reading() as connection:
        return masks_of(connection, label_ids)


def masks_of(connection: Connection, label_ids: Sequence[int]) -> dict[int, Rle]:
    """`label_masks`, seen by a connection that sees one moment of the store."""
    masks: dict[int, Rle] = {}
    columns = tables.label_masks.c
    for start in range(0, len(label_ids), IDS_PER_QUERY):
        ids = [int(one) for one in label_ids[start : start + IDS_PER_QUERY]]
        found = connection.execute(
            select(columns.label_id, columns.height, columns.width, columns.counts).where(
                columns.label_id.in_(ids)
            )
        )
        masks |= {label_id: Rle(*mask) for label_id, *mask in found}
    return masks


def visible_parts(
    store: Store, run_id: str, source: LabelSource, places: Collection[tuple[int, int]]
) -> dict[tuple[int, int], Box]:
    """The part of its image that a network saw, by (step, image id), where it saw not all of it.

    XYXY in pixels of the original image. Places that were not recorded are absent too.
    """
    c = label_sets.c
    sides = (c.visible_x1, c.visible_y1, c.visible_x2, c.visible_y2)
    with store.reading() as connection:
        found = connection.execute(
            select(c.step, c.image_id, *sides).where(
                c.run == run_number(connection, run_id),
                c.source == int(source),
                c.step.in_({int(step) for step, _ in places}),
                c.image_id.in_({int(image_id) for _, image_id in places}),
                c.visible_x1.is_not(None),
            )
        ).all()
    return {(step, image_id): (x1, y1, x2, y2) for step, image_id, x1, y1, x2, y2 in found}


def places_of(table: Table, run: int, filter: LabelFilter) -> list[ColumnElement[bool]]:
    """The part of the filter that label sets and labels share: whose, when, on which image.

    Labels with known ids are found by these: "+ 0" keeps SQLite from walking through all labels of
    the run to look for them.
    """
    c = table.c
    of_run, of_source = c.run == run, c.source == int(filter.source)
    if filter.label_ids is not None:
        of_run, of_source = c.run + 0 == run, c.source + 0 == int(filter.source)
    places = [of_run, of_source]
    if filter.first_step is not None:
        places.append(c.step >= filter.first_step)
    if filter.last_step is not None:
        places.append(c.step <= filter.last_step)
    if filter.image_id is not None:
        places.append(c.image_id == filter.image_id)
    return places


def _conditions(run: int, filter: LabelFilter) -> list[ColumnElement[bool]]:
    """The filter in SQL."""
    c = labels.c
    conditions = [*places_of(labels, run, filter), *_with_ids(filter.label_ids)]
    for column, value in (
        (c.label, filter.label),
        (c.label_before, filter.label_before),
        (c.kept, filter.kept),
        (c.duplicate, filter.duplicate),
    ):
        if value is not None:
            conditions.append(column == value)
    for column, values in ((c.kind, filter.kinds), (c.rule, filter.rules)):
        if values is not None:
            conditions.append(column.in_([int(value) for value in values]))
    if filter.changed_class is not None:
        changed = c.label != c.label_before
        conditions.append(changed if filter.changed_class else ~changed)
    if filter.true_label is not None:
        conditions.append(on_truth_of(filter.true_label))
    for name, (lowest, highest) in filter.all_ranges():
        if lowest is not None:
            conditions.append(c[name] >= float(np.float32(lowest)))
        if highest is not None:
            conditions.append(c[name] <= float(np.float32(highest)))
    return conditions


def _with_ids(label_ids: Collection[int] | None) -> list[ColumnElement[bool]]:
    """Ids are written into the statement: there may be more than a database takes as values."""
    if label_ids is None:
        return []
    column, ids = labels.c.label_id, [int(one) for one in label_ids]
    values = bindparam(None, ids, expanding=True, literal_execute=True, type_=column.type)
    return [column.in_(values)]


def _label_row(row: Row) -> LabelRow:
    values = dict(row._mapping)
    del values["run"]
    box = tuple(number(values.pop(side)) for side in ("x1", "y1", "x2", "y2"))
    values |= {name: number(values[name]) for name in FLOAT_COLUMNS if name in values}
    values |= {
        "source": LabelSource(row.source),
        "rule": DropRule(row.rule),
        "kind": ErrorKind(row.kind),
        "has_mask": bool(row.has_mask),
        "target_id": -1 if row.target_id is None else row.target_id,
    }
    return LabelRow(box=(box[0], box[1], box[2], box[3]), **values)
