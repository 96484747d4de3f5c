"""The rows of a run as other programs want them: names in place of numbers, nothing made up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.commands.row_files import Columns, plain
from lab.datasets.records import DropRule, ErrorKind, Rle
from lab.store.queries import (
    LABEL_COLUMNS,
    LabelFilter,
    RunRow,
    label_chunks,
    scalar_names,
    scalar_series,
)
from lab.store.store import Store

NO_ID = -1
IDS = ("gt_id", "target_id")
"""Annotation ids; a label may have none."""
ALL_POINTS = 2**31


def label_rows(
    store: Store, run: RunRow, chosen: LabelFilter, *, with_masks: bool
) -> Iterator[Columns]:
    """Labels with all their numbers, in parts; classes, kinds and rules by name.

    With masks there are `mask` (compressed COCO RLE), `mask_height` and `mask_width`, too, as in
    `seglab sql`; missing where a mask was not kept.
    """
    classes = names_of([category.name for category in run.categories])
    kinds, rules = _names_of_enum(ErrorKind), _names_of_enum(DropRule)
    chunks = label_chunks(store, run.run_id, chosen, LABEL_COLUMNS, with_masks=with_masks)
    for columns, masks in chunks:
        columns["label"] = _named(classes, columns["label"])
        columns["label_before"] = _named(classes, columns["label_before"])
        columns["kind"] = _named(kinds, columns["kind"])
        columns["rule"] = _named(rules, columns["rule"])
        rows = {name: _with_gaps(name, values) for name, values in columns.items()}
        yield rows | (_mask_columns(columns["label_id"], masks) if with_masks else {})


def scalar_rows(
    store: Store, run: RunRow, first: int | None, last: int | None
) -> Iterator[Columns]:
    """Points of all curves as (step, name, value), curve by curve; NaN is missing."""
    yield _points("", np.zeros(0, np.int64), np.zeros(0))
    since = -1 if first is None else first - 1
    for name in scalar_names(store, run.run_id):
        found = scalar_series(store, run.run_id, [name], since_step=since, max_points=ALL_POINTS)
        steps = found[name].steps
        end = len(steps) if last is None else int(np.searchsorted(steps, last, side="right"))
        yield _points(name, steps[:end], found[name].values[:end])


def names_of(texts: Sequence[str]) -> NDArray[np.object_]:
    """(N + 1,) texts that any file can hold; the last is None."""
    names = np.empty(len(texts) + 1, object)
    names[:-1] = [plain(text) for text in texts]
    return names


def _names_of_enum(kind: type[IntEnum]) -> NDArray[np.object_]:
    """Names in lower case by number, None for numbers that mean nothing."""
    by_number = {one.value: one.name.lower() for one in kind}
    names = np.empty(max(by_number) + 2, object)
    for number, name in by_number.items():
        names[number] = name
    return names


def _named(names: NDArray[np.object_], numbers: NDArray[Any]) -> NDArray[np.object_]:
    """(N,) names; None for a number that has none."""
    known = (numbers >= 0) & (numbers < len(names))
    return names[np.where(known, numbers.astype(np.int64), len(names) - 1)]


def _with_gaps(name: str, values: NDArray[Any]) -> NDArray[Any]:
    """The column with what is missing masked: NaN, and ids that are none."""
    if values.dtype.kind == "f":
        return np.ma.array(values, mask=np.isnan(values))
    return np.ma.array(values, mask=values == NO_ID) if name in IDS else values


def _mask_columns(
    label_ids: NDArray[np.int64], masks: Mapping[int, Rle]
) -> dict[str, NDArray[Any]]:
    found = [masks.get(label_id) for label_id in label_ids.tolist()]
    texts = np.empty(len(found), object)
    texts[:] = [None if one is None else one.counts.decode("latin-1") for one in found]
    sides = np.array(
        [(0, 0) if one is None else (one.height, one.width) for one in found], np.int32
    )
    absent = np.array([one is None for one in found], bool)
    heights, widths = sides.reshape(-1, 2).T
    return {
        "mask": texts,
        "mask_height": np.ma.array(heights, mask=absent),
        "mask_width": np.ma.array(widths, mask=absent),
    }


def _points(name: str, steps: NDArray[np.int64], values: NDArray[np.float64]) -> Columns:
    names = np.full(len(steps), plain(name), object)
    return {"step": steps, "name": names, "value": np.ma.array(values, mask=np.isnan(values))}
