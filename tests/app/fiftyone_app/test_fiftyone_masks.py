"""Masks cut out at their box: the same pixels as before."""

from __future__ import annotations

import zlib
from io import BytesIO

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from app.fiftyone.masks import Cutout, cutouts, unfold
from lab.datasets.records import Rle
from lab.datasets.rle import encode, run_lengths

MASKS = st.lists(
    arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12)), max_size=6
)


def pasted(cutout: Cutout, height: int, width: int) -> np.ndarray:
    """The mask again, read as FiftyOne reads it."""
    x1, y1, x2, y2 = cutout.box
    whole = np.zeros((height, width), np.bool_)
    whole[y1:y2, x1:x2] = np.load(BytesIO(zlib.decompress(cutout.packed)))
    return whole


@given(MASKS)
def test_a_cutout_is_its_mask_pixel_for_pixel(masks: list[np.ndarray]):
    found = cutouts([encode(mask) for mask in masks])

    for mask, cutout in zip(masks, found, strict=True):
        assert (pasted(cutout, *mask.shape) == mask).all()


def test_a_cutout_is_as_tight_as_can_be():
    mask = np.zeros((6, 8), np.bool_)
    mask[2:4, 3:7] = True

    (cutout,) = cutouts([encode(mask)])

    assert cutout.box == (3, 2, 7, 4)


def test_an_empty_mask_has_an_empty_cutout():
    (cutout,) = cutouts([encode(np.zeros((4, 5), np.bool_))])

    assert cutout.box == (0, 0, 0, 0)


def test_no_masks_are_no_cutouts():
    assert cutouts([]) == []


@given(MASKS.filter(bool))
def test_many_masks_unfold_as_each_would_alone(masks: list[np.ndarray]):
    rles: list[Rle] = [encode(mask) for mask in masks]

    runs = unfold(rles)

    lengths = runs.end - runs.start
    for place, rle in enumerate(rles):
        assert lengths[runs.owner == place].tolist() == run_lengths(rle.counts).tolist()
