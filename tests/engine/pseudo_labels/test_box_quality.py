"""Box-Quality Ranking and adaptive K against values worked out by hand, and their properties."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.pseudo_labels.box_quality import (
    adaptive_count,
    box_quality,
    mean_box_score,
    one_each,
    rank_boxes,
)

COCO = {"least": 2, "most": 10, "small": 32.0**2, "large": 96.0**2}


def counts(*sides: float) -> list[int]:
    return adaptive_count(torch.tensor(sides).square(), **COCO).tolist()


def test_larger_objects_get_more_candidates():
    """G2."""
    assert counts(16, 32, 48, 64, 80, 96, 200) == [2, 2, 4, 6, 8, 10, 10]


def test_half_a_candidate_is_rounded_up():
    """Side 36: 2 + 8 * 4 / 64 = 2.5."""
    assert counts(36, 35.9, 44) == [3, 2, 4]


def test_without_objects_there_is_nothing_to_count():
    assert counts() == []


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=20))
def test_the_count_grows_with_the_area_between_its_bounds(areas: list[float]):
    found = adaptive_count(torch.tensor(sorted(areas)), **COCO)

    assert (found.diff() >= 0).all()
    assert int(found.min()) >= 2 and int(found.max()) <= 10


@given(st.floats(1, 100), st.floats(101, 1000), st.integers(1, 5), st.integers(0, 5))
def test_half_way_between_the_sides_lies_half_way_between_the_counts(
    low: float, high: float, least: int, steps: int
):
    area = torch.tensor([((low + high) / 2) ** 2], dtype=torch.float64)

    found = adaptive_count(area, least, least + 2 * steps, low**2, high**2)

    assert found.item() == least + steps


IOUS = torch.tensor([[0.6, 0.1], [0.9, 0.7], [0.8, 0.2], [0.55, 0.95]])
SCORES = torch.tensor([0.9, 0.2, 0.5, 0.7])
ALL = torch.ones(4, 2, dtype=torch.bool)


def test_boxes_are_ranked_by_overlap_not_by_score():
    ranked = rank_boxes(IOUS, SCORES, ALL, torch.tensor([3, 2]), most=3)

    assert ranked.rows.tolist() == [[1, 2, 0], [3, 1, -1]]
    torch.testing.assert_close(ranked.ious, torch.tensor([[0.9, 0.8, 0.6], [0.95, 0.7, 0.0]]))
    torch.testing.assert_close(ranked.scores, torch.tensor([[0.2, 0.5, 0.9], [0.7, 0.2, 0.0]]))
    assert ranked.present.tolist() == [[True, True, True], [True, True, False]]


def test_a_proposal_that_is_not_allowed_is_no_candidate():
    """Those that are: overlap above one half, and for the first target not proposal 1."""
    allowed = IOUS > 0.5
    allowed[1, 0] = False

    ranked = rank_boxes(IOUS, SCORES, allowed, torch.tensor([4, 4]), most=4)

    assert ranked.rows.tolist() == [[2, 0, 3, -1], [3, 1, -1, -1]]


def test_equal_overlaps_are_ranked_by_score_then_by_index():
    ranked = rank_boxes(
        torch.full((4, 1), 0.8),
        torch.tensor([0.3, 0.6, 0.3, 0.9]),
        ALL[:, :1],
        torch.tensor([4]),
        most=4,
    )

    assert ranked.rows.tolist() == [[3, 1, 0, 2]]


def test_fewer_proposals_than_k_are_all_taken():
    ranked = rank_boxes(IOUS[:2], SCORES[:2], ALL[:2], torch.tensor([9, 9]), most=9)

    assert ranked.present.sum(dim=1).tolist() == [2, 2]
    assert ranked.rows.shape == (2, 9)


@pytest.mark.parametrize(("proposals", "targets"), [(0, 2), (3, 0), (0, 0)])
def test_nothing_to_rank_gives_no_candidates(proposals: int, targets: int):
    ranked = rank_boxes(
        torch.zeros(proposals, targets),
        torch.zeros(proposals),
        torch.ones(proposals, targets, dtype=torch.bool),
        torch.full((targets,), 5),
        most=5,
    )

    assert ranked.rows.shape == ranked.ious.shape == ranked.scores.shape == (targets, 5)
    assert not ranked.present.any()


def test_a_detection_chosen_elsewhere_is_the_only_candidate():
    ranked = one_each(torch.tensor([2, -1]), IOUS, SCORES)

    assert ranked.rows.tolist() == [[2], [-1]]
    torch.testing.assert_close(ranked.ious, torch.tensor([[0.8], [0.0]]))
    torch.testing.assert_close(ranked.scores, torch.tensor([[0.5], [0.0]]))


def test_box_quality_of_the_worked_example():
    """G1: the fourth score, .40, is not above .5. A score at the threshold is not either."""
    scores = torch.tensor([[0.70, 0.90, 0.55, 0.40]], dtype=torch.float64)
    ious = torch.tensor([[0.92, 0.88, 0.81, 0.60]], dtype=torch.float64)

    found = box_quality(scores, ious, 0.5)

    expected = torch.tensor([[0.802496, 0.889944, 0.667458, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    assert box_quality(torch.tensor([0.5]), torch.tensor([1.0]), 0.5).item() == 0


def test_the_mean_box_score_is_over_those_that_count():
    """G3: (.70 + .90 + .55) / 3; nobody above the threshold gives 0."""
    scores = torch.tensor([[0.70, 0.90, 0.55, 0.40], [0.5, 0.1, 0.0, 0.0]])

    found = mean_box_score(scores, 0.5)

    torch.testing.assert_close(found, torch.tensor([0.716667, 0.0]), atol=1e-6, rtol=0)
    assert mean_box_score(torch.zeros(0, 3), 0.5).shape == (0,)
