"""Pseudo-labels against the hidden truth of their image. Runs in the recorder's thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np

from lab.analysis.errors import (
    STANDARD,
    Verdict,
    can_match,
    classify,
    one_to_one,
    supercategory_groups,
)
from lab.analysis.match import Float64Array, mask_ious
from lab.analysis.truth import ImageTruth, check_mask_size, image_truth, visible_truth
from lab.datasets.records import (
    BoolArray,
    BoxScores,
    Dataset,
    ErrorKind,
    FloatArray,
    ImageRecord,
    IntArray,
    PseudoLabels,
)

MIN_VISIBLE_AREA = 5
"""Pixels of a truth that a view must show for it to count."""
CACHED_IMAGES = 4096

Judge = Callable[[PseudoLabels], PseudoLabels]


def build_judge(dataset: Dataset) -> Judge:
    """A function that fills kinds, true_ious, gt_ids, duplicates, num_truths and missed.

    The kinds are UNKNOWN and num_truths is None for an image whose truth `dataset` does not know:
    it does not hold the image, or holds one with boxes alone. An image without annotations is a
    true negative (all labels are BG), unless no image of the dataset has any: then the dataset is
    unlabelled. So give it the images whose truth is known, not a mixture.

    A truth counts as far as the label's `visible` part shows it: its mask is clipped to that, and
    below 5 visible pixels it is left out. `missed` counts the truths that no kept label takes in
    one-to-one matching; a kept label competes with the kept ones, a dropped one with all.
    """
    images = dataset.by_id()
    groups = supercategory_groups(dataset.categories)
    is_labelled = any(image.annotations for image in dataset.images)

    @lru_cache(maxsize=CACHED_IMAGES)
    def truth_of(image_id: int) -> ImageTruth | None:
        image = images.get(image_id)
        if image is None or not is_labelled or any(a.mask is None for a in image.annotations):
            return None
        return image_truth(image)

    def judge(labels: PseudoLabels) -> PseudoLabels:
        truth = truth_of(labels.image_id)
        if truth is None:
            return unjudged(labels)
        _check_masks(labels, images[labels.image_id])
        return judged(labels, visible_truth(truth, labels.visible, MIN_VISIBLE_AREA), groups)

    return judge


def unjudged(labels: PseudoLabels) -> PseudoLabels:
    """The labels of an image without known truth."""
    count = len(labels)
    return replace(
        labels,
        kinds=np.full(count, ErrorKind.UNKNOWN, np.int64),
        true_ious=np.full(count, np.nan, np.float32),
        gt_ids=np.full(count, -1, np.int64),
        duplicates=np.zeros(count, np.bool_),
        num_truths=None,
        missed=None,
        box_scores=_without_truth(labels.box_scores),
    )


def judged(labels: PseudoLabels, truth: ImageTruth, supercategory: IntArray) -> PseudoLabels:
    """The labels with what the truth of their image says about them."""
    ious = mask_ious(labels.masks, truth.masks, truth.is_crowd)
    verdict = classify(
        ious,
        labels.labels,
        truth.labels,
        supercategory,
        labels.score,
        truth.is_crowd,
        area_gaps=np.abs(labels.areas[:, None].astype(np.float64) - truth.areas[None, :]),
    )
    taken = _taken_by_kept(ious, labels, truth)
    return replace(
        labels,
        kinds=verdict.kinds,
        true_ious=verdict.true_ious.astype(np.float32),
        gt_ids=_ids(verdict, truth),
        duplicates=_duplicates(verdict, labels.kept, taken),
        num_truths=int((~truth.is_crowd).sum()),
        missed=int((~truth.is_crowd).sum() - (taken >= 0).sum()),
        box_scores=_with_own_truth(labels.box_scores, ious, truth),
    )


def _without_truth(scores: BoxScores | None) -> BoxScores | None:
    if scores is None:
        return None
    unknown = np.full(len(scores.target_ids), np.nan, np.float32)
    return replace(scores, target_ious=unknown, single_masks=None, single_ious=None)


def _with_own_truth(
    scores: BoxScores | None, ious: Float64Array, truth: ImageTruth
) -> BoxScores | None:
    """How each mask, and the single one in its place, fits the truth that it was made for.

    The masks of single candidates are let go: nobody asks for them later.
    """
    if scores is None:
        return None
    singles = scores.single_masks
    of_singles = None if singles is None else mask_ious(singles, truth.masks, truth.is_crowd)
    return replace(
        scores,
        target_ious=_own_ious(ious, scores.target_ids, truth),
        single_masks=None,
        single_ious=(
            None if of_singles is None else _own_ious(of_singles, scores.target_ids, truth)
        ),
    )


def _own_ious(ious: Float64Array, target_ids: IntArray, truth: ImageTruth) -> FloatArray:
    """(N,) of the (N, T) IoUs those with each mask's own truth; NaN where the view shows none."""
    place = {int(one): index for index, one in enumerate(truth.ids)}
    own = [
        ious[row, place[one]] if one in place else np.nan
        for row, one in enumerate(target_ids.tolist())
    ]
    return np.array(own, np.float32)


def _taken_by_kept(ious: Float64Array, labels: PseudoLabels, truth: ImageTruth) -> IntArray:
    """(N,) the truth each kept label takes when only kept ones compete, else -1."""
    allowed = can_match(labels.labels, truth.labels, truth.is_crowd) & labels.kept[:, None]
    return one_to_one(np.where(allowed, ious, 0.0), labels.score, STANDARD.pos)


def _duplicates(verdict: Verdict, kept: BoolArray, taken: IntArray) -> BoolArray:
    among_kept = (verdict.kinds == ErrorKind.COR) & (taken < 0)
    return np.where(kept, among_kept, verdict.duplicates)


def _ids(verdict: Verdict, truth: ImageTruth) -> IntArray:
    if len(truth) == 0:
        return verdict.gt_index
    return np.where(verdict.gt_index >= 0, truth.ids[verdict.gt_index], -1)


def _check_masks(labels: PseudoLabels, image: ImageRecord) -> None:
    for index, mask in enumerate(labels.masks):
        check_mask_size(mask, image, f"pseudo-label {index}")
