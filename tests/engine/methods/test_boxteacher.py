"""BoxTeacher's own functions against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from engine.box_host import MaskSamples
from engine.losses.dice import squared_dice
from engine.methods.boxteacher import (
    mask_affinity,
    mask_aware_score,
    match_detections,
    pseudo_affinity_loss,
    pseudo_mask_loss,
    smoothed,
    weighted_mean,
)
from engine.pseudo_labels.ema import warmed_up_decay

BLOCK = torch.zeros(1, 3, 3)
BLOCK[0, :2, :2] = 1


def test_detections_choose_in_the_order_of_their_scores():
    """F2: scores .6, .9, .7, .8 put detections 1, 3, 2, 0 in line; 1 takes GT 0, 2 takes GT 1."""
    ious = np.array([[0.85, 0.10], [0.80, 0.55], [0.20, 0.70], [0.45, 0.30]])
    line = [1, 3, 2, 0]

    matched = match_detections(ious[line])

    assert [line[one] for one in matched] == [1, 2]


def test_a_target_of_the_first_detection_cannot_be_taken_again():
    """The authors' code asks "index > 0", and detection 0 loses what it chose."""
    assert match_detections(np.array([[0.9], [0.95]])).tolist() == [0]


def test_a_detection_that_comes_too_late_takes_its_second_choice():
    assert match_detections(np.array([[0.9, 0.0], [0.8, 0.6]])).tolist() == [0, 1]


def test_an_overlap_at_the_threshold_is_enough_and_less_is_not():
    assert match_detections(np.array([[0.5]])).tolist() == [0]
    assert match_detections(np.array([[0.49]])).tolist() == [-1]


def test_without_detections_or_targets_nothing_is_matched():
    assert match_detections(np.zeros((0, 2))).tolist() == [-1, -1]
    assert match_detections(np.zeros((3, 0))).shape == (0,)


@given(
    arrays.arrays(
        np.float64, st.tuples(st.integers(0, 6), st.integers(0, 4)), elements=st.floats(0, 1)
    )
)
def test_no_detection_stands_for_two_targets(ious: np.ndarray):
    matched = match_detections(ious)
    given_away = matched[matched >= 0]

    assert len(set(given_away.tolist())) == len(given_away)
    assert all(ious[d, g] >= 0.5 for g, d in enumerate(matched) if d >= 0)


def test_the_mask_aware_score_of_the_worked_example():
    """F1: pixels .9, .8, .6 are above one half: mean .766667; sqrt(.64 * mean) = .700476."""
    probs = torch.tensor([[[0.9, 0.8], [0.6, 0.3]]])
    everywhere = torch.ones(1, 2, 2, dtype=torch.bool)

    pixel, score = mask_aware_score(torch.tensor([0.64]), probs, everywhere)
    _, released = mask_aware_score(torch.tensor([0.64]), probs, None)

    assert pixel.item() == pytest.approx(0.766667, abs=1e-6)
    assert score.item() == pytest.approx(0.700476, abs=1e-6)
    assert released.item() == pytest.approx(0.783156, abs=1e-6)


def test_pixels_outside_the_box_do_not_count():
    probs = torch.tensor([[[0.9, 0.8], [0.6, 0.3]]])
    left = torch.tensor([[[True, False], [True, False]]])

    pixel, _ = mask_aware_score(torch.tensor([1.0]), probs, left)

    assert pixel.item() == pytest.approx(0.75, abs=1e-6)


def test_a_mask_without_sure_pixels_has_no_score():
    pixel, score = mask_aware_score(
        torch.tensor([0.9]), torch.full((1, 2, 2), 0.5), torch.ones(1, 2, 2, dtype=torch.bool)
    )

    assert pixel.item() == score.item() == 0
    empty = mask_aware_score(torch.zeros(0), torch.zeros(0, 2, 2), None)
    assert [one.shape for one in empty] == [(0,), (0,)]


def test_dice_is_weighted_and_divided_by_what_counts():
    """F4: .9 * .2 + .4 * .5 = .38 over two masks; the third has quality 0."""
    losses, quality = torch.tensor([0.2, 0.5, 0.7]), torch.tensor([0.9, 0.4, 0.0])

    assert weighted_mean(losses, quality).item() == pytest.approx(0.19, abs=1e-6)
    assert weighted_mean(losses, torch.zeros(3)).item() == 0
    assert weighted_mean(losses[:0], quality[:0]).item() == 0


def samples(logits: torch.Tensor, targets: list[int]) -> MaskSamples:
    rows = torch.tensor(targets)
    return MaskSamples(logits, torch.zeros_like(rows), rows)


def test_each_sample_is_compared_with_the_mask_of_its_target():
    """F4: Dice2([.8, .7, .4, .1], [1, 1, 0, 0]) = 0.090912."""
    probs = torch.tensor([[[0.8, 0.7, 0.4, 0.1]], [[0.8, 0.7, 0.4, 0.1]]])
    masks = torch.tensor([[[1.0, 1.0, 1.0, 1.0]], [[1.0, 1.0, 0.0, 0.0]]])
    taught = samples(probs.logit(), [1, 1])

    loss = pseudo_mask_loss(taught, masks, torch.ones(2))

    assert loss.item() == pytest.approx(0.090912, abs=1e-6)
    assert squared_dice(probs[:1], masks[1:]).item() == pytest.approx(0.090912, abs=1e-6)


def test_smoothing_is_half_of_a_mean_that_counts_zeros_beyond_the_edge():
    """F3: (1 + 4/9) / 2 in the block, 2/9 / 2 beside it, 1/9 / 2 across the corner."""
    expected = torch.tensor(
        [
            [0.722222, 0.722222, 0.111111],
            [0.722222, 0.722222, 0.111111],
            [0.111111, 0.111111, 0.055556],
        ]
    )

    torch.testing.assert_close(smoothed(BLOCK)[0], expected, atol=1e-6, rtol=0)


def test_affinities_of_the_smoothed_mask():
    """F3: A((1,1),(0,0)) = .598765 is an edge at .5; A((0,0),(0,2)) = .327160 is not."""
    smooth = smoothed(BLOCK)[0]

    def between(a: torch.Tensor, b: torch.Tensor) -> float:
        return (a * b + (1 - a) * (1 - b)).item()

    assert between(smooth[1, 1], smooth[0, 0]) == pytest.approx(0.598765, abs=1e-6)
    assert between(smooth[0, 0], smooth[0, 2]) == pytest.approx(0.327160, abs=1e-6)
    assert between(smooth[0, 0], smooth[2, 2]) == pytest.approx(0.302469, abs=1e-6)
    near, far = mask_affinity(BLOCK, 0.5, 1), mask_affinity(BLOCK, 0.5, 2)
    diagonal = near.offsets.index((1, 1))
    assert near.forth[diagonal][0, 0, 0] == 1
    assert all(float(edge.sum()) == 0 for edge in (far.forth[0][0, 0], far.forth[3][0, 0]))
    assert mask_affinity(BLOCK, 0.32, 2).forth[0][0, 0, 0] == 1


def test_the_affinity_loss_is_a_mean_per_mask_first():
    """All edges of a constant mask of probability 1/2 cost log 2, whatever their number."""
    taught = samples(torch.zeros(2, 3, 3), [0, 0])
    inside = torch.ones(2, 3, 3, dtype=torch.bool)
    inside[1, 1:] = False
    outlines = mask_affinity(BLOCK, 0.5, 1)

    loss = pseudo_affinity_loss(taught, inside, outlines, torch.tensor([0.9, 0.4]))

    assert loss.item() == pytest.approx((0.9 + 0.4) / 2 * np.log(2), abs=1e-6)


@pytest.mark.parametrize(
    ("step", "decay"),
    [(0, 0.0), (1, 0.5), (9, 0.9), (998, 0.998999), (999, 0.999), (5000, 0.999)],
)
def test_the_teacher_warms_up(step: int, decay: float):
    """F5."""
    assert warmed_up_decay(step, 0.999) == pytest.approx(decay, abs=1e-6)
