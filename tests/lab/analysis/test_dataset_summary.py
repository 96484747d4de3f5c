"""A dataset in numbers, counted by hand."""

from __future__ import annotations

from pathlib import Path

from lab.analysis.dataset_summary import ImageSizes, summarize
from lab.datasets.records import Annotation, Category, Dataset, ImageRecord

CATEGORIES = (Category(1, "cat", "animal"), Category(2, "dog", "animal"))


def annotation(number: int, area: float, *, is_crowd: bool = False) -> Annotation:
    return Annotation(number, 0, (0, 0, 8, 8), area, None, is_crowd)


def image(image_id: int, width: int, height: int, *annotations: Annotation) -> ImageRecord:
    return ImageRecord(image_id, Path(f"{image_id}.png"), height, width, annotations)


def test_a_dataset_without_images_is_all_zero() -> None:
    found = summarize(Dataset("none", CATEGORIES, ()))

    assert (found.images, found.objects, found.crowds, found.most_objects) == (0, 0, 0, 0)
    assert (found.small, found.medium, found.large) == (0, 0, 0)
    assert found.sizes is None


def test_crowds_are_no_objects_and_an_image_with_nothing_else_is_empty() -> None:
    crowd = annotation(1, 5000, is_crowd=True)
    images = (image(1, 9, 9, crowd), image(2, 9, 9), image(3, 9, 9, annotation(2, 5)))

    found = summarize(Dataset("crowded", CATEGORIES, images))

    assert (found.images, found.empty_images) == (3, 2)
    assert (found.objects, found.crowds, found.most_objects) == (1, 1, 1)
    assert (found.small, found.medium, found.large) == (1, 0, 0)


def test_an_object_of_32_by_32_is_medium_and_one_of_96_by_96_is_large() -> None:
    areas = (1023.9, 1024, 9215.9, 9216)
    objects = tuple(annotation(number, area) for number, area in enumerate(areas, 1))

    found = summarize(Dataset("edges", CATEGORIES, (image(1, 200, 200, *objects),)))

    assert (found.small, found.medium, found.large) == (1, 2, 1)
    assert found.most_objects == 4


def test_sizes_of_images_are_width_by_height_and_ordered_by_pixels() -> None:
    images = (image(1, 100, 20), image(2, 30, 30), image(3, 30, 30), image(4, 50, 30))

    found = summarize(Dataset("sizes", CATEGORIES, images))

    # 900, 1,500 and 2,000 pixels.
    assert found.sizes == ImageSizes(3, (30, 30), 2, (30, 30), (100, 20))
