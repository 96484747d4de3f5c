"""Self-correction: positives, the mix of both maps, and what is decided."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.box_host import Proposals
from engine.pseudo_labels.self_correction import (
    Gathered,
    correct,
    correct_as_released,
    decide,
    gather_positives,
    mean_where,
    position_weights,
    sized_threshold,
)


def close(found: torch.Tensor, expected: Any) -> None:
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-6, rtol=0)


def row(*numbers: float) -> torch.Tensor:
    """(1, 1, P)"""
    return torch.tensor(numbers)[None, None]


def everywhere(maps: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(maps, dtype=torch.bool)


def positives(*owners: int, boxes: list[list[float]] | None = None) -> Proposals:
    """In one image, as many as there are owners."""
    count = len(owners)
    index = torch.arange(count)
    placed = torch.tensor(boxes or [[0.0, 0.0, 10.0, 10.0]] * count).reshape(-1, 4)
    return Proposals(
        boxes=placed,
        scores=torch.zeros(count),
        labels=torch.zeros_like(index),
        class_quality=torch.zeros(count),
        class_logits=torch.zeros(count, 3),
        places=index,
        levels=torch.zeros_like(index),
        owners=torch.tensor(owners, dtype=torch.int64),
    )


def gathered(*masks: torch.Tensor, count: int = 1) -> Gathered:
    maps = torch.cat(masks)
    number = torch.full((len(maps),), count)
    return Gathered(maps, torch.zeros_like(number), number, torch.ones(len(maps)))


@pytest.mark.parametrize(
    ("sharpness", "weights"),
    [
        (5.0, [0.689672, 0.253716, 0.056612]),
        (0.0, [1 / 3, 1 / 3, 1 / 3]),
        (1.0, [0.412327, 0.337585, 0.250089]),
        (10.0, [0.875601, 0.118500, 0.005900]),
        (20.0, [0.981970, 0.017985, 0.000045]),
        (1000.0, [1.0, 0.0, 0.0]),
    ],
)
def test_positives_with_better_boxes_count_more(sharpness: float, weights: list[float]):
    """I4."""
    found = position_weights(
        torch.tensor([0.9, 0.7, 0.4]), torch.zeros(3, dtype=torch.int64), 1, sharpness
    )

    close(found, weights)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1, width=32), st.integers(0, 3)), max_size=12),
    st.floats(0, 50),
)
def test_the_weights_of_each_object_sum_to_one(given_: list[tuple[float, int]], sharpness: float):
    ious = torch.tensor([iou for iou, _ in given_])
    owners = torch.tensor([owner for _, owner in given_], dtype=torch.int64)

    weights = position_weights(ious, owners, 4, sharpness)

    for one in owners.unique():
        assert weights[owners == one].sum().item() == pytest.approx(1, abs=1e-5)


def test_the_masks_of_an_objects_positives_become_one():
    """I4: boxes (0, 0, 10, y) have IoU y / 10 with the object's."""
    found = positives(0, 0, 0, boxes=[[0, 0, 10, 9], [0, 0, 10, 7], [0, 0, 10, 4]])
    probs = torch.tensor([[[0.95, 0.6]], [[0.8, 0.7]], [[0.3, 0.9]]])
    box = torch.tensor([[0.0, 0.0, 10.0, 10.0]])

    close(gather_positives(found, probs, box, 5.0).masks, [[[0.875145, 0.642355]]])
    close(gather_positives(found, probs, box, 0.0).masks, [[[0.683333, 0.733333]]])
    close(gather_positives(found, probs, box, 0.0).overlap, [2 / 3])


def test_every_object_has_its_own_positives_and_one_without_any_has_no_mask():
    found = positives(2, 0, 2, boxes=[[0, 0, 4, 4], [0, 0, 9, 9], [0, 0, 8, 8]])
    boxes = torch.tensor([[0.0, 0, 9, 9], [20.0, 20, 30, 30], [0.0, 0, 8, 8]])

    made = gather_positives(found, torch.tensor([[[0.2]], [[0.4]], [[0.6]]]), boxes, 5.0)

    assert made.count.tolist() == [1, 0, 2]
    assert made.best[[0, 2]].tolist() == [1, 2]
    close(made.masks[:2, 0, 0], [0.4, 0.0])
    assert 0.59 < made.masks[2, 0, 0] < 0.6
    close(made.overlap[:2], [1.0, 0.0])


def test_no_object_and_no_positive_are_nothing():
    nothing = positives()

    assert len(gather_positives(nothing, torch.zeros(0, 2, 2), torch.zeros(0, 4), 5.0).best) == 0
    made = gather_positives(nothing, torch.zeros(0, 2, 2), torch.tensor([[0.0, 0, 2, 2]]), 5.0)
    assert made.masks.sum() == made.count.sum() == made.overlap.sum() == 0


def made_of(semantic: torch.Tensor, instance: torch.Tensor, share: float = 0.5, **limits: float):
    limits = {"high": 0.7, "low": 0.3, **limits}
    return correct(
        semantic, gathered(instance), torch.tensor([share]), everywhere(semantic), **limits
    )


SEMANTIC, INSTANCE = row(0.9, 0.9, 0.45, 0.1), row(0.8, 0.2, 0.6, 0.1)
"""I5."""


def test_both_maps_are_mixed_and_only_sure_pixels_are_decided():
    """I5."""
    made = made_of(SEMANTIC, INSTANCE)

    close(made.probs, [[[0.85, 0.55, 0.525, 0.10]]])
    assert made.foreground.tolist() == [[[True, False, False, False]]]
    assert made.decided.tolist() == [[[True, False, False, True]]]
    close(made.states, [[[1.0, 0.5, 0.5, 0.0]]])
    close(made.score, [0.85])
    close(made.semantic_score, [0.9])
    close(made.instance_score, [0.8])


def test_a_share_of_zero_or_one_leaves_one_map():
    assert torch.equal(made_of(SEMANTIC, INSTANCE, 0.0).probs, SEMANTIC)
    assert torch.equal(made_of(SEMANTIC, INSTANCE, 1.0).probs, INSTANCE)


def test_with_one_threshold_every_pixel_of_the_box_is_decided():
    made = made_of(SEMANTIC, INSTANCE, high=0.5, low=0.5)

    assert made.decided.all()
    assert made.foreground.tolist() == [[[True, True, True, False]]]


def test_pixels_on_a_threshold_are_decided_and_those_outside_the_box_never():
    probs = row(0.7, 0.3, 0.5, 0.9)
    inside = torch.tensor([[[True, True, True, False]]])

    foreground, decided = decide(probs, inside, 0.7, 0.3)

    assert foreground.tolist() == [[[True, False, False, False]]]
    assert decided.tolist() == [[[True, True, False, False]]]


def test_an_object_without_a_positive_is_nothing_though_its_class_is_there():
    made = correct(
        SEMANTIC,
        gathered(torch.zeros(1, 1, 4), count=0),
        torch.tensor([0.0]),
        everywhere(SEMANTIC),
        0.7,
        0.3,
    )

    assert made.probs.sum() == made.score.sum() == 0
    assert not made.foreground.any()


def test_without_a_sure_pixel_the_score_is_zero():
    made = made_of(row(0.6, 0.2), row(0.6, 0.2))

    assert made.score.tolist() == [0]
    assert made.decided.tolist() == [[[False, True]]]


def test_the_score_is_the_mean_of_the_sure_pixels():
    """I7."""
    probs = row(0.9, 0.8, 0.75, 0.4)

    close(mean_where(probs, probs >= 0.7), [0.816667])
    close(mean_where(probs, probs >= 0.7, extra=1), [0.612500])
    close(mean_where(probs, probs > 1), [0.0])


def test_pseudo_masks_can_be_picked():
    semantic, instance = torch.rand(3, 2, 2), torch.rand(3, 2, 2)
    made = correct(
        semantic, gathered(instance), torch.full((3,), 0.5), everywhere(semantic), 0.7, 0.3
    )

    assert torch.equal(made[torch.tensor([2])].probs, made.probs[2:])
    assert len(made[torch.tensor([2])].positives.best) == 1


def test_the_released_threshold_lets_as_many_pixels_pass_as_the_instance_map_is_sure_of():
    """Two pixels of the instance map are above .7, so the second largest is the limit."""
    probs, inside = row(0.9, 0.74, 0.72, 0.1), everywhere(row(0, 0, 0, 0))

    close(sized_threshold(probs, row(0.9, 0.8, 0.5, 0.1), inside, 0.7), [[[0.74]]])
    close(sized_threshold(probs, row(0.9, 0.5, 0.5, 0.1), inside, 0.7), [[[0.8]]])
    close(sized_threshold(probs, row(0.9, 0.9, 0.9, 0.9), inside, 0.7), [[[0.7]]])
    close(sized_threshold(probs, row(0.1, 0.1, 0.1, 0.1), inside, 0.7), [[[0.8]]])
    assert sized_threshold(probs[:0], probs[:0], inside[:0], 0.7).shape == (0, 1, 1)


def test_the_released_code_scores_and_cuts_by_the_instance_map():
    instance = row(0.9, 0.8, 0.75, 0.4)
    made = correct_as_released(
        row(0.6, 0.6, 0.6, 0.2),
        gathered(instance),
        torch.tensor([0.5]),
        everywhere(instance),
        0.7,
        0.4,
    )

    close(made.probs, [[[0.75, 0.7, 0.675, 0.3]]])
    assert made.foreground.tolist() == [[[True, True, False, False]]]
    assert made.decided.tolist() == [[[True, True, False, True]]]
    close(made.score, [0.612500])
    assert made.shown.tolist() == [[[True, True, True, False]]]
    assert torch.equal(made.outlined, instance)
