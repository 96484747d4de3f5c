"""What is wrong with the predictions of many images, counted.

`classify` tells what became of every label of one image; here only sums are wanted, and numpy's
price per call, paid 60 times an image, is most of what `classify` costs. So images go by the
hundred: their pairs lie in one table, a row per prediction, as wide as the most truths one has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lab.analysis.errors import (
    CROWD,
    SAME,
    STANDARD,
    Thresholds,
    check_labels,
    decide,
    relations,
    take_in_turn,
)
from lab.analysis.match import Float64Array
from lab.datasets.records import BoolArray, ErrorKind, IntArray

IMAGES_AT_ONCE = 256
PADDING = CROWD + 1
"""The relation of a prediction to a truth that its image does not have."""


@dataclass(frozen=True, slots=True)
class Scene:
    """The P predictions and G truths of one image."""

    ious: Float64Array
    """(P, G) from `mask_ious`."""
    pred_labels: IntArray
    """(P,)"""
    scores: NDArray[np.floating]
    """(P,)"""
    gt_labels: IntArray
    """(G,)"""
    is_crowd: BoolArray
    """(G,)"""


@dataclass(frozen=True, slots=True)
class Tally:
    """Sums over images."""

    kinds: IntArray
    """(7,) predictions by ErrorKind; Cor includes duplicates."""
    duplicates: int
    """Cor, but every truth they get right was taken by a better-scored prediction."""
    found: int
    """Truths that a prediction took."""


def tally(
    scenes: Sequence[Scene],
    supercategory: IntArray,
    thresholds: Thresholds = STANDARD,
    at_once: int = IMAGES_AT_ONCE,
) -> Tally:
    """The sums of what `classify` says of each scene; `supercategory` is (K,) as there.

    Scenes go through in the order of how many truths they have, `at_once` together, so that
    little of a table is empty.
    """
    alike = sorted(
        (one for one in scenes if len(one.pred_labels)), key=lambda one: len(one.gt_labels)
    )
    parts = [
        _tally(alike[start : start + at_once], supercategory, thresholds)
        for start in range(0, len(alike), at_once)
    ]
    return Tally(
        sum((part.kinds for part in parts), np.zeros(len(ErrorKind), np.int64)),
        sum(part.duplicates for part in parts),
        sum(part.found for part in parts),
    )


def _tally(scenes: Sequence[Scene], supercategory: IntArray, thresholds: Thresholds) -> Tally:
    owner = np.repeat(np.arange(len(scenes)), [len(one.pred_labels) for one in scenes])
    pred_labels = np.concatenate([one.pred_labels for one in scenes])
    scores = np.concatenate([one.scores for one in scenes])
    ious, gt_labels, is_crowd, is_there = _side_by_side(scenes)
    check_labels(pred_labels, gt_labels[is_there], len(supercategory))
    relation = relations(pred_labels, gt_labels[owner], supercategory, is_crowd[owner])
    relation[~is_there[owner]] = PADDING
    best = np.stack([np.where(relation == one, ious, 0.0).max(1, initial=0.0) for one in range(4)])
    kinds = decide(best, thresholds)
    taken = _takers(np.where(relation == SAME, ious, 0.0), scores, owner, thresholds.pos)
    return Tally(
        np.bincount(kinds, minlength=len(ErrorKind)),
        int(((kinds == ErrorKind.COR) & ~taken).sum()),
        int(taken.sum()),
    )


def _side_by_side(
    scenes: Sequence[Scene],
) -> tuple[Float64Array, IntArray, BoolArray, BoolArray]:
    """Scenes of one width W: IoUs (N, W) of all N predictions, then classes, crowds, and which
    truths there are, (S, W) each."""
    width = max(len(one.gt_labels) for one in scenes)
    ious = np.zeros((sum(len(one.pred_labels) for one in scenes), width))
    gt_labels = np.zeros((len(scenes), width), np.int64)
    is_crowd = np.zeros((len(scenes), width), np.bool_)
    is_there = np.zeros((len(scenes), width), np.bool_)
    row = 0
    for number, one in enumerate(scenes):
        truths = len(one.gt_labels)
        ious[row : row + len(one.pred_labels), :truths] = one.ious
        gt_labels[number, :truths] = one.gt_labels
        is_crowd[number, :truths] = one.is_crowd
        is_there[number, :truths] = True
        row += len(one.pred_labels)
    return ious, gt_labels, is_crowd, is_there


def _takers(
    ious: Float64Array, scores: NDArray[np.floating], owner: IntArray, at_least: float
) -> BoolArray:
    """(N,) which predictions take a truth, as `one_to_one` has it, image by image."""
    pred, gt = np.nonzero(ious >= at_least)
    turn = np.empty(len(ious), np.int64)
    turn[np.lexsort((-scores, owner))] = np.arange(len(ious))
    order = np.lexsort((gt, -ious[pred, gt], turn[pred]))
    truth = owner[pred] * ious.shape[1] + gt
    taken = take_in_turn(pred[order], truth[order])
    takes = np.zeros(len(ious), np.bool_)
    takes[list(taken)] = True
    return takes
