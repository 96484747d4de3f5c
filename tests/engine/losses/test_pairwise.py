"""The pairwise term against values worked out by hand, and against a slow loop."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.losses.pairwise import (
    Affinity,
    Offset,
    build_affinity,
    colour_affinity,
    colour_similarity,
    edge_costs,
    ends,
    neighbour_offsets,
    pairwise_loss,
    shown_cells,
)

PROBS = [[0.1, 0.2, 0.1], [0.2, 0.9, 0.6], [0.1, 0.7, 0.3]]
GREY = [[10.0, 10.0, 30.0], [10.0, 40.0, 41.0], [30.0, 41.0, 43.0]]
FIRST = torch.zeros(1, dtype=torch.long)


def by_grey(threshold: float, dilation: int, valid: torch.Tensor | None = None) -> Affinity:
    grey = torch.tensor(GREY)[None, None]
    return build_affinity(
        lambda offset: colour_similarity(grey, offset) >= threshold, dilation, valid
    )


def costs(affinity: Affinity, inside: torch.Tensor) -> tuple[float, float]:
    cost, count = edge_costs(torch.tensor([PROBS]).logit(), inside, affinity, FIRST)
    return cost.item(), count.item()


WHOLE = torch.ones(1, 3, 3)
CORNER = torch.zeros(1, 3, 3)
CORNER[0, 1:, 1:] = 1


def test_sixteen_edges_of_the_whole_grid():
    """K1: 16 active directed edges, sum 8.416662, mean 0.526041."""
    cost, count = costs(by_grey(0.3, 1), WHOLE)

    assert count == 16
    assert cost == pytest.approx(8.416662, abs=1e-5)
    assert cost / count == pytest.approx(0.526041, abs=1e-6)


def test_two_edges_at_dilation_two():
    cost, count = costs(by_grey(0.3, 2), WHOLE)

    assert count == 2
    assert cost / count == pytest.approx(0.198451, abs=1e-6)


def test_only_the_cell_an_edge_leaves_has_to_be_in_the_box():
    """K1: 10 edges of the lower-right 2 x 2, sum 6.440916, mean 0.644092."""
    cost, count = costs(by_grey(0.3, 1), CORNER)

    assert count == 10
    assert cost == pytest.approx(6.440916, abs=1e-5)
    assert cost / count == pytest.approx(0.644092, abs=1e-6)


def test_a_lower_threshold_joins_more():
    cost, count = costs(by_grey(0.1, 1), CORNER)

    assert count == 12
    assert cost / count == pytest.approx(0.716545, abs=1e-6)


def test_an_edge_into_an_invalid_row_does_not_exist_but_one_out_of_it_does():
    """K1: validity is asked of the neighbour only: 11 edges, mean 0.443039."""
    valid = torch.ones(1, 3, 3, dtype=torch.bool)
    valid[:, 2] = False

    cost, count = costs(by_grey(0.3, 1, valid), WHOLE)

    assert count == 11
    assert cost / count == pytest.approx(0.443039, abs=1e-6)


def test_one_pair_costs_what_the_formula_says():
    """E3: .9 * .6 + .1 * .4 = .58, and -log of that is 0.544727."""
    everything = build_affinity(lambda offset: torch.ones(1, 1, 1), 1)
    pair = torch.tensor([[[0.9, 0.6]]]).logit()
    horizontal = Affinity(everything.offsets[:1], everything.forth[:1], everything.back[:1])

    cost, count = edge_costs(pair, torch.ones(1, 1, 2), horizontal, FIRST)

    assert count.item() == 2
    assert cost.item() / 2 == pytest.approx(0.544727, abs=1e-6)


@pytest.mark.parametrize(("threshold", "expected"), [(0.3, 0.544727), (0.1, 0.682854)])
def test_a_chain_of_three(threshold: float, expected: float):
    """E4: similarities .5 and .2; each edge counts from both ends."""
    similarity = torch.tensor([[[0.5, 0.2]]])
    chain = Affinity(
        (Offset(0, 1),), ((similarity >= threshold).float(),), ((similarity >= threshold).float(),)
    )
    logits = torch.tensor([[[0.9, 0.6, 0.2]]]).logit()

    loss = pairwise_loss(logits, torch.ones(1, 1, 3), chain, FIRST)

    assert loss.item() == pytest.approx(expected, abs=1e-6)


def by_loops(
    logits: torch.Tensor, inside: torch.Tensor, grey: torch.Tensor, valid: torch.Tensor, d: int
) -> tuple[float, int]:
    """Eight neighbours of every cell, as the definition says."""
    probs = logits.double().sigmoid()
    height, width = grey.shape
    cost, count = 0.0, 0
    for y in range(height):
        for x in range(width):
            for dy in (-d, 0, d):
                for dx in (-d, 0, d):
                    v, u = y + dy, x + dx
                    outside = not (0 <= v < height and 0 <= u < width)
                    if (dy, dx) == (0, 0) or outside or not inside[y, x] or not valid[v, u]:
                        continue
                    if math.exp(-0.5 * abs(float(grey[y, x] - grey[v, u]))) >= 0.3:
                        p, q = probs[y, x], probs[v, u]
                        cost -= math.log(p * q + (1 - p) * (1 - q))
                        count += 1
    return cost, count


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 7), st.integers(1, 7), st.integers(1, 3))
def test_pairs_and_a_loop_over_neighbours_agree(seed: int, height: int, width: int, dilation: int):
    generator = torch.Generator().manual_seed(seed)
    logits = 6 * torch.randn(1, height, width, generator=generator)
    inside, valid = torch.rand(2, 1, height, width, generator=generator) > 0.4
    grey = torch.randint(0, 6, (1, 1, height, width), generator=generator).float()
    affinity = build_affinity(lambda o: colour_similarity(grey, o) >= 0.3, dilation, valid)

    cost, count = edge_costs(logits, inside, affinity, FIRST)

    expected = by_loops(logits[0], inside[0], grey[0, 0], valid[0], dilation)
    assert count.item() == expected[1]
    assert cost.item() == pytest.approx(expected[0], abs=1e-3, rel=1e-5)


def test_extreme_logits_cost_their_distance_and_not_infinity():
    """P of 60 and -60 is 2 e^-60: 60 - log 2 = 59.306853. P of -60 and -60 is 1."""
    chain = Affinity((Offset(0, 1),), (torch.ones(1, 1, 2),), (torch.zeros(1, 1, 2),))
    logits = torch.tensor([[[60.0, -60.0, -60.0]]], requires_grad=True)

    cost, _ = edge_costs(logits, torch.ones(1, 1, 3), chain, FIRST)
    cost.sum().backward()

    assert cost.item() == pytest.approx(59.306853, abs=1e-4)
    assert torch.isfinite(logits.grad).all()


def test_without_masks_or_edges_the_loss_is_zero_and_keeps_its_graph():
    logits = torch.zeros(1, 3, 3, requires_grad=True)
    nothing = by_grey(1.1, 1)

    loss = pairwise_loss(logits, WHOLE, nothing, FIRST)
    loss.backward()

    assert loss.item() == 0
    assert pairwise_loss(logits[:0], WHOLE[:0], nothing, FIRST[:0]).item() == 0


def test_a_map_smaller_than_the_dilation_has_no_pairs():
    assert all(
        part.numel() == 0
        for offset in neighbour_offsets(4)
        for part in ends(torch.zeros(2, 3, 3), offset)
    )


def test_neighbours_are_the_eight_at_the_dilation():
    offsets = neighbour_offsets(2)
    both = {*offsets, *((-dy, -dx) for dy, dx in offsets)}

    assert both == {(dy, dx) for dy in (-2, 0, 2) for dx in (-2, 0, 2)} - {(0, 0)}


def test_one_colour_joins_cells_and_another_does_not():
    """Left half (200, 30, 30), right half (190, 40, 40): S = 0.0126 across, 1 within."""
    image = torch.zeros(1, 3, 8, 8)
    image[0, :, :, :4] = torch.tensor([200.0, 30, 30]).reshape(3, 1, 1) / 255
    image[0, :, :, 4:] = torch.tensor([190.0, 40, 40]).reshape(3, 1, 1) / 255
    valid = torch.ones(1, 4, 4, dtype=torch.bool)

    affinity = colour_affinity(image, valid, stride=2, threshold=0.3, dilation=1)

    across = affinity.forth[0][0]  # the offset (0, 1): cells 0-1, 1-2, 2-3
    assert across.tolist() == [[1, 0, 1]] * 4
    loose = colour_affinity(image, valid, stride=2, threshold=0.01, dilation=1)
    assert loose.forth[0].all()


def test_padding_and_what_is_not_trusted_are_no_cells():
    """Stride 4 samples pixels 2, 6, 10, 14."""
    cells = shown_cells([(16, 16), (11, 6), (0, 9)], 4, 4, 4, torch.device("cpu"))

    assert cells[0].all()
    assert cells[1].any(dim=1).tolist() == [True, True, True, False]
    assert cells[1].any(dim=0).tolist() == [True, False, False, False]
    assert not cells[2].any()
