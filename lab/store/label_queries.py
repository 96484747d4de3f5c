"""Questions about labels: a page of them, their masks, or whole columns as arrays."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Row, Select, Table, bindparam, exists, func, select

from lab.datasets.records import DropRule, ErrorKind, LabelSource, Rle
from lab.store import tables
from lab.store.jsonable import number
from lab.store.packing import (
    BOX_COLUMNS,
    FLOAT_COLUMNS,
    PACKED_COLUMNS,
    unpack,
    unpack_boxes,
)
from lab.store.rows import LabelPage, LabelRow
from lab.store.runs import run_number
from lab.store.store import Store
from lab.store.tables import label_sets, labels
from lab.store.truth_queries import COLUMNS, on_truth_of, true_labels

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

PLACE_COLUMNS = ("label_id", "step", "image_id", "position")
LABEL_COLUMNS = (*PLACE_COLUMNS, *PACKED_COLUMNS, *BOX_COLUMNS)
"""What `label_columns` can answer."""

IDS_PER_QUERY = 10_000
SETS_PER_READ = 256
"""So many sets are taken apart at a time: about as much as a processor keeps at hand."""

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
    masks: dict[int, Rle] = {}
    columns = tables.label_masks.c
    with store.reading() as connection:
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


def label_columns(
    store: Store, run_id: str, filter: LabelFilter, columns: Sequence[str]
) -> dict[str, NDArray]:
    """Columns of every label that passes, by name, in order of step, image and position.

    Half a million labels take tens of milliseconds: they are read packed, not row by row. Floats
    are float32, flags bool, all else integers.
    """
    for name in columns:
        if name not in LABEL_COLUMNS:
            raise ValueError(f"column {name!r}: expected one of {', '.join(LABEL_COLUMNS)}")
    if filter.label_ids is not None:
        return _columns_of_ids(store, run_id, filter, filter.label_ids, columns)
    if filter.true_label is not None:
        return _columns_on(store, run_id, filter, columns)
    chunks: list[dict[str, NDArray]] = [_columns_of([], filter, columns)]
    with store.reading() as connection:
        found = connection.execute(_sets(run_number(connection, run_id), filter, columns))
        chunks += [_columns_of(sets, filter, columns) for sets in found.partitions(SETS_PER_READ)]
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in columns}


def _columns_on(
    store: Store, run_id: str, filter: LabelFilter, columns: Sequence[str]
) -> dict[str, NDArray]:
    """`label_columns` of the labels whose truth is of the wanted class."""
    needed = tuple(dict.fromkeys((*columns, *COLUMNS)))
    found = label_columns(store, run_id, replace(filter, true_label=None), needed)
    wanted = true_labels(store, run_id, found) == filter.true_label
    return {name: found[name][wanted] for name in columns}


def _columns_of_ids(
    store: Store, run_id: str, filter: LabelFilter, ids: Collection[int], columns: Sequence[str]
) -> dict[str, NDArray]:
    """`label_columns` of the labels with these ids."""
    needed = tuple(dict.fromkeys((*columns, "label_id")))
    found = label_columns(store, run_id, replace(filter, label_ids=None), needed)
    wanted = np.isin(found["label_id"], np.array(list(ids), np.int64))
    return {name: found[name][wanted] for name in columns}


def newest_places(
    store: Store, run_id: str, source: LabelSource, *, first_step: int = 0, last_step: int
) -> dict[int, tuple[int, int]]:
    """The newest step in which each image was recorded, by image id: (step, first label id).

    Images of whose candidates none was recorded are in it too. What a resumed run writes again
    has other label ids.
    """
    with store.reading() as connection:
        found = connection.execute(
            _newest_sets(
                run_number(connection, run_id),
                LabelFilter(source=source, first_step=first_step, last_step=last_step),
                (label_sets.c.step, label_sets.c.image_id, label_sets.c.first_label_id),
            )
        ).all()
    return {image_id: (step, first_label_id) for step, image_id, first_label_id in found}


def newest_columns(
    store: Store, run_id: str, filter: LabelFilter, columns: Sequence[str]
) -> dict[str, NDArray]:
    """As `label_columns`, but of each image only the labels of its newest step in the window."""
    wanted = _set_columns(_needs_boxes(filter, columns))
    chunks: list[dict[str, NDArray]] = [_columns_of([], filter, columns)]
    with store.reading() as connection:
        sets = _newest_sets(run_number(connection, run_id), filter, wanted)
        found = connection.execute(sets.where(label_sets.c.candidates > 0))
        chunks += [_columns_of(part, filter, columns) for part in found.partitions(SETS_PER_READ)]
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in columns}


def _newest_sets(run: int, filter: LabelFilter, columns: Sequence[ColumnElement]) -> Select:
    """Of each image the last set in the window, by image."""
    c = label_sets.c
    newest = (
        select(c.image_id, func.max(c.step).label("step"))
        .where(*_places(label_sets, run, filter))
        .group_by(c.image_id)
        .subquery()
    )
    return (
        select(*columns)
        .join(newest, (c.image_id == newest.c.image_id) & (c.step == newest.c.step))
        .where(c.run == run, c.source == int(filter.source))
        .order_by(c.image_id)
    )


def _places(table: Table, run: int, filter: LabelFilter) -> list[ColumnElement[bool]]:
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
    conditions = [*_places(labels, run, filter), *_with_ids(filter.label_ids)]
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


def _passing(
    records: NDArray[np.void], boxes: NDArray[np.void] | None, filter: LabelFilter
) -> NDArray[np.bool_]:
    """The rest of the filter on packed labels: all but run, source, steps and image."""
    passing = np.ones(len(records), np.bool_)
    for name in ("label", "label_before", "kept", "duplicate"):
        value = getattr(filter, name)
        if value is not None:
            passing &= records[name] == value
    for name, values in (("kind", filter.kinds), ("rule", filter.rules)):
        if values is not None:
            passing &= np.isin(records[name], [int(value) for value in values])
    if filter.changed_class is not None:
        passing &= (records["label"] != records["label_before"]) == filter.changed_class
    for name, (lowest, highest) in filter.all_ranges():
        values = records[name] if boxes is None or name not in BOX_COLUMNS else boxes[name]
        if lowest is not None:
            passing &= values >= np.float32(lowest)
        if highest is not None:
            passing &= values <= np.float32(highest)
    return passing


def _needs_boxes(filter: LabelFilter, columns: Sequence[str]) -> bool:
    """Whether a question is about how masks were made of boxes; most are not."""
    return not {*columns, *filter.ranges}.isdisjoint(BOX_COLUMNS)


def _sets(run: int, filter: LabelFilter, columns: Sequence[str]) -> Select:
    c = label_sets.c
    return (
        select(*_set_columns(_needs_boxes(filter, columns)))
        .where(*_places(label_sets, run, filter), c.candidates > 0)
        .order_by(c.step, c.image_id)
    )


def _set_columns(with_boxes: bool) -> tuple[ColumnElement, ...]:
    """What `_columns_of` takes apart."""
    c = label_sets.c
    boxes = (c.packed_boxes,) if with_boxes else ()
    return (c.step, c.image_id, c.first_label_id, c.candidates, c.packed, *boxes)


def _columns_of(
    sets: Sequence[Row], filter: LabelFilter, columns: Sequence[str]
) -> dict[str, NDArray]:
    """Columns of the labels that pass. `sets` = rows of `_sets`."""
    with_boxes = _needs_boxes(filter, columns)
    empty = [()] * (6 if with_boxes else 5)
    steps, image_ids, first_ids, sizes, packed, *more = zip(*sets, strict=True) if sets else empty
    records = unpack(packed)
    boxes = unpack_boxes(more[0], sizes) if with_boxes else None
    passing = _passing(records, boxes, filter)
    chosen = slice(None) if passing.all() else passing
    counts = np.array(sizes, np.int64)
    owner = np.repeat(np.arange(len(counts)), counts)
    position = np.arange(len(records)) - (np.cumsum(counts) - counts)[owner]
    per_set = {"step": steps, "image_id": image_ids}

    def column(name: str) -> NDArray:
        if name in per_set:
            return np.array(per_set[name], np.int64)[owner[chosen]]
        if name == "position":
            return position[chosen]
        if name == "label_id":
            return np.array(first_ids, np.int64)[owner[chosen]] + position[chosen]
        of = boxes if boxes is not None and name in BOX_COLUMNS else records
        return np.ascontiguousarray(of[name][chosen])

    return {name: column(name) for name in columns}


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
