"""Which truth each kept label takes: what FiftyOne calls tp, fp and fn. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lab.analysis.confusion import partners
from lab.analysis.errors import STANDARD
from lab.analysis.match import Float64Array, mask_ious
from lab.analysis.truth import ImageTruth
from lab.datasets.records import BoolArray, ErrorKind, IntArray, Rle


@dataclass(frozen=True, slots=True)
class Match:
    """One label or one truth in an evaluation."""

    verdict: str
    """ "tp", "fp" (labels) or "fn" (truths)."""
    partner: int
    """Of a label the annotation id that it stands against, of a truth the label's position; -1."""
    iou: float


@dataclass(frozen=True, slots=True)
class ImageMatches:
    """An image's kept labels by position, and its truths by annotation id."""

    labels: dict[int, Match]
    truths: dict[int, Match]


def match_image(
    ious: Float64Array,
    classes: IntArray,
    scores: NDArray[np.floating],
    kept: BoolArray,
    kinds: IntArray,
    truth: ImageTruth,
) -> ImageMatches:
    """Match an image's kept labels as the recorder counts found truths: class first, then any.

    Dropped labels take part in nothing, nor do those on a crowd region.

    Args:
        ious: (K, G) of the K kept labels, in their order, with the G truths.
        classes, scores, kept, kinds: (N,) of all labels of the image.
        truth: what of its truth the teacher could see.
    """
    places = np.flatnonzero(kept)
    partner = partners(ious, classes[places], truth.labels, scores[places], truth.is_crowd)
    verdicts = ImageMatches({}, {})
    for index in np.flatnonzero(~truth.is_crowd).tolist():
        verdicts.truths[int(truth.ids[index])] = Match("fn", -1, 0.0)
    for row, place in enumerate(places.tolist()):
        against = int(partner[row])
        if against < 0:
            if kinds[place] != ErrorKind.IGNORED:
                verdicts.labels[place] = Match("fp", -1, 0.0)
            continue
        right = bool(classes[place] == truth.labels[against])
        iou, gt_id = float(ious[row, against]), int(truth.ids[against])
        verdicts.labels[place] = Match("tp" if right else "fp", gt_id, iou)
        verdicts.truths[gt_id] = Match("tp" if right else "fn", place, iou)
    return verdicts


def kept_ious(
    masks: Sequence[Rle | None],
    kinds: IntArray,
    gt_ids: IntArray,
    true_ious: NDArray[np.floating],
    truth: ImageTruth,
) -> Float64Array | None:
    """(K, G) of K kept labels with the truths: measured, or as recorded where a mask is gone.

    None where a mask is gone and nobody judged the labels when they were recorded.
    """
    there = [mask for mask in masks if mask is not None]
    if len(there) == len(masks):
        return mask_ious(there, truth.masks, truth.is_crowd)
    if (kinds == ErrorKind.UNKNOWN).any():
        return None
    return recorded_ious(kinds, gt_ids, true_ious, truth)


def recorded_ious(
    kinds: IntArray, gt_ids: IntArray, true_ious: NDArray[np.floating], truth: ImageTruth
) -> Float64Array:
    """(K, G) in [0, 1]: of each label the IoU with the truth that decided its kind, 0 elsewhere.

    Truths seldom lie on each other, so a label has half of its area in common with one at most.
    """
    ious = np.where(gt_ids[:, None] == truth.ids[None, :], true_ious[:, None], 0.0)
    ious = ious.astype(np.float64)
    # Recorded in 32 bits: the kind says on which side of the bar the exact value was.
    right = (kinds == ErrorKind.COR)[:, None] & (ious > 0)
    return np.where(right, np.maximum(ious, STANDARD.pos), ious)
