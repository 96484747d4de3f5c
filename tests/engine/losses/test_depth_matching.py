"""The depth-aware Hungarian against values worked out by hand."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.losses.depth_matching import assign_masks, depth_consistency, match_scores

CHAIN = torch.tensor([[0.50, 0.52, 0.90, 0.95]])
PROBS = torch.tensor([[[0.9, 0.8, 0.3, 0.2]]])
EVERYWHERE = torch.ones(1, 4, dtype=torch.bool)
IOUS = torch.tensor([[0.90, 0.88, 0.10], [0.86, 0.40, 0.70]])
DEPTH = torch.tensor([0.60, 0.95, 0.90])


def consistency(
    probs: torch.Tensor,
    depth: torch.Tensor = CHAIN,
    valid: torch.Tensor = EVERYWHERE,
    threshold: float = 0.5,
) -> torch.Tensor:
    return depth_consistency(probs, depth, valid, sharpness=10.0, threshold=threshold, dilation=1)


def assigned(match: torch.Tensor, allowed: torch.Tensor | None = None) -> list[int]:
    allowed = torch.ones_like(match, dtype=torch.bool) if allowed is None else allowed
    scores = np.zeros(match.shape[1])
    return assign_masks(match.numpy(), allowed.numpy(), scores).tolist()


def test_the_consistency_of_a_mask_on_a_chain():
    """H5: each pair counts from both ends: 1.695108 of 1.719715 lie on pairs at one depth."""
    assert consistency(PROBS).item() == pytest.approx(0.985691, abs=1e-6)


def test_consistency_is_one_where_depth_is_flat_and_zero_for_an_empty_mask():
    flat = torch.full((1, 4), 0.3)

    assert consistency(PROBS, flat).item() == 1
    assert consistency(torch.zeros(1, 1, 4)).item() == 0
    assert consistency(PROBS[:0]).shape == (0,)


def test_no_pair_is_at_one_depth_when_none_is_alike_enough():
    assert consistency(PROBS, threshold=0.9).item() == 0


def test_pairs_that_reach_into_padding_do_not_count():
    """Of three shown cells two pairs are left: (1.7 * .818731) of that plus 1.1 * .022371."""
    shown = torch.tensor([[True, True, True, False]])

    expected = 1.7 * 0.818731 / (1.7 * 0.818731 + 1.1 * 0.022371)
    assert consistency(PROBS, valid=shown).item() == pytest.approx(expected, abs=1e-6)


def test_the_match_scores_of_the_worked_example():
    """H6."""
    found = match_scores(IOUS, DEPTH, torch.rand(3), iou_share=0.8, depth_share=0.2)

    expected = torch.tensor([[0.840, 0.894, 0.260], [0.808, 0.510, 0.740]])
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_what_is_left_of_the_shares_is_the_score():
    found = match_scores(
        torch.tensor([[1.0]]), torch.zeros(1), torch.tensor([0.5]), iou_share=0.5, depth_share=0.1
    )

    assert found.item() == pytest.approx(0.5 + 0.4 * 0.5, abs=1e-6)


def test_the_hungarian_of_the_worked_example():
    """H6: target 0 gets mask 1, target 1 gets mask 0; 1.702 in all."""
    match = match_scores(IOUS, DEPTH, torch.zeros(3), iou_share=0.8, depth_share=0.2)

    chosen = assigned(match)

    assert chosen == [1, 0]
    assert match[[0, 1], chosen].sum().item() == pytest.approx(1.702, abs=1e-6)


def test_depth_decides_between_boxes_that_overlap_alike():
    """H6, target 0 alone: mask 0 has the larger IoU, mask 1 the better match."""
    match = match_scores(IOUS[:1], DEPTH, torch.zeros(3), iou_share=0.8, depth_share=0.2)

    assert IOUS[0].argmax() == 0
    assert assigned(match) == [1]


def test_the_best_sum_beats_the_best_first():
    """H6: greedy would take .90 and be left with .30; the sum of .85 and .88 is larger."""
    assert assigned(torch.tensor([[0.90, 0.85], [0.88, 0.30]])) == [1, 0]


def test_a_forbidden_pair_stays_apart():
    match = torch.tensor([[0.9], [0.5]])

    assert assigned(match, torch.tensor([[False], [True]])) == [-1, 0]
    assert assigned(match, torch.tensor([[False], [False]])) == [-1, -1]


def test_targets_beyond_the_predictions_get_none():
    assert sorted(assigned(torch.tensor([[0.9], [0.5]]))) == [-1, 0]
    assert assigned(torch.zeros(2, 0)) == [-1, -1]
    assert assigned(torch.zeros(0, 3)) == []


def test_of_equal_matches_the_higher_score_wins():
    match, allowed = np.array([[0.5, 0.5, 0.5]]), np.ones((1, 3), dtype=bool)

    assert assign_masks(match, allowed, np.array([0.1, 0.9, 0.3])).tolist() == [1]


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 10_000))
def test_no_other_assignment_has_a_larger_sum(num_targets: int, num_masks: int, seed: int):
    match = torch.rand(num_targets, num_masks, generator=torch.Generator().manual_seed(seed))

    chosen = assigned(match)

    total = sum(match[t, m].item() for t, m in enumerate(chosen) if m >= 0)
    size = min(num_targets, num_masks)
    sums = [
        sum(match[t, m].item() for t, m in zip(targets, masks, strict=True))
        for targets in permutations(range(num_targets), size)
        for masks in permutations(range(num_masks), size)
    ]
    assert total == pytest.approx(max(sums), abs=1e-6)


@given(st.integers(0, 10_000), st.floats(0, 1), st.floats(0, 30))
def test_consistency_is_a_share(seed: int, threshold: float, sharpness: float):
    draw = torch.Generator().manual_seed(seed)
    probs, depth = torch.rand(3, 4, 5, generator=draw), torch.rand(4, 5, generator=draw)

    found = depth_consistency(
        probs,
        depth,
        torch.ones(4, 5, dtype=torch.bool),
        sharpness=sharpness,
        threshold=threshold,
        dilation=2,
    )

    assert ((found >= 0) & (found <= 1 + 1e-5)).all()
