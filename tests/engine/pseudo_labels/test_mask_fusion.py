"""Quality-aware Masks Fusion and Mask-Quality Scoring against the worked examples, and properties.

Masks are rows of four cells here: (E, 1, 4).
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import Tensor

from engine.pseudo_labels.box_quality import Ranked, box_quality
from engine.pseudo_labels.mask_fusion import (
    Fused,
    count_votes,
    fuse_masks,
    fuse_ranked,
    fusion_weights,
    mask_score,
    score_by_voters,
    vote_ranked,
)
from engine.pseudo_labels.quality import pixel_score

SCORES = torch.tensor([[0.70, 0.90, 0.55, 0.40]], dtype=torch.float64)
IOUS = torch.tensor([[0.92, 0.88, 0.81, 0.60]], dtype=torch.float64)
MASKS = torch.tensor(
    [[0.9, 0.6, 0.2, 0.0], [0.8, 0.7, 0.1, 0.0], [0.7, 0.2, 0.6, 0.1], [1.0, 1.0, 1.0, 1.0]],
    dtype=torch.float64,
)[:, None]
EVERYWHERE = torch.ones(1, 1, 4, dtype=torch.bool)
BOX = torch.tensor([[[True, True, True, False]]])


def ranked(scores: Tensor, ious: Tensor) -> Ranked:
    rows = torch.arange(scores.shape[1]).expand(scores.shape)
    return Ranked(rows.masked_fill(scores == 0, -1), ious, scores)


def fused(threshold: float, inside: Tensor = EVERYWHERE) -> Fused:
    counted = MASKS[SCORES[0] > threshold]
    return fuse_ranked(ranked(SCORES, IOUS), counted, inside, threshold, 0.5)


def close(found: Tensor, *expected: float) -> None:
    wanted = torch.tensor(expected, dtype=found.dtype)
    torch.testing.assert_close(found.flatten(), wanted, atol=1e-6, rtol=0)


def test_weights_of_the_worked_example():
    """G1: tau = .5 leaves out the fourth, tau = .1 does not."""
    close(fusion_weights(box_quality(SCORES, IOUS, 0.5)), 0.340055, 0.377111, 0.282833, 0.0)
    close(fusion_weights(box_quality(SCORES, IOUS, 0.1)), 0.281598, 0.312283, 0.234213, 0.171906)


def test_the_fused_mask_of_the_worked_example():
    """G1."""
    close(fused(0.5).masks, 0.805722, 0.524578, 0.275422, 0.028283)
    assert (fused(0.5).masks > 0.5).flatten().tolist() == [True, True, False, False]
    close(fused(0.1).masks, 0.839120, 0.606306, 0.399982, 0.195328)
    assert fused(0.5).effective.tolist() == [3]
    assert fused(0.1).effective.tolist() == [4]


def test_the_mask_quality_of_the_worked_example():
    """G3: the geometric mean, not the product (.476691)."""
    one = fused(0.5, BOX)

    close(one.box_score, 0.716667)
    close(one.pixel_score, 0.665150)
    close(one.quality, 0.690428)
    close(one.masks, 0.805722, 0.524578, 0.275422, 0.0)


def test_the_best_candidate_has_the_best_box_not_the_best_score_alone():
    found = fuse_ranked(
        ranked(torch.tensor([[0.9, 0.8]]), torch.tensor([[0.5, 0.9]])),
        torch.ones(2, 1, 4),
        EVERYWHERE,
        0.5,
        0.5,
    )

    assert found.best.tolist() == [1]


def test_the_single_mask_is_the_best_candidates_inside_the_box():
    """Object 0 has none that counts, 1 its second, 2 its first and third: the third is better."""
    scores = torch.tensor([[0.4, 0.3, 0.2], [0.1, 0.8, 0.3], [0.7, 0.2, 0.9]])
    probs = torch.tensor([[0.2, 0.9, 0.8, 0.7], [0.4, 0.4, 0.4, 0.4], [0.9, 0.3, 0.6, 0.8]])
    inside = BOX.expand(3, 1, 4)
    table = ranked(scores, torch.full((3, 3), 0.9))

    paper = fuse_ranked(table, probs[:, None], inside, 0.5, 0.5)
    votes = vote_ranked(table, probs[:, None], inside, 0.5)

    close(paper.single, *(0.0, 0.0, 0.0, 0.0), *(0.2, 0.9, 0.8, 0.0), *(0.9, 0.3, 0.6, 0.0))
    assert votes.single[:, 0].tolist() == [[0, 0, 0, 0], [0, 1, 1, 0], [1, 0, 1, 0]]
    assert paper.best.tolist()[1:] == votes.best.tolist()[1:] == [1, 2]


@given(arrays.arrays("float32", (1, 2, 3), elements=st.floats(0, 1, width=32)))
def test_a_mask_of_one_candidate_is_its_single_mask(mask: object):
    """To the bit: fusing nothing gains nothing."""
    table = ranked(torch.tensor([[0.7, 0.2]]), torch.tensor([[0.6, 0.9]]))
    inside = torch.ones(1, 2, 3, dtype=torch.bool)

    found = fuse_ranked(table, torch.as_tensor(mask), inside, 0.5, 0.5)

    assert torch.equal(found.single, found.masks)


def test_the_authors_vote_of_the_worked_example():
    """G4 on the first three candidates: two of three hold cells 0 and 1."""
    owners = torch.zeros(3, dtype=torch.int64)

    votes = count_votes(MASKS[:3], owners, 1)
    quality = score_by_voters(MASKS[:3], SCORES[0, :3], owners, votes > 0.5)

    close(votes, 1.0, 2 / 3, 1 / 3, 0.0)
    close(quality, 0.684103)
    whole = vote_ranked(ranked(SCORES, IOUS), MASKS[:3], EVERYWHERE, 0.5)
    close(whole.quality, 0.684103)
    close(whole.box_score, 0.716667)
    assert whole.pixel_score.isnan().all()


@pytest.mark.parametrize("released", [False, True])
def test_an_object_whose_candidates_are_all_weak_has_no_mask(released: bool):
    """K_hat = 0 beside an object that has one: no mask, no quality, no candidate that counts."""
    scores = torch.tensor([[0.4, 0.3], [0.8, 0.2]])
    table = ranked(scores, torch.full((2, 2), 0.9))
    probs, inside = torch.full((1, 1, 4), 0.9), torch.ones(2, 1, 4, dtype=torch.bool)

    found = (
        vote_ranked(table, probs, inside, 0.5)
        if released
        else fuse_ranked(table, probs, inside, 0.5, 0.5)
    )

    assert found.masks[0].max() == 0 < found.masks[1].min()
    assert found.single[0].max() == 0 < found.single[1].min()
    assert found.quality[0] == found.box_score[0] == 0 < found.quality[1]
    assert found.effective.tolist() == [0, 1]


@pytest.mark.parametrize("released", [False, True])
def test_a_mask_that_is_nowhere_sure_in_its_box_has_no_quality(released: bool):
    outside = torch.tensor([[[0.2, 0.3, 0.5, 0.9]]])
    table = ranked(torch.tensor([[0.9]]), torch.tensor([[0.9]]))

    found = (
        vote_ranked(table, outside, BOX, 0.5)
        if released
        else fuse_ranked(table, outside, BOX, 0.5, 0.5)
    )

    assert found.quality.item() == 0
    assert found.effective.item() == 1


@pytest.mark.parametrize("released", [False, True])
def test_without_objects_nothing_is_fused(released: bool):
    table = ranked(torch.zeros(0, 3), torch.zeros(0, 3))
    probs, inside = torch.zeros(0, 2, 4), torch.zeros(0, 2, 4, dtype=torch.bool)

    found = (
        vote_ranked(table, probs, inside, 0.5)
        if released
        else fuse_ranked(table, probs, inside, 0.5, 0.5)
    )

    assert found.masks.shape == found.single.shape == (0, 2, 4)
    assert len(found) == 0


UNIT = st.floats(0, 1, width=32)
TABLES = arrays.arrays("float32", (3, 5), elements=UNIT)


@given(TABLES, TABLES, st.floats(0, 1))
def test_weights_sum_to_one_or_are_all_zero(scores: object, ious: object, threshold: float):
    quality = box_quality(torch.as_tensor(scores), torch.as_tensor(ious), threshold).double()

    total = fusion_weights(quality).sum(dim=1)

    assert all(one == pytest.approx(1, abs=1e-6) or one == 0 for one in total.tolist())
    assert ((total == 0) == (quality.sum(dim=1) == 0)).all()


@given(arrays.arrays("float64", (2, 4), elements=st.floats(0.6, 1)), st.floats(0.9, 1))
def test_weights_do_not_change_with_the_scale_of_the_scores(scores: object, factor: float):
    """As long as the same candidates count: .6 * .9 is still above .5."""
    table, ious = torch.as_tensor(scores), torch.full((2, 4), 0.7, dtype=torch.float64)

    one = fusion_weights(box_quality(table, ious, 0.5))
    other = fusion_weights(box_quality(factor * table, ious, 0.5))

    torch.testing.assert_close(one, other, atol=1e-9, rtol=0)


@given(
    arrays.arrays("float64", (1, 4), elements=UNIT),
    arrays.arrays("float64", (1, 4), elements=st.floats(0.01, 1)),
    arrays.arrays("float64", (4, 2, 3), elements=UNIT),
    st.floats(0, 0.99),
)
def test_a_fused_mask_lies_between_its_masks_and_its_quality_in_range(
    scores: object, ious: object, masks: object, threshold: float
):
    table = ranked(torch.as_tensor(scores), torch.as_tensor(ious))
    probs = torch.as_tensor(masks)[table.scores[0] > threshold]
    inside = torch.ones(1, 2, 3, dtype=torch.bool)

    found = fuse_ranked(table, probs, inside, threshold, threshold)

    quality = found.quality.item()
    assert 0 <= quality <= 1 + 1e-9
    assert quality == 0 or quality > threshold - 1e-9
    sure = bool((found.masks > threshold).any())
    assert (quality == 0) == (len(probs) == 0 or not sure)
    if len(probs):
        assert (found.masks[0] >= probs.amin(dim=0) - 1e-9).all()
        assert (found.masks[0] <= probs.amax(dim=0) + 1e-9).all()


@given(arrays.arrays("float64", (1, 2, 3), elements=UNIT))
def test_a_single_candidate_is_the_mask(mask: object):
    probs = torch.as_tensor(mask)
    weights = fusion_weights(torch.tensor([[0.37]], dtype=torch.float64))[0]

    assert torch.equal(fuse_masks(probs, weights, torch.tensor([0]), 1), probs)


@given(
    arrays.arrays("float64", (3,), elements=UNIT),
    arrays.arrays("float64", (4, 1, 6), elements=UNIT),
)
def test_the_authors_quality_is_in_range_too(scores: object, masks: object):
    probs, owners = torch.as_tensor(masks)[:3], torch.tensor([0, 0, 1])
    votes = count_votes(probs, owners, 2)

    quality = score_by_voters(probs, torch.as_tensor(scores), owners, votes > 0.5)

    assert (quality >= 0).all() and (quality <= 1 + 1e-9).all()


def test_the_mask_score_is_no_higher_than_the_better_of_both():
    close(mask_score(torch.tensor([0.25, 0.0]), torch.tensor([1.0, 0.9])), 0.5, 0.0)


def test_the_pixel_score_is_a_mean_over_sure_pixels_in_the_box():
    probs = torch.tensor([[[0.9, 0.5, 0.7, 0.95]]])

    close(pixel_score(probs, BOX), 0.8)
    close(pixel_score(probs), 0.85)
    close(pixel_score(probs, ~EVERYWHERE), 0.0)
