"""Depth losses against values worked out by hand."""

from __future__ import annotations

import pytest
import torch

from engine.interfaces import ViewGeometry
from engine.losses.depth import (
    DepthMaps,
    box_range,
    depth_affinity,
    depth_loss,
    depth_maps,
    depth_similarity,
)
from engine.losses.pairwise import Offset, edge_costs, pairwise_loss

CHAIN = torch.tensor([[[0.50, 0.52, 0.90, 0.95]]])
PROBS = torch.tensor([[[0.9, 0.8, 0.3, 0.2]]])
FIRST = torch.zeros(1, dtype=torch.long)


def view(height: int, width: int) -> ViewGeometry:
    return ViewGeometry(height, width, False, 1.0, 1.0, 0, 0, height, width)


def known(cells: torch.Tensor) -> DepthMaps:
    return DepthMaps(cells, torch.ones_like(cells, dtype=torch.bool), torch.ones(len(cells)) > 0)


def test_the_squared_error_of_the_worked_example():
    """H2: errors .1, -.1 in the box: squares sum to .02, the mean of its two cells is .01."""
    predicted = torch.tensor([[[0.6, 0.4, 0.9]]]).logit()
    inside = torch.tensor([[[True, True, False]]])

    loss = depth_loss(predicted, torch.full((1, 1, 3), 0.5), inside, torch.tensor([True]))

    assert loss.item() == pytest.approx(0.01, abs=1e-6)


def test_a_sample_without_depth_does_not_count():
    predicted = torch.tensor([[[0.6, 0.4]], [[0.9, 0.9]]]).logit()
    inside = torch.ones(2, 1, 2, dtype=torch.bool)

    loss = depth_loss(predicted, torch.full((2, 1, 2), 0.5), inside, torch.tensor([True, False]))

    assert loss.item() == pytest.approx(0.01, abs=1e-6)


def test_nothing_to_learn_from_is_no_loss_but_has_a_gradient():
    nothing = torch.zeros(0, 2, 2, requires_grad=True)
    unknown = torch.zeros(1, 2, 2, requires_grad=True)
    everywhere = torch.ones(1, 2, 2, dtype=torch.bool)

    empty = depth_loss(nothing, torch.zeros(0, 2, 2), everywhere[:0], torch.zeros(0).bool())
    uncounted = depth_loss(unknown, torch.zeros(1, 2, 2), everywhere, torch.tensor([False]))
    (empty + uncounted).backward()

    assert empty.item() == uncounted.item() == 0
    assert unknown.grad is not None and not unknown.grad.any()


def test_the_gradient_of_the_depth_loss_is_right():
    torch.manual_seed(0)
    logits = torch.randn(2, 2, 3, dtype=torch.float64, requires_grad=True)
    truth, inside = torch.rand(2, 2, 3, dtype=torch.float64), torch.rand(2, 2, 3) > 0.3

    def loss(x: torch.Tensor) -> torch.Tensor:
        return depth_loss(x, truth, inside, torch.tensor([True, True]))

    assert torch.autograd.gradcheck(loss, logits)


@pytest.mark.parametrize(
    ("sharpness", "expected"),
    [(1.0, [0.980199, 0.683861, 0.951229]), (10.0, [0.818731, 0.022371, 0.606531])],
)
def test_depth_consistency_along_a_chain(sharpness: float, expected: list[float]):
    """H3: with kappa = 1, as printed, even a jump of .38 is above a threshold of one half."""
    found = depth_similarity(CHAIN, Offset(0, 1), sharpness)

    assert found[0, 0].tolist() == pytest.approx(expected, abs=1e-6)


def test_the_consistency_loss_leaves_out_the_edge_where_depth_jumps():
    """H4: -log of .74 and of .62 make .779141; each edge counts from both ends."""
    edges = depth_affinity(known(CHAIN), sharpness=10.0, threshold=0.5, dilation=1)
    logits, inside = PROBS.logit(), torch.ones(1, 1, 4)

    cost, count = edge_costs(logits, inside, edges, FIRST)

    assert count.item() == 4
    assert cost.item() == pytest.approx(2 * 0.779141, abs=2e-6)
    assert pairwise_loss(logits, inside, edges, FIRST).item() == pytest.approx(0.389570, abs=1e-6)


def test_a_consistency_at_the_threshold_is_no_edge():
    """exp(-1 * 0) = 1 is not above 1."""
    flat = known(torch.tensor([[[0.5, 0.5]]]))

    assert not any(e.any() for e in depth_affinity(flat, 1.0, 1.0, 1).forth)
    assert depth_affinity(flat, 1.0, 0.999, 1).forth[0].sum() == 1


def test_an_image_without_depth_has_no_edges():
    maps = DepthMaps(CHAIN, torch.ones(1, 1, 4).bool(), torch.tensor([False]))

    assert not any(e.any() for e in depth_affinity(maps, 10.0, 0.5, 1).forth)


def test_a_flat_map_and_one_of_zeros_are_unknown():
    depth = torch.zeros(3, 4, 4)
    depth[1], depth[2, :, 2:] = 0.5, 1.0

    maps = depth_maps(depth, [view(4, 4)] * 3, 2)

    assert maps.known.tolist() == [False, False, True]


def test_padding_does_not_dilute_the_cells_beside_it():
    """3 of 4 columns are shown, all at .8: the cell over the edge holds .8, not .4."""
    depth = torch.zeros(1, 2, 8)
    depth[..., :3] = 0.8

    maps = depth_maps(depth, [view(2, 3)], 2)

    torch.testing.assert_close(maps.cells, torch.tensor([[[0.8, 0.8, 0.0, 0.0]]]))
    assert maps.valid.tolist() == [[[True, False, False, False]]]
    assert not maps.known.item(), "padding is no depth: what is shown is flat"


def test_depth_of_each_box_can_be_stretched_by_itself():
    depth = torch.tensor([[[0.2, 0.3, 0.4, 0.9]], [[0.5, 0.5, 0.5, 0.9]]])
    inside = torch.tensor([[[True, True, True, False]]]).expand(2, 1, 4)

    found = box_range(depth, inside)

    torch.testing.assert_close(found[0], torch.tensor([[0.0, 0.5, 1.0, 1.0]]))
    assert not found[1].any(), "a flat box is all far"
    assert box_range(depth[:0], inside[:0]).shape == (0, 1, 4)
