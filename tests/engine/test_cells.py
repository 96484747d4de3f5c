"""Cells and pixels: what is sampled from pixels is drawn back where it was."""

from __future__ import annotations

import pytest
import torch

from engine.cells import enlarged, sampled


@pytest.mark.parametrize("stride", [1, 2, 3, 4, 8])
def test_a_cell_has_its_value_at_the_pixel_its_target_is_sampled_from(stride: int):
    torch.manual_seed(0)
    maps = torch.randn(2, 5, 7)

    torch.testing.assert_close(sampled(enlarged(maps, stride), stride), maps)


@pytest.mark.parametrize("stride", [2, 4, 8])
def test_a_straight_slope_stays_where_it_was(stride: int):
    """Pixels x sampled and enlarged are x again, but for half a cell at the edges."""
    pixels = torch.arange(6.0 * stride).repeat(6 * stride, 1)[None]
    found = enlarged(sampled(pixels, stride), stride)

    inner = slice(stride, -stride)
    torch.testing.assert_close(found[:, inner, inner], pixels[:, inner, inner])


def test_by_hand():
    """Two cells of two pixels: 0 at pixel 1 and 4 at pixel 3; between them 2, 0 before."""
    found = enlarged(torch.tensor([[[0.0, 4.0], [0.0, 4.0]]]), 2)

    torch.testing.assert_close(found[0, 0], torch.tensor([0.0, 0.0, 2.0, 4.0]))


@pytest.mark.parametrize("side", [10, 11, 24])
def test_squares_drawn_from_their_samples_are_not_moved(side: int):
    """On the mean over where they begin; with half-pixel centres all move half a pixel up."""
    moved = []
    for start in (20, 21):
        square = torch.zeros(1, 64, 64)
        square[:, start : start + side, start : start + side] = 1
        drawn = enlarged(sampled(square, 2) * 2 - 1, 2) > 0
        moved.append(drawn[0].nonzero().float().mean() - square[0].nonzero().float().mean())

    assert sum(moved) == pytest.approx(0.0, abs=1e-5)


def test_nothing_has_a_size_too():
    assert enlarged(torch.zeros(0, 3, 5), 4).shape == (0, 12, 20)
