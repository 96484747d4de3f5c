"""What queries propose, and the boxes that are read off the shadows of their masks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from engine.box_host import Wanted
from engine.losses.box_mask import box_of_mask
from engine.models.query_proposals import Queries, probable_pairs, read_queries, shadow_boxes

LOGITS = torch.tensor([[2.0, 0.5, -1.0, 0.0], [0.1, 1.2, 0.0, 1.0]])
"""Softmax, "no object" last: .710100 .158445 .035354; .135711 .407698 .122796."""


def queries(owners: tuple[int, int] = (-1, -1)) -> Queries:
    """Query 0 fills a quarter of the image with p = .9; query 1 nothing."""
    masks = torch.full((1, 2, 4, 4), -5.0)
    masks[0, 0, :2, :2] = torch.tensor(0.9).logit()
    return read_queries(LOGITS[None], masks, torch.tensor([owners]), 4)[0]


def test_a_score_is_class_times_mask_quality():
    found = queries().propose(Wanted.BEST, torch.tensor([]), 0.0, most=3)

    # The three most probable pairs are (0, 0), (1, 1) and (0, 1); query 1 has no mask.
    assert found.places.tolist() == [0, 0, 1] and found.labels.tolist() == [0, 1, 1]
    assert found.class_quality.tolist() == pytest.approx([0.710100, 0.158445, 0.407698], abs=1e-6)
    assert found.scores.tolist() == pytest.approx([0.639090, 0.142600, 0.0], abs=1e-6)
    assert found.class_logits.tolist() == [LOGITS[q, :3].tolist() for q in (0, 0, 1)]
    assert found.levels.tolist() == [0, 0, 0]


def test_all_pairs_above_the_floor_are_proposed_best_first():
    def pairs(floor: float) -> list[tuple[int, int]]:
        found = queries().propose(Wanted.ALL, torch.tensor([]), floor, most=1)
        return list(zip(found.places.tolist(), found.labels.tolist(), strict=True))

    assert pairs(0.4) == [(0, 0), (1, 1)]
    assert pairs(0.14) == [(0, 0), (0, 1), (1, 1)]
    assert len(pairs(0.0)) == 6
    assert pairs(0.9) == []


def test_each_target_is_assigned_its_query_under_its_own_class():
    found = queries((1, 0)).propose(Wanted.ASSIGNED, torch.tensor([2, 1]), 0.9, most=1)

    assert found.places.tolist() == [1, 0]
    assert found.owners.tolist() == [0, 1]
    assert found.labels.tolist() == [2, 1]
    assert found.class_quality.tolist() == pytest.approx([0.122796, 0.158445], abs=1e-6)
    assert len(queries().propose(Wanted.ASSIGNED, torch.tensor([]).long(), 0.0, 1)) == 0


def test_pairs_are_told_apart_by_query_and_class():
    rows, columns = probable_pairs(torch.tensor([[0.1, 0.3], [0.5, 0.2]]), 3)

    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(1, 0), (0, 1), (1, 1)]
    assert [len(one) for one in probable_pairs(torch.rand(2, 2), 99)] == [4, 4]


def test_the_box_of_a_mask_ends_where_its_logits_cross_zero():
    """+5 in rows 1 to 2 and columns 2 to 4 of cells of 4 pixels, -5 elsewhere: half way between
    cells is their border. Beside -15 the crossing is at a quarter: one pixel inside."""
    even, uneven = torch.full((2, 1, 1, 4, 6), -5.0)
    even[..., 1:3, 2:5] = 5
    uneven[...] = torch.where(even > 0, 5.0, -15.0)

    assert shadow_boxes(even, 4).tolist() == [[8, 4, 20, 12]]
    assert shadow_boxes(uneven, 4).tolist() == [[9, 5, 19, 11]]


def test_an_empty_mask_has_a_box_without_area():
    boxes = shadow_boxes(torch.full((1, 2, 4, 4), -1.0), 4)

    assert boxes.tolist() == [[0, 0, 0, 0]] * 2


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_a_box_of_shadows_holds_the_enlarged_mask_and_ends_with_the_cells(seed: int):
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(1, 3, 6, 7, generator=draw) - 1
    enlarged = functional.interpolate(logits, scale_factor=4, mode="bilinear")[0] > 0
    some = enlarged.any(dim=2).any(dim=1)
    least, most = box_of_mask(enlarged)[some], 4 * box_of_mask(logits[0] > 0)[some]

    boxes = shadow_boxes(logits, 4)[some]

    outward = torch.tensor([-1, -1, 1, 1])
    assert (outward * (boxes - least) >= 0).all()
    assert (outward * (boxes - most) <= 2).all()
