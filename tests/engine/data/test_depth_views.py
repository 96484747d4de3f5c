"""Depth maps: read into one range, refused where they cannot be depth, moved as the image is."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.data.depth import (
    DepthCache,
    depth_views,
    read_depth,
    refuse_wrong_sizes,
    stretched,
    warn_without_depth,
)
from engine.data.geometry import depth_to_view, draw_geometry, image_to_view
from engine.data.loading import TrainLoader
from engine.interfaces import Batch
from lab.config import ScheduleConfig, ViewConfig
from lab.datasets.coco_file import DatasetError
from lab.datasets.records import Annotation, Category, Dataset, ImageRecord

VIEW = ViewConfig(crop_size=32, min_scale=0.5, max_scale=1.5)
WIDE = ViewConfig(short_sides=(32, 40), max_side=64)


def make_image(directory: Path, image_id: int) -> ImageRecord:
    """A grey image of 24 x 32 whose depth is its brightness, exactly."""
    grey = np.random.default_rng(image_id).integers(0, 256, (24, 32), dtype=np.uint8)
    grey[0, :2] = 0, 255
    image, depth = directory / f"{image_id}.png", directory / f"{image_id}-depth.png"
    cv2.imwrite(str(image), cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))
    cv2.imwrite(str(depth), grey.astype(np.uint16) * 257)
    thing = Annotation(image_id, 0, (4, 4, 20, 16), 192, None)
    return ImageRecord(image_id, image, 24, 32, (thing,), depth)


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    images = tuple(make_image(tmp_path, image_id) for image_id in range(1, 5))
    return Dataset("deep", (Category(1, "mug", "kitchen"),), images)


def batches(dataset: Dataset, view: ViewConfig = VIEW, **options: object) -> list[Batch]:
    schedule = ScheduleConfig(max_steps=3, labeled_batch=2, num_workers=options.pop("workers", 0))
    device = torch.device("cpu")
    loader = TrainLoader(dataset, None, view, schedule, 5, device, strong_labeled=False, **options)
    return list(loader.batches())


def test_a_map_runs_from_its_second_percentile_to_its_98th():
    """0, 1, ..., 100: percentiles 2 and 98, so 50 is in the middle and 1 is already 0."""
    found = stretched(np.arange(101.0))

    assert found[[0, 1, 2, 50, 98, 100]].tolist() == [0, 0, 0, 32768, 65535, 65535]


def test_a_flat_map_is_all_far():
    assert not stretched(np.full((3, 4), 9, np.uint16)).any()


@given(st.integers(0, 1000), st.floats(0.1, 50), st.floats(-5, 5))
def test_neither_scale_nor_offset_of_depth_matters(seed: int, scale: float, offset: float):
    depth = np.random.default_rng(seed).random((5, 6))

    difference = stretched(depth).astype(int) - stretched(scale * depth + offset).astype(int)

    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.zeros((24, 32, 3), np.uint8), "grey"),
        (np.zeros((24, 33), np.uint16), "24 x 33"),
        (None, "not an image"),
    ],
)
def test_what_cannot_be_the_depth_of_an_image_is_named(tmp_path, pixels, words):
    record = make_image(tmp_path, 1)
    assert record.depth_path is not None
    record.depth_path.write_bytes(b"")
    if pixels is not None:
        cv2.imwrite(str(record.depth_path), pixels)

    with pytest.raises(DatasetError, match=words) as error:
        read_depth(record)
    assert str(record.depth_path) in str(error.value)


def test_a_missing_map_is_named(tmp_path):
    record = replace(make_image(tmp_path, 1), depth_path=tmp_path / "none.png")

    with pytest.raises(DatasetError, match=r"none\.png: cannot be read"):
        read_depth(record)
    with pytest.raises(DatasetError, match="has no depth map"):
        read_depth(replace(record, depth_path=None))


def test_depth_moves_as_the_image_does(tmp_path):
    """An enlarged and a cropped view of a grey image and of the depth that is its brightness."""
    grey = np.random.default_rng(0).integers(0, 256, (24, 32), dtype=np.uint8)
    config = ViewConfig(crop_size=32, min_scale=1.0, max_scale=2.0)
    for seed in range(8):
        geometry = draw_geometry(24, 32, config, np.random.default_rng(seed))

        image = image_to_view(np.repeat(grey[..., None], 3, axis=2), geometry)
        depth = depth_to_view(grey.astype(np.uint16) * 257, geometry)

        assert depth.shape == (geometry.height, geometry.width)
        assert np.abs(depth / 257 - image[..., 0]).max() <= 1


@pytest.mark.parametrize("view", [VIEW, WIDE], ids=["crops", "whole"])
def test_a_batch_has_the_depth_of_what_it_shows_and_none_in_its_padding(dataset, view):
    for batch in batches(dataset, view, with_depth=True):
        labeled = batch.labeled
        assert labeled.depth is not None
        assert labeled.depth.shape == (2, *labeled.weak.shape[2:])
        assert labeled.depth.dtype == torch.float32
        for depth, shown in zip(labeled.depth, labeled.geometry, strict=True):
            assert depth.min() >= 0 and depth.max() <= 1
            assert depth[: shown.height, : shown.width].any()
            assert not depth[shown.height :].any() and not depth[:, shown.width :].any()


def test_worker_processes_do_not_change_depth(dataset):
    alone, helped = batches(dataset, with_depth=True), batches(dataset, with_depth=True, workers=2)

    for one, other in zip(alone, helped, strict=True):
        assert torch.equal(one.labeled.depth, other.labeled.depth)


def test_depth_is_not_even_read_unless_it_is_wanted(dataset):
    for image in dataset.images:
        image.depth_path.unlink()

    assert all(batch.labeled.depth is None for batch in batches(dataset))
    with pytest.raises(DatasetError, match="cannot be read"):
        batches(dataset, with_depth=True)


def test_an_image_without_a_map_is_all_zero(dataset):
    one, two = dataset.images[0], replace(dataset.images[1], depth_path=None)
    geometry = [draw_geometry(24, 32, VIEW, np.random.default_rng(0))] * 2

    depth = depth_views([one, two], geometry, (32, 32), DepthCache(10**6))

    assert depth[0].any() and not depth[1].any()


def test_missing_maps_are_counted_in_the_log(dataset, caplog):
    bare = dataset.with_images([replace(dataset.images[0], depth_path=None), *dataset.images[1:]])

    with caplog.at_level(logging.WARNING, "seglab"):
        warn_without_depth(dataset)
        assert caplog.text == ""
        warn_without_depth(bare)

    assert "1 of 4 training images have no depth map" in caplog.text
    assert str(bare.images[0].path) in caplog.text


def test_a_map_of_another_size_is_refused_before_it_is_needed(dataset):
    refuse_wrong_sizes(dataset)
    wrong = dataset.images[2].depth_path
    cv2.imwrite(str(wrong), np.zeros((32, 24), np.uint8))

    with pytest.raises(DatasetError, match=r"the depth map is 32 x 24 .* its image 24 x 32"):
        refuse_wrong_sizes(dataset)


def test_a_map_that_is_no_png_or_missing_is_left_to_its_reader(dataset, tmp_path):
    (tmp_path / "short.png").write_bytes(b"\x89PNG")
    odd = [
        replace(dataset.images[0], depth_path=tmp_path / name) for name in ("short.png", "gone.png")
    ]

    refuse_wrong_sizes(dataset.with_images(odd))
