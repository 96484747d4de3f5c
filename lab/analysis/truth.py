"""The truth of one image as arrays, and the part of it that a crop still shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lab.analysis.rle import intersection, rectangle
from lab.datasets.records import BoolArray, ImageRecord, IntArray, Rle
from lab.datasets.rle import areas as mask_areas


@dataclass(frozen=True, slots=True)
class ImageTruth:
    """The G annotated instances of one image, in the order of their annotation ids."""

    ids: IntArray
    labels: IntArray
    is_crowd: BoolArray
    areas: IntArray
    """(G,) mask pixels."""
    masks: tuple[Rle, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, keep: BoolArray) -> ImageTruth:
        return ImageTruth(
            self.ids[keep],
            self.labels[keep],
            self.is_crowd[keep],
            self.areas[keep],
            tuple(mask for mask, kept in zip(self.masks, keep, strict=True) if kept),
        )


def image_truth(image: ImageRecord) -> ImageTruth:
    """Read an image's annotations.

    Raises:
        ValueError: when an annotation has no mask, or one of another size than the image.
    """
    annotations = sorted(image.annotations, key=lambda one: one.annotation_id)
    masks: list[Rle] = []
    for one in annotations:
        if one.mask is None:
            raise ValueError(
                f"annotation {one.annotation_id} of image {image.image_id} has no mask"
            )
        check_mask_size(one.mask, image, f"annotation {one.annotation_id}")
        masks.append(one.mask)
    return ImageTruth(
        np.array([one.annotation_id for one in annotations], np.int64),
        np.array([one.label for one in annotations], np.int64),
        np.array([one.is_crowd for one in annotations], np.bool_),
        mask_areas(masks),
        tuple(masks),
    )


def check_mask_size(mask: Rle, image: ImageRecord, what: str) -> None:
    """Raise ValueError unless the mask has its image's size."""
    if (mask.height, mask.width) != (image.height, image.width):
        raise ValueError(
            f"{what} of image {image.image_id}: mask is {mask.height}x{mask.width}, "
            f"the image is {image.height}x{image.width}"
        )


def visible_truth(
    truth: ImageTruth, visible: tuple[float, float, float, float] | None, min_area: int
) -> ImageTruth:
    """The truth inside a rectangle: masks clipped to it, those below `min_area` pixels left out.

    Args:
        truth: of one image.
        visible: XYXY in image pixels; a pixel is visible when its centre is. None = all.
        min_area: fewest visible pixels of an instance that counts.
    """
    if visible is not None and len(truth):
        truth = _clip(truth, visible)
    return truth[truth.areas >= min_area]


def _clip(truth: ImageTruth, visible: tuple[float, float, float, float]) -> ImageTruth:
    height, width = truth.masks[0].height, truth.masks[0].width
    window = rectangle(height, width, visible)
    masks = tuple(intersection(mask, window) for mask in truth.masks)
    return ImageTruth(truth.ids, truth.labels, truth.is_crowd, mask_areas(masks), masks)
