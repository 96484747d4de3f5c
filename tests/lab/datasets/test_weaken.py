"""A box-supervised run never gets a mask, not even one to look at."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.datasets.records import Annotation, Category, Dataset, ImageRecord, Rle
from lab.datasets.weaken import boxes_only
from tests.guarded import guarded

MASK = Rle(8, 8, b"x")


def dataset(*annotations: Annotation) -> Dataset:
    image = ImageRecord(5, Path("a.png"), 8, 8, annotations, depth_path=Path("a-depth.png"))
    return Dataset("d", (Category(1, "cat", "animal"),), (image,))


def test_boxes_and_classes_stay_and_masks_go():
    weak = boxes_only(dataset(Annotation(7, 0, (1, 2, 5, 4), 3.0, MASK, is_crowd=True)))

    (one,) = weak.images[0].annotations
    assert (one.annotation_id, one.label, one.box, one.is_crowd) == (7, 0, (1, 2, 5, 4), True)
    assert one.mask is None


def test_the_area_is_the_boxs_for_a_masks_area_tells_of_the_mask():
    weak = boxes_only(dataset(Annotation(7, 0, (1, 2, 5, 4), 3.0, MASK)))

    assert weak.images[0].annotations[0].area == 8


def test_masks_are_not_even_looked_at():
    strong = guarded(dataset(Annotation(7, 0, (1, 2, 5, 4), 3.0, MASK)))

    weak = boxes_only(strong)

    assert weak.images[0].annotations[0].mask is None
    with pytest.raises(AssertionError, match="looked at a mask"):
        _ = strong.images[0].annotations[0].mask


def test_the_rest_of_an_image_and_images_without_objects_stay():
    weak = boxes_only(dataset())

    assert weak.images[0].annotations == ()
    assert weak.images[0].depth_path == Path("a-depth.png")
    assert weak.categories == dataset().categories
