"""PseudoLabels as the store keeps them: rows of plain numbers, packed bytes, and counts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from operator import add

import numpy as np
from numpy.typing import NDArray

from lab.datasets.records import ErrorKind, PseudoLabels

PACKED = np.dtype(
    [
        ("label", "<i4"),
        ("label_before", "<i4"),
        ("class_quality", "<f4"),
        ("mask_quality", "<f4"),
        ("score", "<f4"),
        ("x1", "<f4"),
        ("y1", "<f4"),
        ("x2", "<f4"),
        ("y2", "<f4"),
        ("area", "<f4"),
        ("kept", "?"),
        ("rule", "u1"),
        ("rule_value", "<f4"),
        ("teacher_before", "<f4"),
        ("teacher_after", "<f4"),
        ("clip_before", "<f4"),
        ("clip_after", "<f4"),
        ("uncertainty", "<f4"),
        ("weight", "<f4"),
        ("kind", "u1"),
        ("true_iou", "<f4"),
        ("gt_id", "<i8"),
        ("duplicate", "?"),
    ]
)
"""One label, 84 bytes. Part of the schema: a change is a migration."""

PACKED_BOX = np.dtype(
    [
        ("target_id", "<i8"),
        ("num_candidates", "<f4"),
        ("num_effective", "<f4"),
        ("box_score", "<f4"),
        ("pixel_score", "<f4"),
        ("mask_score", "<f4"),
        ("depth_score", "<f4"),
        ("match_score", "<f4"),
        ("semantic_score", "<f4"),
        ("instance_score", "<f4"),
        ("target_iou", "<f4"),
        ("single_iou", "<f4"),
    ]
)
"""How one mask was made of a box, 52 bytes; only labels of box-supervised runs have it."""

PACKED_BOX_3 = np.dtype([(name, PACKED_BOX[name]) for name in (PACKED_BOX.names or ())[:11]])
"""The same as schema version 3 wrote it: bytes in a store stay what they are."""

PACKED_COLUMNS = PACKED.names or ()
BOX_COLUMNS = PACKED_BOX.names or ()
NUM_KINDS = len(ErrorKind)
FLOAT_COLUMNS = tuple(
    name for kind in (PACKED, PACKED_BOX) for name in kind.names or () if kind[name].kind == "f"
)


def pack(labels: PseudoLabels) -> NDArray[np.void]:
    """(N,) records of PACKED. Labels that nobody judged are UNKNOWN, without truth."""
    packed = np.empty(len(labels), PACKED)
    packed["label"] = labels.labels
    packed["label_before"] = labels.labels_before
    packed["area"] = labels.areas
    packed["rule"] = labels.rules
    packed["rule_value"] = labels.rule_values
    packed["weight"] = labels.weights
    for side, column in zip(("x1", "y1", "x2", "y2"), labels.boxes.reshape(-1, 4).T, strict=True):
        packed[side] = column
    for name in (
        *("class_quality", "mask_quality", "score", "kept", "uncertainty"),
        *("teacher_before", "teacher_after", "clip_before", "clip_after"),
    ):
        packed[name] = getattr(labels, name)
    packed["kind"] = ErrorKind.UNKNOWN if labels.kinds is None else labels.kinds
    packed["true_iou"] = np.nan if labels.true_ious is None else labels.true_ious
    packed["gt_id"] = -1 if labels.gt_ids is None else labels.gt_ids
    packed["duplicate"] = False if labels.duplicates is None else labels.duplicates
    return packed


def pack_boxes(labels: PseudoLabels) -> NDArray[np.void] | None:
    """(N,) records of PACKED_BOX; None for labels that were not made from boxes."""
    scores = labels.box_scores
    if scores is None:
        return None
    packed = np.empty(len(labels), PACKED_BOX)
    packed["target_id"] = scores.target_ids
    packed["target_iou"] = np.nan if scores.target_ious is None else scores.target_ious
    packed["single_iou"] = np.nan if scores.single_ious is None else scores.single_ious
    for name in BOX_COLUMNS[1:-2]:
        packed[name] = getattr(scores, name)
    return packed


def unpack_boxes(packed: Sequence[bytes | None], sizes: Sequence[int]) -> NDArray[np.void]:
    """The box records of many label sets; id -1 and NaN for sets that have none.

    Sets that were packed by an older schema have NaN in what it did not know. A run has them for
    all of its labels and in one form, or for none: then this takes no time.
    """
    present = [one for one in packed if one is not None]
    if sum(map(len, present)) == PACKED_BOX.itemsize * sum(sizes):
        return np.frombuffer(b"".join(present), PACKED_BOX)
    records = np.full(sum(sizes), np.array((-1, *[np.nan] * (len(BOX_COLUMNS) - 1)), PACKED_BOX))
    lengths = np.array([0 if one is None else len(one) for one in packed])
    for form in (PACKED_BOX, PACKED_BOX_3):
        are_of_it = lengths == form.itemsize * np.array(sizes)
        chosen = [one for one, is_of_it in zip(packed, are_of_it, strict=True) if is_of_it and one]
        made = np.frombuffer(b"".join(chosen), form)
        rows = np.repeat(are_of_it, sizes)
        for name in form.names or ():
            records[name][rows] = made[name]
    return records


def unpack(packed: Sequence[bytes]) -> NDArray[np.void]:
    """The records of many label sets, one after the other."""
    return np.frombuffer(b"".join(packed), PACKED)


def row_values(
    packed: NDArray[np.void], boxes: NDArray[np.void] | None = None
) -> list[tuple[object, ...]]:
    """What rows of the table `labels` hold after id and place, its columns in order.

    Args:
        packed: (N,) records of PACKED.
        boxes: (N,) records of PACKED_BOX; without them the rows end before their columns.
    """
    if boxes is None:
        return packed.tolist()
    return [(*one, *box) for one, box in zip(packed.tolist(), boxes.tolist(), strict=True)]


def placed_rows(
    values: Sequence[tuple[object, ...]], first_label_id: int, place: tuple[int, int, int, int]
) -> list[tuple[object, ...]]:
    """Whole rows of `labels` from those of `row_values`.

    Args:
        first_label_id: id of the first; the others follow it.
        place: run number, source, step, image id.
    """
    return [
        (first_label_id + position, *place, position, *value)
        for position, value in enumerate(values)
    ]


def count_labels(labels: PseudoLabels, packed: NDArray[np.void]) -> tuple[int, ...]:
    """The numbers of COUNT_COLUMNS, in their order."""
    kinds, kept = packed["kind"], packed["kept"]
    dropped_and_kept = np.bincount(kinds + NUM_KINDS * kept, minlength=2 * NUM_KINDS).tolist()
    kept_kinds = dropped_and_kept[NUM_KINDS:]
    again = kept & packed["duplicate"] & (kinds == int(ErrorKind.COR))
    truths = 0 if labels.num_truths is None or labels.missed is None else labels.num_truths
    return (
        len(packed),
        sum(kept_kinds),
        kept_kinds[ErrorKind.COR] - int(np.count_nonzero(again)),
        truths,
        truths - (labels.missed or 0) if truths else 0,
        *map(add, dropped_and_kept, kept_kinds),
        *kept_kinds,
    )
