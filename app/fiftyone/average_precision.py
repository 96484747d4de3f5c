"""COCO's AP of the labels of a field, as FiftyOne's Model Evaluation panel wants it. Pure.

AP has thresholds of its own, so it is of all labels of a field by score, kept or not; of
predictions it is the AP that the run's evaluation has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from app.fiftyone.content import FieldContent
from lab.analysis.average_precision import Curves, ImagePredictions, precision_curves
from lab.analysis.truth import ImageTruth
from lab.datasets.records import Category, Dataset, ImageRecord, Rle


def field_curves(
    content: FieldContent, images: Mapping[int, ImageRecord], categories: Sequence[Category]
) -> Curves | None:
    """Precision and recall on the images of `content` whose truth is known.

    None where they cannot be told: no truth, a mask that the store let go, a score of NaN.
    """
    if len(content.masks) < len(content.columns["label_id"]):
        return None
    if not np.isfinite(content.columns["score"]).all():
        return None
    shown = (images[one] for one in content.versions if one in images)
    known = [(image, truth) for image in shown if (truth := content.truth_of(image)) is not None]
    if not known:
        return None
    seen = tuple(as_seen(image, truth) for image, truth in known)
    found = [predictions_of(content, image.image_id) for image in seen]
    return precision_curves(Dataset("field", tuple(categories), seen), found)


def as_seen(image: ImageRecord, truth: ImageTruth) -> ImageRecord:
    """An image with the objects that a network could see of it, as far as it could."""
    masks = dict(
        zip(truth.ids.tolist(), zip(truth.masks, truth.areas.tolist(), strict=True), strict=True)
    )
    annotations = tuple(
        replace(one, mask=masks[one.annotation_id][0], area=float(masks[one.annotation_id][1]))
        for one in image.annotations
        if one.annotation_id in masks
    )
    return replace(image, annotations=annotations)


def predictions_of(content: FieldContent, image_id: int) -> ImagePredictions:
    rows = content.rows.get(image_id, slice(0, 0))
    masks: list[Rle] = [mask for mask in content.row_masks(rows) if mask is not None]
    classes = content.columns["label"][rows].astype(np.int64)
    return ImagePredictions(image_id, classes, content.columns["score"][rows], tuple(masks))
