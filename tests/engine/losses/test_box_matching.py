"""Which query answers for which box, worked out by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.instances import Targets
from engine.losses.box_matching import (
    BoxWeights,
    box_costs,
    mask_shadows,
    match_boxes,
    target_shadows,
)

CLASSES = torch.tensor([[[2, 0.5, -1, 0], [0.1, 1.2, 0, 1]]])
"""Softmax at classes 0 and 1: .710100 and .158445; .135711 and .407698."""
PROBS = torch.tensor(
    [
        [
            [[0.8, 0.7, 0.4, 0.1], [0.3, 0.2, 0.1, 0.1]],
            [[0.1, 0.1, 0.2, 0.3], [0.1, 0.4, 0.7, 0.8]],
        ]
    ]
)
"""Shadows [.8, .7, .4, .1] and [.8, .3]; [.1, .4, .7, .8] and [.3, .8]."""
MASKS = PROBS.logit()
STRIDE = 4


def target(*boxes: tuple[float, float, float, float], label: int = 0) -> Targets:
    labels = torch.arange(len(boxes)) + label
    return Targets(torch.tensor(boxes).reshape(-1, 4), labels)


TWO = target((0, 0, 8, 4), (8, 4, 16, 8))
"""Columns 0 and 1 of row 0; columns 2 and 3 of row 1."""


def test_the_costs_of_the_worked_example():
    """Dice of [.8, .7, .4, .1] and [1, 1, 0, 0]: 1 - (3 + 1) / (2 + 2 + 1) = .2; of [.8, .3] and
    [1, 0]: 1 - 2.6 / 3.1 = .161290. Against the other box 1 - 2 / 5 and 1 - 1.6 / 3.1."""
    wanted = target_shadows([TWO], 2, 4, STRIDE)

    costs = box_costs(CLASSES, mask_shadows(MASKS), TWO.labels[None], wanted, BoxWeights())

    near, far = 5 * (0.2 + 0.161290), 5 * (0.6 + 0.483871)
    expected = [[near - 1.420200, far - 0.316890], [far - 0.271422, near - 0.815396]]
    torch.testing.assert_close(costs[0], torch.tensor(expected), atol=1e-5, rtol=0)


def test_each_box_gets_the_query_whose_mask_casts_its_shadows():
    pairs = match_boxes(CLASSES[None], [MASKS], [TWO], STRIDE, BoxWeights())

    assert pairs.queries.tolist() == [[0, 1]] and pairs.targets.tolist() == [[0, 1]]


def test_the_class_decides_where_shadows_count_for_nothing():
    """Query 0 is the surer of class 0, though its mask lies on the other box."""
    swapped = MASKS.flip(1)

    by_class = match_boxes(CLASSES[None], [swapped], [TWO], STRIDE, BoxWeights(2, 0))
    by_shadow = match_boxes(CLASSES[None], [swapped], [TWO], STRIDE, BoxWeights(0, 5))

    assert by_class.queries.tolist() == [[0, 1]]
    assert by_shadow.queries.tolist() == [[1, 0]]


def test_layers_are_matched_apart_and_boxes_counted_over_the_batch():
    """Two layers of two images; the second layer's queries have changed places."""
    classes = torch.stack([CLASSES.repeat(2, 1, 1), CLASSES.flip(1).repeat(2, 1, 1)])
    masks = [MASKS.repeat(2, 1, 1, 1), MASKS.flip(1).repeat(2, 1, 1, 1)]

    pairs = match_boxes(classes, masks, [TWO[:1], TWO], STRIDE, BoxWeights())

    assert pairs.images.tolist() == [0, 1, 1]
    assert pairs.queries.tolist() == [[0, 0, 1], [1, 1, 0]]
    assert pairs.targets.tolist() == [[0, 1, 2], [0, 1, 2]]


def test_an_image_without_boxes_has_no_pairs():
    some = match_boxes(
        CLASSES.repeat(1, 2, 1, 1), [MASKS.repeat(2, 1, 1, 1)], [target(), TWO], 4, BoxWeights()
    )
    none = match_boxes(CLASSES[None], [MASKS], [target()], STRIDE, BoxWeights())

    assert some.images.tolist() == [1, 1] and some.targets.tolist() == [[0, 1]]
    assert none.queries.shape == (1, 0) and none.images.shape == (0,)


def test_more_boxes_than_queries_leave_the_dearest_out():
    three = target((0, 0, 8, 4), (8, 4, 16, 8), (0, 0, 2, 8))

    pairs = match_boxes(torch.zeros(1, 1, 2, 6), [MASKS], [three], STRIDE, BoxWeights())

    assert pairs.targets.tolist() == [[0, 1]]


def test_half_precision_is_matched_too():
    with torch.autocast("cpu", torch.bfloat16):
        pairs = match_boxes(CLASSES[None], [MASKS.bfloat16()], [TWO], STRIDE, BoxWeights())

    assert pairs.queries.tolist() == [[0, 1]]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_a_mask_that_fills_its_box_is_the_cheapest(seed: int, count: int):
    """Of any masks that could be drawn, none has the shadows of the box more exactly."""
    draw = torch.Generator().manual_seed(seed)
    corner = torch.randint(0, 24, (count, 2), generator=draw).float()
    size = torch.randint(4, 8, (count, 2), generator=draw).float()
    objects = Targets(torch.cat([corner, corner + size], dim=1), torch.zeros(count).long())
    wanted = target_shadows([objects], 8, 8, STRIDE)
    drawn = 20 * torch.randn(6, 8, 8, generator=draw)
    perfect = 60.0 * (wanted.rows[0, :1].T[None] * wanted.columns[0, :1]) - 30

    costs = box_costs(
        torch.zeros(1, 7, 2),
        mask_shadows(torch.cat([drawn, perfect])[None]),
        objects.labels[None],
        wanted,
        BoxWeights(0, 1),
    )

    assert costs[0, :, 0].argmin() == 6
    assert costs[0, 6, 0].item() == pytest.approx(0, abs=1e-5)
