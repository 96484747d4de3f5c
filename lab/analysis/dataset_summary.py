"""What a dataset holds, in numbers: images, objects, how many of an image, how large."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from lab.analysis.groups import size_groups
from lab.analysis.recognition import SIZES
from lab.datasets.records import Dataset

ImageSize = tuple[int, int]
"""Width and height in pixels."""


@dataclass(frozen=True, slots=True)
class ImageSizes:
    """How large images are; smallest and largest by their number of pixels."""

    different: int
    commonest: ImageSize
    of_commonest: int
    """So many images have that size."""
    smallest: ImageSize
    largest: ImageSize


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """A dataset in numbers. An object is what is annotated and no crowd."""

    images: int
    empty_images: int
    """Images without an object; one with nothing but a crowd is empty too."""
    objects: int
    crowds: int
    most_objects: int
    """Of one image."""
    small: int
    """Objects below 32 x 32 pixels of area in the image, as COCO counts it."""
    medium: int
    large: int
    """... of 96 x 96 and more."""
    sizes: ImageSizes | None
    """None = there is no image."""


def summarize(dataset: Dataset) -> DatasetSummary:
    """Count once through the images; masks are not looked at, areas are those of the file."""
    per_image = [sum(not one.is_crowd for one in image.annotations) for image in dataset.images]
    annotations = [one for image in dataset.images for one in image.annotations]
    areas = np.array([one.area for one in annotations if not one.is_crowd])
    small, medium, large = np.bincount(size_groups(areas), minlength=len(SIZES)).tolist()
    return DatasetSummary(
        images=len(dataset.images),
        empty_images=per_image.count(0),
        objects=len(areas),
        crowds=len(annotations) - len(areas),
        most_objects=max(per_image, default=0),
        small=small,
        medium=medium,
        large=large,
        sizes=image_sizes(dataset),
    )


def image_sizes(dataset: Dataset) -> ImageSizes | None:
    """Of several sizes that are equally common, the first that occurs."""
    counts = Counter((image.width, image.height) for image in dataset.images)
    if not counts:
        return None
    commonest, often = counts.most_common(1)[0]
    by_pixels = sorted(counts, key=lambda size: size[0] * size[1])
    return ImageSizes(len(counts), commonest, often, by_pixels[0], by_pixels[-1])
