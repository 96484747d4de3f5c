"""Questions about the hidden truths that decided the kinds of labels."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, and_, exists, or_, select

from lab.datasets.records import ErrorKind, IntArray
from lab.store.runs import run_number
from lab.store.store import Store
from lab.store.tables import labels, runs, truths

BACKGROUND = -1
"""In place of a class: the label lies on no truth."""
UNJUDGED = -2
"""In place of a class: nobody knows what the label lies on, or it is a crowd."""

OF_ITS_OWN_CLASS = (ErrorKind.COR, ErrorKind.LOC)
OF_ANOTHER_CLASS = (ErrorKind.SIM, ErrorKind.OTH)
COLUMNS = ("image_id", "label", "kind", "gt_id")
"""What `true_labels` needs to know of labels."""
IMAGES_PER_QUERY = 10_000


def true_labels(store: Store, run_id: str, columns: Mapping[str, NDArray[Any]]) -> IntArray:
    """The class of the truth that decided each label's kind: (N,) from COLUMNS, each (N,).

    BACKGROUND where the label lies on nothing, UNJUDGED where that is not known. Only labels of a
    wrong class have to be looked up, in the training images of the run.
    """
    kinds = columns["kind"]
    classes = np.where(np.isin(kinds, OF_ITS_OWN_CLASS), columns["label"], UNJUDGED)
    classes[kinds == ErrorKind.BG] = BACKGROUND
    wrong = np.flatnonzero(np.isin(kinds, OF_ANOTHER_CLASS))
    if len(wrong):
        images = np.unique(columns["image_id"][wrong]).tolist()
        ids, known = truths_of(store, run_id, images)
        classes[wrong] = _looked_up(columns["gt_id"][wrong], ids, known)
    return classes.astype(np.int64)


def truths_of(store: Store, run_id: str, image_ids: Collection[int]) -> tuple[IntArray, IntArray]:
    """Annotation ids, ascending, and classes of the truths of some training images; both (T,)."""
    t, r = truths.c, runs.c
    chosen = [int(one) for one in image_ids]
    found: list[tuple[int, int]] = []
    with store.reading() as connection:
        dataset = connection.scalar(
            select(r.train_dataset_id).where(r.run == run_number(connection, run_id))
        )
        for start in range(0, len(chosen), IMAGES_PER_QUERY):
            part = chosen[start : start + IMAGES_PER_QUERY]
            rows = connection.execute(
                select(t.annotation_id, t.label).where(
                    t.dataset_id == dataset, t.image_id.in_(part)
                )
            )
            found += [(annotation_id, label) for annotation_id, label in rows]
    table = np.array(sorted(found), np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def on_truth_of(true_label: int) -> ColumnElement[bool]:
    """In SQL, over the table `labels`: the kind was decided by a truth of this class."""
    if true_label == BACKGROUND:
        return labels.c.kind == int(ErrorKind.BG)
    t, r = truths.c, runs.c
    linked = (
        exists()
        .where(r.run == labels.c.run, t.dataset_id == r.train_dataset_id)
        .where(t.image_id == labels.c.image_id, t.annotation_id == labels.c.gt_id)
        .where(t.label == true_label)
        .correlate(labels)
    )
    return or_(
        and_(labels.c.kind.in_(_numbers(OF_ITS_OWN_CLASS)), labels.c.label == true_label),
        and_(labels.c.kind.in_(_numbers(OF_ANOTHER_CLASS)), linked),
    )


def _numbers(kinds: Collection[ErrorKind]) -> list[int]:
    return [int(kind) for kind in kinds]


def _looked_up(wanted: IntArray, ids: IntArray, known: IntArray) -> IntArray:
    """The class of each wanted id; UNJUDGED for one that is not among `ids` (ascending)."""
    if len(ids) == 0:
        return np.full(len(wanted), UNJUDGED)
    place = np.searchsorted(ids, wanted).clip(max=len(ids) - 1)
    return np.where(ids[place] == wanted, known[place], UNJUDGED)
