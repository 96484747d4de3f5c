"""PseudoLabels as the store keeps them: rows of plain numbers, packed bytes, and counts. Pure."""

from __future__ import annotations

from collections.abc import Sequence

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

PACKED_COLUMNS = PACKED.names or ()
FLOAT_COLUMNS = tuple(name for name in PACKED_COLUMNS if PACKED[name].kind == "f")


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


def unpack(packed: Sequence[bytes]) -> NDArray[np.void]:
    """The records of many label sets, one after the other."""
    return np.frombuffer(b"".join(packed), PACKED)


def label_tuples(
    packed: NDArray[np.void], first_label_id: int, place: tuple[int, int, int, int]
) -> list[tuple[object, ...]]:
    """Rows of the table `labels`, its columns in order.

    Args:
        packed: (N,) records of PACKED.
        first_label_id: id of the first; the others follow it.
        place: run number, source, step, image id.
    """
    return [
        (first_label_id + position, *place, position, *record)
        for position, record in enumerate(packed.tolist())
    ]


def count_labels(labels: PseudoLabels, packed: NDArray[np.void]) -> tuple[int, ...]:
    """The numbers of COUNT_COLUMNS, in their order."""
    kept = packed["kept"]
    right = kept & (packed["kind"] == ErrorKind.COR) & ~packed["duplicate"]
    truths = 0 if labels.num_truths is None or labels.missed is None else labels.num_truths
    found = truths - (labels.missed or 0) if truths else 0
    return (
        len(packed),
        int(kept.sum()),
        int(right.sum()),
        truths,
        found,
        *_kind_counts(packed["kind"]),
        *_kind_counts(packed["kind"][kept]),
    )


def _kind_counts(kinds: NDArray[np.uint8]) -> list[int]:
    return np.bincount(kinds, minlength=len(ErrorKind)).tolist()
