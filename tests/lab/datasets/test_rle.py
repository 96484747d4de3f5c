"""Masks as run lengths: the same pixels back, and no garbage in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays

from lab.datasets import rle

masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=24))


@given(masks)
def test_a_mask_comes_back_as_it_went(mask):
    coded = rle.encode(mask)

    np.testing.assert_array_equal(rle.decode(coded), mask)
    assert rle.area(coded) == mask.sum()


@given(masks)
def test_runs_and_compressed_text_are_two_spellings_of_one_mask(mask):
    coded = rle.encode(mask)
    runs = rle.run_lengths(coded.counts)

    assert runs.sum() == mask.size and runs[1::2].sum() == mask.sum()
    assert rle.from_runs(runs.tolist(), *mask.shape) == coded
    assert rle.from_counts(coded.counts.decode(), *mask.shape) == coded


@given(masks)
def test_the_tight_box_touches_the_mask_on_every_side(mask):
    rows, columns = np.nonzero(mask)
    expected = (
        (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        if mask.any()
        else (0, 0, 0, 0)
    )

    assert rle.tight_box(rle.encode(mask)) == expected


def test_runs_go_down_the_columns_and_start_with_background():
    # Columns of a 2 x 3 image: 0 1 | 1 1 | 0 0.
    coded = rle.from_runs([1, 3, 2], 2, 3)

    assert rle.decode(coded).tolist() == [[False, True, False], [True, True, False]]


def test_a_polygon_covers_its_pixels_and_is_cut_at_the_image():
    coded = rle.from_polygons([[-5, -5, 2, -5, 2, 3, -5, 3]], 6, 8)

    assert rle.tight_box(coded) == (0, 0, 2, 3)
    assert rle.area(coded) == 6


def test_two_polygons_are_one_mask():
    left, right = [0, 0, 2, 0, 2, 2, 0, 2], [4, 0, 6, 0, 6, 2, 4, 2]

    assert rle.area(rle.from_polygons([left, right], 4, 8)) == 8


def test_a_polygon_of_two_points_is_no_box():
    assert rle.area(rle.from_polygons([[1, 1, 3, 3]], 6, 6)) == 0
    assert rle.area(rle.from_polygons([], 6, 6)) == 0


@pytest.mark.parametrize("polygon", [[1.0, 2, 3], [1.0, 2, 3, 4, 5, "x"], [1.0, 2, 3, 4, 5, [6]]])
def test_a_polygon_that_is_none_is_refused(polygon):
    with pytest.raises(rle.RleError, match="polygon"):
        rle.from_polygons([polygon], 6, 6)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e12])
def test_a_coordinate_far_away_is_refused_before_it_costs_memory(value):
    with pytest.raises(rle.RleError, match="far outside"):
        rle.from_polygons([[1, 1, 2, 2, 3, value]], 6, 6)


@pytest.mark.parametrize("counts", ["", "0160000000", "zzzz", "\x1f", "é", "oooooooooooooo"])
def test_compressed_counts_that_do_not_fill_the_image_are_refused(counts):
    with pytest.raises(rle.RleError, match="counts"):
        rle.from_counts(counts, 6, 6)


@pytest.mark.parametrize("runs", [[3, 4], [40, -4], [36.5, -0.5], ["a"], [[36]], [float("nan")]])
def test_runs_that_do_not_fill_the_image_are_refused(runs):
    with pytest.raises(rle.RleError, match="counts"):
        rle.from_runs(runs, 6, 6)


def test_no_masks_are_normal():
    assert rle.encode_all(np.zeros((0, 4, 5), dtype=bool)) == ()
    assert rle.decode_all([], 4, 5).shape == (0, 4, 5)
    assert rle.areas([]).tolist() == []


def test_masks_of_another_size_do_not_mix():
    coded = rle.encode(np.ones((3, 4), dtype=bool))

    with pytest.raises(rle.RleError, match="3 x 4"):
        rle.decode_all([coded], 4, 3)
