"""Whole columns of labels as arrays, read packed, not row by row."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Row, Select, func, select

from lab.datasets.records import LabelSource, Rle
from lab.store.label_queries import LabelFilter, masks_of, places_of
from lab.store.packing import BOX_COLUMNS, PACKED_COLUMNS, unpack, unpack_boxes
from lab.store.runs import run_number
from lab.store.store import Store
from lab.store.tables import label_sets
from lab.store.truth_queries import COLUMNS, true_labels

PLACE_COLUMNS = ("label_id", "step", "image_id", "position")
LABEL_COLUMNS = (*PLACE_COLUMNS, *PACKED_COLUMNS, *BOX_COLUMNS)
"""What `label_columns` can answer."""

SETS_PER_READ = 256
"""So many sets are taken apart at a time: about as much as a processor keeps at hand."""


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


def label_chunks(
    store: Store,
    run_id: str,
    filter: LabelFilter,
    columns: Sequence[str],
    *,
    with_masks: bool = False,
) -> Iterator[tuple[dict[str, NDArray], dict[int, Rle]]]:
    """`label_columns` in parts of some thousand labels, however many there are in all.

    All parts are of one moment of the store. The first is empty: it says the types of the columns.

    Args:
        filter: one that asks neither for `label_ids` nor for `true_label`.
        with_masks: also the masks of the part by label id, as `label_masks` gives them: `columns`
            hold label_id then. Without it there are none.
    """
    if filter.label_ids is not None or filter.true_label is not None:
        raise ValueError("label_chunks: label_ids and true_label are answered by label_columns")
    yield _columns_of([], filter, columns), {}
    with store.reading() as connection:
        query = _sets(run_number(connection, run_id), filter, columns)
        found = connection.execute(query, execution_options={"yield_per": SETS_PER_READ})
        for sets in found.partitions():
            chunk = _columns_of(sets, filter, columns)
            ids = chunk["label_id"].tolist() if with_masks else ()
            yield chunk, masks_of(connection, ids)


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
        .where(*places_of(label_sets, run, filter))
        .group_by(c.image_id)
        .subquery()
    )
    return (
        select(*columns)
        .join(newest, (c.image_id == newest.c.image_id) & (c.step == newest.c.step))
        .where(c.run == run, c.source == int(filter.source))
        .order_by(c.image_id)
    )


def _sets(run: int, filter: LabelFilter, columns: Sequence[str]) -> Select:
    c = label_sets.c
    return (
        select(*_set_columns(_needs_boxes(filter, columns)))
        .where(*places_of(label_sets, run, filter), c.candidates > 0)
        .order_by(c.step, c.image_id)
    )


def _set_columns(with_boxes: bool) -> tuple[ColumnElement, ...]:
    """What `_columns_of` takes apart."""
    c = label_sets.c
    boxes = (c.packed_boxes,) if with_boxes else ()
    return (c.step, c.image_id, c.first_label_id, c.candidates, c.packed, *boxes)


def _needs_boxes(filter: LabelFilter, columns: Sequence[str]) -> bool:
    """Whether a question is about how masks were made of boxes; most are not."""
    return not {*columns, *filter.ranges}.isdisjoint(BOX_COLUMNS)


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
