"""Candidates of one image from plain arrays, with the rule that dropped each."""

from __future__ import annotations

import numpy as np

from lab.datasets import rle
from lab.datasets.records import DropRule, FloatArray, LabelSource, PseudoLabels, Rle
from lab.recording.arrays import BadRecord, boxes_of, classes_of, masks_of, shares_of

SOURCES = {
    "pseudo": LabelSource.PSEUDO,
    "probe_teacher": LabelSource.PROBE_TEACHER,
    "probe_student": LabelSource.PROBE_STUDENT,
}


def candidates(  # noqa: PLR0913 - what is known of a label
    image_id: int,
    size: tuple[int, int] | None,
    num_classes: int,
    *,
    labels: object,
    scores: object,
    masks: object,
    boxes: object,
    mask_quality: object,
    class_threshold: object,
    mask_threshold: object,
    weights: object,
    source: str,
) -> PseudoLabels:
    """As `OpenRun.pseudo_labels`; size = (height, width) of the image, where it is known.

    A label on a threshold is kept. The rule is the first that fails: class quality, then mask.
    """
    if source not in SOURCES:
        raise BadRecord(f"source = {source!r}: expected {', '.join(SOURCES)}")
    classes = classes_of(labels, num_classes)
    count = len(classes)
    coded = masks_of(masks, count, size)
    score = shares_of("scores", scores, count)
    mask_score = shares_of("mask_quality", 1.0 if mask_quality is None else mask_quality, count)
    bar = shares_of("class_threshold", class_threshold, count)
    mask_bar = shares_of("mask_threshold", mask_threshold, count)
    weight = shares_of("weights", weights, count)
    fails = [score < bar, (score >= bar) & (mask_score < mask_bar)]
    kept = ~(fails[0] | fails[1])
    unknown = np.full(count, np.nan, np.float32)
    rules = np.select(fails, [DropRule.CLASS_QUALITY, DropRule.MASK_QUALITY], DropRule.KEPT)
    return PseudoLabels(
        image_id=image_id,
        source=SOURCES[source],
        boxes=_boxes_around(coded) if boxes is None else boxes_of(boxes, count),
        labels=classes,
        labels_before=classes,
        class_quality=score,
        mask_quality=mask_score,
        score=score * mask_score,
        masks=coded,
        areas=rle.areas(coded).astype(np.float32),
        kept=kept,
        rules=rules.astype(np.int64),
        rule_values=np.select(fails, [bar, mask_bar], np.nan).astype(np.float32),
        teacher_before=unknown,
        teacher_after=unknown,
        clip_before=unknown,
        clip_after=unknown,
        uncertainty=unknown,
        weights=np.where(kept, weight, 0.0).astype(np.float32),
    )


def _boxes_around(masks: tuple[Rle, ...]) -> FloatArray:
    return np.array([rle.tight_box(one) for one in masks], np.float32).reshape(-1, 4)
