"""Things made up for tests: labels with plausible scores, and a small store full of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from lab.datasets.records import (
    Category,
    DropRule,
    ErrorKind,
    LabelSource,
    PseudoLabels,
    Rle,
)

CATEGORIES = (
    Category(1, "cat", "animal"),
    Category(2, "dog", "animal"),
    Category(3, "car", "vehicle"),
    Category(7, "bus", "vehicle"),
)
CLASS_THRESHOLD = 0.7
MASK_THRESHOLD = 0.8


def rle(mask: NDArray[np.bool_]) -> Rle:
    """(H, W) bool -> compressed RLE."""
    encoded = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return Rle(mask.shape[0], mask.shape[1], encoded["counts"])


def ellipse(side: int, box: tuple[float, float, float, float]) -> NDArray[np.bool_]:
    """(side, side) bool: the ellipse that fills the box."""
    x1, y1, x2, y2 = box
    y, x = np.mgrid[:side, :side] + 0.5
    across = (x - (x1 + x2) / 2) / max(1.0, (x2 - x1) / 2)
    down = (y - (y1 + y2) / 2) / max(1.0, (y2 - y1) / 2)
    return across**2 + down**2 <= 1


def pseudo_labels(
    count: int = 5,
    *,
    image_id: int = 1,
    source: LabelSource = LabelSource.PSEUDO,
    seed: int = 0,
    side: int = 64,
    num_classes: int = len(CATEGORIES),
    judged: bool = True,
) -> PseudoLabels:
    """`count` random candidates with consistent columns; two thresholds decide what is kept."""
    rng = np.random.default_rng([seed, image_id, count])
    corners = rng.uniform(0, side * 0.6, (count, 2))
    boxes = np.hstack([corners, corners + rng.uniform(6, side * 0.4, (count, 2))])
    masks = [ellipse(side, (box[0], box[1], box[2], box[3])) for box in boxes]
    class_quality, mask_quality, uncertainty = rng.beta(3, 1.5, (3, count))
    before = rng.integers(0, num_classes, count)
    changed = rng.random(count) < 0.1
    clip = np.where(rng.random((2, count)) < 0.3, np.nan, rng.random((2, count)))
    kinds = rng.choice(np.arange(1, 6), count, p=[0.5, 0.2, 0.1, 0.05, 0.15])
    labels = PseudoLabels(
        image_id=image_id,
        source=source,
        boxes=boxes.astype(np.float32),
        labels=np.where(changed, (before + 1) % num_classes, before),
        labels_before=before,
        **decide(class_quality, mask_quality),
        masks=tuple(rle(mask) for mask in masks),
        areas=np.array([mask.sum() for mask in masks], np.float32),
        teacher_before=class_quality.astype(np.float32),
        teacher_after=(class_quality * 0.9).astype(np.float32),
        clip_before=clip[0].astype(np.float32),
        clip_after=clip[1].astype(np.float32),
        uncertainty=(uncertainty * 0.5).astype(np.float32),
    )
    if not judged:
        return labels
    matched = kinds != ErrorKind.BG
    right = kinds == ErrorKind.COR
    duplicates = right & (rng.random(count) < 0.1)
    found = int((labels.kept & right & ~duplicates).sum())
    return replace(
        labels,
        kinds=kinds,
        true_ious=np.where(matched, np.where(right, 0.8, 0.3), np.nan).astype(np.float32),
        gt_ids=np.where(matched, 100 * image_id + np.arange(count), -1),
        duplicates=duplicates,
        num_truths=found + 2,
        missed=2,
    )


def decide(class_quality: NDArray, mask_quality: NDArray) -> dict[str, NDArray]:
    """The columns that follow from two thresholds: qualities, score, kept, rules, weights."""
    poor_class = class_quality < CLASS_THRESHOLD
    poor_mask = ~poor_class & (mask_quality < MASK_THRESHOLD)
    kept = ~poor_class & ~poor_mask
    rules = np.select(
        [poor_class, poor_mask], [DropRule.CLASS_QUALITY, DropRule.MASK_QUALITY], DropRule.KEPT
    )
    values = np.select([poor_class, poor_mask], [CLASS_THRESHOLD, MASK_THRESHOLD], np.nan)
    return {
        "class_quality": class_quality.astype(np.float32),
        "mask_quality": mask_quality.astype(np.float32),
        "score": (class_quality * mask_quality).astype(np.float32),
        "kept": kept,
        "rules": rules.astype(np.int64),
        "rule_values": values.astype(np.float32),
        "weights": kept.astype(np.float32),
    }
