"""A view is a flip, a scale and a crop; everything that moves with it comes back exactly."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data.geometry import (
    boxes_to_image,
    boxes_to_view,
    draw_geometry,
    fitted_geometry,
    image_to_view,
    instances_to_view,
    masks_to_image,
    masks_to_view,
    shows_everything,
    tight_boxes,
    visible_box,
)
from engine.interfaces import ViewGeometry
from lab.config import ViewConfig

IDENTITY = ViewGeometry(4, 6, False, 1.0, 1.0, 0, 0, 4, 6)

ROUNDING = 1e-4
"""Image pixels: boxes are float32."""


@st.composite
def geometries(draw: st.DrawFn) -> ViewGeometry:
    height, width = draw(st.integers(1, 90)), draw(st.integers(1, 90))
    config = ViewConfig(
        crop_size=draw(st.sampled_from([32, 64])),
        flip_probability=draw(st.sampled_from([0.0, 1.0])),
        min_scale=draw(st.sampled_from([0.1, 0.5, 1.0])),
        max_scale=draw(st.sampled_from([1.0, 2.0, 4.0])),
    )
    return draw_geometry(height, width, config, np.random.default_rng(draw(st.integers(0, 999))))


def random_masks(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, height, width)) < 0.5


def box_mask(geometry: ViewGeometry, margin: float = 0.0) -> np.ndarray:
    """Pixels of the image whose centre the view shows, and lies so far inside its edge."""
    x1, y1, x2, y2 = visible_box(replace(geometry, flipped=False))
    y, x = np.mgrid[: geometry.image_height, : geometry.image_width] + 0.5
    shown = (x >= x1 + margin) & (x < x2 - margin) & (y >= y1 + margin) & (y < y2 - margin)
    return shown[:, ::-1] if geometry.flipped else shown


def test_a_flipped_cropped_and_doubled_box_lands_where_it_should():
    geometry = ViewGeometry(10, 20, True, 2.0, 2.0, 4, 6, 16, 30)

    # x: 3..8 of 20 flips to 12..17, doubles to 24..34, less 6 = 18..28. y: 4..7 -> 8..14 -> 4..10.
    moved = boxes_to_view(np.array([[3, 4, 8, 7]], dtype=np.float32), geometry)

    assert moved.tolist() == [[18, 4, 28, 10]]
    assert boxes_to_image(moved, geometry).tolist() == [[3, 4, 8, 7]]


def test_the_visible_box_of_a_crop_is_where_the_crop_lies_in_the_image():
    geometry = ViewGeometry(10, 20, True, 2.0, 2.0, 4, 6, 16, 30)

    # Columns 6..36 of 40, halved 3..18, flipped 2..17; rows 4..20 of 20, halved 2..10.
    assert visible_box(geometry) == (2, 2, 17, 10)
    assert not shows_everything(geometry)
    assert shows_everything(IDENTITY)


def test_halving_a_mask_takes_the_pixel_under_each_centre():
    geometry = ViewGeometry(4, 4, False, 0.5, 0.5, 0, 0, 2, 2)
    mask = np.arange(16).reshape(1, 4, 4) == 15

    # The centre of view pixel (1, 1) is image point (3, 3): the corner where pixel (3, 3) begins.
    assert masks_to_view(mask, geometry).tolist() == [[[False, False], [False, True]]]


@given(geometries(), st.integers(0, 4))
@settings(deadline=None)
def test_an_enlarged_mask_comes_back_exactly_where_the_view_shows_it(geometry, count):
    masks = random_masks(count, geometry.image_height, geometry.image_width)

    back = masks_to_image(masks_to_view(masks, geometry), geometry)

    assert back.shape == masks.shape
    if min(geometry.scale_y, geometry.scale_x) >= 1:
        # A centre on the edge, as 14.5 * 60/58 = 15, falls to the side that rounding says.
        inside, outside = box_mask(geometry, ROUNDING), ~box_mask(geometry, -ROUNDING)
        assert np.array_equal(back & inside, masks & inside)
        assert not (back & outside).any()
        assert not (back & ~masks).any()


def test_a_centre_on_the_edge_of_a_view_is_its_first_line():
    geometry = ViewGeometry(62, 58, False, 64 / 62, 60 / 58, 18, 15, 32, 32)
    mask = np.ones((1, 62, 58), bool)

    (back,) = masks_to_image(masks_to_view(mask, geometry), geometry)

    # 14.5 * 60/58 = 15, the offset; 44.5 * 60/58 = 46.03, below 15 + 32. 17.5 * 64/62 = 18.06.
    assert np.flatnonzero(back.any(axis=0)).tolist() == [*range(14, 45)]
    assert np.flatnonzero(back.any(axis=1)).tolist() == [*range(17, 48)]


@given(geometries(), st.integers(0, 4))
@settings(deadline=None)
def test_a_view_mask_survives_the_way_to_a_larger_image_and_back(geometry, count):
    view_masks = random_masks(count, geometry.height, geometry.width)

    back = masks_to_view(masks_to_image(view_masks, geometry), geometry)

    if max(geometry.scale_y, geometry.scale_x) <= 1:
        assert np.array_equal(back, view_masks)


@given(geometries())
@settings(deadline=None)
def test_nothing_appears_outside_the_visible_box(geometry):
    everywhere = np.ones((1, geometry.height, geometry.width), dtype=bool)

    assert np.array_equal(masks_to_image(everywhere, geometry)[0], box_mask(geometry))


@given(geometries())
@settings(deadline=None)
def test_a_box_inside_the_visible_part_comes_back(geometry):
    x1, y1, x2, y2 = visible_box(geometry)
    inner = [[x1 + (x2 - x1) / 4, y1 + (y2 - y1) / 4, x1 + (x2 - x1) / 2, y2]]
    inner = np.array(inner, dtype=np.float32)

    np.testing.assert_allclose(
        boxes_to_image(boxes_to_view(inner, geometry), geometry), inner, atol=1e-2
    )


@given(geometries())
@settings(deadline=None)
def test_a_drawn_view_fits_its_crop_and_lies_in_the_scaled_image(geometry):
    scaled_height = geometry.image_height * geometry.scale_y
    scaled_width = geometry.image_width * geometry.scale_x

    assert 1 <= geometry.height <= 64 and 1 <= geometry.width <= 64
    assert 0 <= geometry.offset_y <= scaled_height - geometry.height + 1e-6
    assert 0 <= geometry.offset_x <= scaled_width - geometry.width + 1e-6


@given(geometries())
@settings(deadline=None)
def test_image_and_mask_move_together(geometry):
    """A bright half is where its mask is, up to the pixels on its edge."""
    mask = np.zeros((1, geometry.image_height, geometry.image_width), dtype=bool)
    mask[:, :, geometry.image_width // 2 :] = True
    image = np.repeat(mask[0, :, :, None], 3, axis=2).astype(np.uint8) * 255

    view = image_to_view(image, geometry)[..., 0] > 127

    assert view.shape == (geometry.height, geometry.width)
    differing_columns = (view != masks_to_view(mask, geometry)[0]).any(axis=0).sum()
    assert differing_columns <= 1


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("scale", [0.5, 1.5, 2.0])
def test_a_cropped_view_is_the_crop_of_the_resized_image(scale, flipped):
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    height, width = int(40 * scale), int(60 * scale)
    geometry = ViewGeometry(40, 60, flipped, scale, scale, 3, 5, 12, 20)

    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    whole = cv2.resize(image, (width, height), interpolation=interpolation)
    expected = (whole[:, ::-1] if flipped else whole)[3:15, 5:25]

    difference = image_to_view(image, geometry).astype(int) - expected
    # warpAffine rounds its weights to 1/32 pixel.
    assert np.abs(difference).max() <= 6


def test_a_view_at_full_scale_is_the_image_itself():
    image = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)

    assert np.array_equal(image_to_view(image, IDENTITY), image)
    assert np.array_equal(image_to_view(image, replace(IDENTITY, flipped=True)), image[:, ::-1])


def test_the_longest_side_of_a_fitted_image_is_the_asked_one():
    geometry = fitted_geometry(30, 40, longest_side=100)

    assert (geometry.height, geometry.width) == (75, 100)
    assert shows_everything(geometry)


def test_a_sliver_keeps_at_least_one_pixel():
    geometry = fitted_geometry(1, 1000, longest_side=100)

    assert (geometry.height, geometry.width) == (1, 100)


def test_an_instance_cut_away_by_the_crop_is_left_out():
    geometry = replace(IDENTITY, offset_x=3, width=3)
    masks = np.zeros((2, 4, 6), dtype=bool)
    masks[0, :, :2] = True
    masks[1, 1:3, 2:5] = True

    seen = instances_to_view(tight_boxes(masks), masks, geometry)

    assert seen.shown.tolist() == [1]
    assert seen.boxes.tolist() == [[0, 1, 2, 3]]


def test_a_box_of_which_less_than_a_pixel_is_left_is_dropped():
    geometry = replace(IDENTITY, offset_x=3, width=3)
    boxes = np.array([[0, 0, 3.5, 4], [0, 0, 4, 4]], dtype=np.float32)

    seen = instances_to_view(boxes, None, geometry)

    assert seen.shown.tolist() == [1]
    assert seen.boxes.tolist() == [[0, 0, 1, 4]]
    assert seen.masks is None


def test_no_instances_are_no_instances_in_the_view():
    empty = np.zeros((0, 4), dtype=np.float32)

    assert instances_to_view(empty, None, IDENTITY).boxes.shape == (0, 4)
    seen = instances_to_view(empty, np.zeros((0, 4, 6), dtype=bool), IDENTITY)
    assert seen.masks is not None and seen.masks.shape == (0, 4, 6)


def test_tight_boxes_are_half_open_and_zero_when_empty():
    masks = np.zeros((2, 5, 7), dtype=bool)
    masks[0, 1:4, 2:6] = True

    assert tight_boxes(masks).tolist() == [[2, 1, 6, 4], [0, 0, 0, 0]]
