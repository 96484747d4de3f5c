"""Boxes around masks, and pictures cut out of images."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.data import geometry
from engine.models.patches import cut_patches, tight_boxes, widen_boxes


def test_a_tight_box_is_half_open():
    masks = torch.zeros(3, 6, 8, dtype=torch.bool)
    masks[0, 1:4, 2:7] = True
    masks[1, 5, 7] = True

    assert tight_boxes(masks).tolist() == [[2, 1, 7, 4], [7, 5, 8, 6], [0, 0, 0, 0]]


def test_no_masks_have_no_boxes():
    assert tight_boxes(torch.zeros(0, 4, 4, dtype=torch.bool)).shape == (0, 4)


@given(st.integers(0, 2**16), st.floats(0, 0.3))
def test_boxes_on_the_device_are_those_of_the_loader(seed: int, density: float):
    masks = np.random.default_rng(seed).random((4, 7, 5)) < density

    on_device = tight_boxes(torch.from_numpy(masks)).numpy()

    np.testing.assert_array_equal(on_device, geometry.tight_boxes(masks))


def test_a_margin_is_a_share_of_each_side():
    boxes = torch.tensor([[10.0, 10.0, 20.0, 14.0]])

    assert widen_boxes(boxes, 0.25).tolist() == [[7.5, 9.0, 22.5, 15.0]]
    assert widen_boxes(boxes, 0.0).tolist() == boxes.tolist()


def test_a_box_of_the_patches_own_size_is_cut_out_unchanged():
    images = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))

    patch = cut_patches(images, [torch.tensor([[2.0, 3.0, 6.0, 7.0]])], 4)

    torch.testing.assert_close(patch[0], images[0, :, 3:7, 2:6])


def test_shrinking_averages_instead_of_picking_pixels():
    board = (torch.arange(16)[:, None] + torch.arange(16)[None]).remainder(2).float()

    patch = cut_patches(board[None, None], [torch.tensor([[0.0, 0.0, 16.0, 16.0]])], 2)

    torch.testing.assert_close(patch, torch.full((1, 1, 2, 2), 0.5))


def test_patches_come_image_by_image_and_beyond_the_image_is_black():
    images = torch.stack([torch.full((1, 8, 8), 1.0), torch.full((1, 8, 8), 2.0)])
    inside, outside = torch.tensor([[0.0, 0, 4, 4]]), torch.tensor([[20.0, 20, 24, 24]])

    patches = cut_patches(images, [inside, torch.cat([inside, outside])], (2, 3))

    assert patches.shape == (3, 1, 2, 3)
    assert patches.mean(dim=(1, 2, 3)).tolist() == [1, 2, 0]
