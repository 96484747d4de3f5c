"""Masks at points: bilinear values, and points where masks are undecided."""

import pytest
import torch

from engine.losses.points import sample_points, uncertain_points, uniform_points


def test_a_point_on_a_pixel_centre_reads_that_pixel():
    """A 2 x 2 map has its centres at 1/4 and 3/4; a point is (x, y)."""
    values = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    points = torch.tensor([[[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]])

    assert sample_points(values, points).tolist() == [[1.0, 2.0, 3.0, 4.0]]


def test_between_centres_values_are_bilinear_and_outside_zero():
    values = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    points = torch.tensor([[[0.5, 0.5], [0.5, 0.25], [0.0, 0.0]]])

    # The middle of all four; halfway from 1 to 2; a quarter of 1, the rest lies outside.
    assert sample_points(values, points).tolist() == [[2.5, 1.5, 0.25]]


def test_a_point_means_the_same_place_at_every_resolution():
    coarse = torch.tensor([[[0.0, 1.0], [0.0, 1.0]]])
    fine = coarse.repeat_interleave(4, dim=1).repeat_interleave(4, dim=2)
    points = torch.tensor([[[0.2, 0.5], [0.8, 0.5]]])

    torch.testing.assert_close(
        sample_points(fine, points), sample_points(coarse, points), atol=0.2, rtol=0
    )


def test_maps_that_share_their_points_are_sampled_together():
    maps, points = torch.randn(2, 3, 5, 4), torch.rand(2, 7, 2)

    together = sample_points(maps, points)

    for k in range(3):
        torch.testing.assert_close(together[:, k], sample_points(maps[:, k], points))


def test_most_chosen_points_are_undecided():
    """Left half sure, right half undecided: 3 of 4 points go right, and of the rest about half."""
    torch.manual_seed(0)
    logits = torch.full((1, 8, 8), 10.0)
    logits[:, :, 4:] = 0.01

    points = uncertain_points(logits, 400, oversample=3.0, importance=0.75)

    assert points.shape == (1, 400, 2)
    assert (points[0, :300, 0] >= 0.5 - 1 / 16).all()
    assert 0.35 < (points[0, 300:, 0] > 0.5).float().mean() < 0.65


@pytest.mark.parametrize("importance", [0.0, 1.0])
def test_the_number_of_points_holds_at_both_ends(importance: float):
    points = uncertain_points(torch.randn(2, 4, 4), 10, oversample=1.0, importance=importance)

    assert points.shape == (2, 10, 2)
    assert ((points >= 0) & (points <= 1)).all()


def test_no_mask_gives_no_points():
    assert uncertain_points(torch.zeros(0, 4, 4), 10).shape == (0, 10, 2)
    assert uniform_points(0, 3, torch.device("cpu")).shape == (0, 3, 2)


def test_sampling_passes_the_gradient_on():
    maps = torch.randn(1, 3, 3, dtype=torch.float64, requires_grad=True)
    points = torch.rand(1, 5, 2, dtype=torch.float64)

    assert torch.autograd.gradcheck(lambda x: sample_points(x, points), maps)
