"""Which class is taken for which: predicted x true, with background and missed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lab.analysis.errors import can_match, one_to_one
from lab.analysis.match import Float64Array
from lab.datasets.records import BoolArray, IntArray

NONE = -1
"""In place of a truth's class: background. In place of a predicted class: missed."""


@dataclass(frozen=True, slots=True)
class ClassPairs:
    """One row per match, per unmatched prediction and per unmatched truth; both (M,)."""

    pred_classes: IntArray
    gt_classes: IntArray


def class_pairs(
    ious: Float64Array,
    pred_labels: IntArray,
    gt_labels: IntArray,
    scores: NDArray[np.floating],
    is_crowd: BoolArray,
    min_iou: float = 0.5,
) -> ClassPairs:
    """Match one image one-to-one, best score first: within the class, then across classes.

    Matching the right class first makes the diagonal the found truths of every other number here.
    A duplicate counts as background. A prediction that takes no truth and lies with `min_iou` on a
    crowd region is left out, as is the region.
    """
    partner = partners(ious, pred_labels, gt_labels, scores, is_crowd, min_iou)
    on_crowd = np.where(is_crowd, ious, 0.0).max(axis=1, initial=0.0) >= min_iou
    shown = (partner >= 0) | ~on_crowd
    unmatched = ~is_crowd
    unmatched[partner[partner >= 0]] = False
    facing = np.append(gt_labels, NONE)[partner]
    missed = gt_labels[unmatched]
    return ClassPairs(
        np.concatenate([pred_labels[shown], np.full(len(missed), NONE)]),
        np.concatenate([facing[shown], missed]),
    )


def partners(
    ious: Float64Array,
    pred_labels: IntArray,
    gt_labels: IntArray,
    scores: NDArray[np.floating],
    is_crowd: BoolArray,
    min_iou: float = 0.5,
) -> IntArray:
    """(P,) the truth that each prediction stands against in `class_pairs`; -1 = none."""
    same = can_match(pred_labels, gt_labels, is_crowd)
    taken = one_to_one(np.where(same, ious, 0.0), scores, min_iou)
    open_pairs = ~is_crowd[None, :] & (taken < 0)[:, None]
    open_pairs[:, taken[taken >= 0]] = False
    crossed = one_to_one(np.where(open_pairs, ious, 0.0), scores, min_iou)
    return np.where(taken >= 0, taken, crossed)


def confusion_matrix(pred_classes: IntArray, gt_classes: IntArray, num_classes: int) -> IntArray:
    """Count pairs of classes, -1 for none: (M,), (M,) -> (K + 1, K + 1).

    Row = predicted class, the last row the missed truths; column = true class, the last column the
    background. Takes the pairs of any number of images, or stored labels with their truth's class.
    """
    for what, classes in (("pred_classes", pred_classes), ("gt_classes", gt_classes)):
        wrong = (classes < NONE) | (classes >= num_classes)
        if wrong.any():
            raise ValueError(f"{what}: class {classes[wrong][0]} is not in -1..{num_classes - 1}")
    side = num_classes + 1
    cells = (pred_classes % side) * side + gt_classes % side
    return np.bincount(cells, minlength=side * side).reshape(side, side)
