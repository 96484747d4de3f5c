"""Small images with truth and labels for the tests of lab.analysis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from lab.datasets.records import (
    Annotation,
    Category,
    Dataset,
    ImageRecord,
    LabelSource,
    PseudoLabels,
    Rle,
)

BEAR, DOG, CAR = 0, 1, 2
CATEGORIES = (
    Category(23, "bear", "animal"),
    Category(18, "dog", "animal"),
    Category(3, "car", "vehicle"),
)
Box = tuple[int, int, int, int]


def encode(dense: NDArray[np.bool_]) -> Rle:
    made = coco_mask.encode(np.asfortranarray(dense.astype(np.uint8)))
    return Rle(dense.shape[0], dense.shape[1], made["counts"])


def decode(mask: Rle) -> NDArray[np.bool_]:
    return coco_mask.decode(mask.as_coco()).astype(np.bool_)


def block(box: Box, size: int = 20) -> Rle:
    """A filled box (x1, y1, x2, y2) in a square image."""
    dense = np.zeros((size, size), np.bool_)
    dense[box[1] : box[3], box[0] : box[2]] = True
    return encode(dense)


def annotation(
    annotation_id: int, label: int, mask: Rle | None, *, is_crowd: bool = False
) -> Annotation:
    if mask is None:
        return Annotation(annotation_id, label, (0, 0, 1, 1), 1, None, is_crowd)
    x, y, w, h = coco_mask.toBbox(mask.as_coco()).tolist()
    area = float(coco_mask.area(mask.as_coco()))
    return Annotation(annotation_id, label, (x, y, x + w, y + h), area, mask, is_crowd)


def image(image_id: int, *annotations: Annotation, size: int = 20) -> ImageRecord:
    return ImageRecord(image_id, Path(f"{image_id}.jpg"), size, size, annotations)


def dataset(*images: ImageRecord) -> Dataset:
    return Dataset("scene", CATEGORIES, images)


def pseudo_labels(
    image_id: int,
    labels: Sequence[int],
    masks: Sequence[Rle],
    *,
    scores: Sequence[float] | None = None,
    kept: Sequence[bool] | None = None,
    visible: tuple[float, float, float, float] | None = None,
) -> PseudoLabels:
    count = len(labels)
    zeros = np.zeros(count, np.float32)
    classes = np.array(labels, np.int64)
    return PseudoLabels(
        image_id=image_id,
        source=LabelSource.PSEUDO,
        boxes=np.zeros((count, 4), np.float32),
        labels=classes,
        labels_before=classes,
        class_quality=zeros,
        mask_quality=zeros,
        score=np.array([0.9] * count if scores is None else scores, np.float32),
        masks=tuple(masks),
        areas=np.array([coco_mask.area(m.as_coco()) for m in masks], np.float32),
        kept=np.array([True] * count if kept is None else kept, np.bool_),
        rules=np.zeros(count, np.int64),
        rule_values=zeros,
        teacher_before=zeros,
        teacher_after=zeros,
        clip_before=zeros,
        clip_after=zeros,
        uncertainty=zeros,
        weights=zeros,
        visible=visible,
    )
