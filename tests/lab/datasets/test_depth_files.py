"""Depth maps under the names of their images."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.datasets.coco_file import DatasetError
from lab.datasets.depth_files import depth_files, with_depth
from lab.datasets.records import Category, Dataset, ImageRecord


def dataset(*names: str) -> Dataset:
    images = [ImageRecord(n, Path("photos") / name, 8, 8) for n, name in enumerate(names, start=1)]
    return Dataset("deep", (Category(1, "cat", "animal"),), tuple(images))


def test_a_map_has_the_name_of_its_image_in_another_directory():
    found = depth_files(dataset("a/one.jpg", "two.v2.png").images, Path("photos"), Path("depth"))

    assert found == [Path("depth/a/one.png"), Path("depth/two.v2.png")]


def test_maps_that_are_there_are_found(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.png").touch()

    found = with_depth(dataset("a/one.jpg", "b/one.jpg"), Path("photos"), tmp_path)

    assert [image.depth_path for image in found.images] == [tmp_path / "a" / "one.png", None]


def test_a_directory_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"dataset\.train_depth = .*nowhere"):
        with_depth(dataset("one.jpg"), Path("photos"), tmp_path / "nowhere")


def test_two_images_cannot_share_a_map(tmp_path):
    with pytest.raises(DatasetError, match=r"one\.png and .*one\.jpg"):
        depth_files(dataset("one.jpg", "one.png").images, Path("photos"), tmp_path)


def test_no_images_have_no_maps(tmp_path):
    assert depth_files([], Path("photos"), tmp_path) == []
