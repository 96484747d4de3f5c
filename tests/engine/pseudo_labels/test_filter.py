"""Which rule drops what: worked examples, then what must hold for any scores."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from engine.pseudo_labels.filter import Verdict, keep_confident, keep_coupled, keep_decoupled
from engine.pseudo_labels.quality import mask_area, soft_area
from lab.datasets.records import DropRule

CLASS = torch.tensor([0.95, 0.99, 0.80, 0.86, 0.85])
MASK = torch.tensor([0.92, 0.85, 0.97, 0.95, 0.90])
AREA = torch.tensor([400, 900, 250, 5, 30])

unit = st.floats(0, 1, width=32)
scores = st.lists(st.tuples(unit, unit), max_size=12)


def decoupled(classes: Tensor, masks: Tensor, areas: Tensor, *thresholds: float) -> Verdict:
    class_threshold, mask_threshold = thresholds
    return keep_decoupled(
        classes,
        masks,
        areas,
        class_threshold=class_threshold,
        mask_threshold=mask_threshold,
        min_area=5,
    )


def test_two_thresholds_keep_what_sits_exactly_on_both():
    verdict = decoupled(CLASS, MASK, AREA, 0.85, 0.9)

    assert verdict.kept.tolist() == [True, False, False, False, True]
    assert verdict.rules.tolist() == [
        DropRule.KEPT,
        DropRule.MASK_QUALITY,
        DropRule.CLASS_QUALITY,
        DropRule.MASK_AREA,
        DropRule.KEPT,
    ]


def test_a_dropped_candidate_carries_the_threshold_that_dropped_it():
    verdict = decoupled(CLASS, MASK, AREA, 0.85, 0.9)

    expected = torch.tensor([torch.nan, 0.9, 0.85, 5.0, torch.nan])
    torch.testing.assert_close(verdict.values, expected, equal_nan=True)


def test_the_first_rule_that_fails_is_blamed():
    verdict = decoupled(torch.tensor([0.1]), torch.tensor([0.1]), torch.tensor([0]), 0.85, 0.9)

    assert verdict.rules.tolist() == [DropRule.CLASS_QUALITY]


def test_one_threshold_on_the_product_lets_a_poor_mask_pass():
    verdict = keep_coupled(CLASS * MASK, AREA, threshold=0.8, min_area=5)

    # Products 0.874, 0.8415, 0.776, 0.817, 0.765; the fourth passes the score but is a speck.
    assert verdict.rules.tolist() == [
        DropRule.KEPT,
        DropRule.KEPT,
        DropRule.COUPLED_SCORE,
        DropRule.MASK_AREA,
        DropRule.COUPLED_SCORE,
    ]


def test_guided_distillation_wants_more_than_its_threshold():
    quality = torch.tensor([0.7, 0.7 + 1e-6, 0.9])
    area = torch.tensor([10, 10, 5])

    verdict = keep_confident(quality, area.float(), area, class_threshold=0.7, min_area=5)

    assert verdict.rules.tolist() == [DropRule.CLASS_QUALITY, DropRule.KEPT, DropRule.MASK_AREA]


def test_guided_distillation_drops_a_mask_that_has_mass_but_no_pixel():
    logits = torch.stack([torch.full((3, 4), -0.2), torch.full((3, 4), -0.5), torch.ones(3, 4)])

    verdict = keep_confident(
        torch.ones(3), soft_area(logits), mask_area(logits), class_threshold=0.7, min_area=5
    )

    # Masses 5.40 (more than 5, yet empty), 4.53 and 8.77.
    assert verdict.kept.tolist() == [False, False, True]


def test_a_score_that_is_not_a_number_never_passes():
    verdict = decoupled(torch.tensor([torch.nan]), torch.ones(1), torch.tensor([99]), 0.0, 0.0)

    assert verdict.rules.tolist() == [DropRule.CLASS_QUALITY]


def test_nothing_in_nothing_out():
    verdict = decoupled(torch.zeros(0), torch.zeros(0), torch.zeros(0), 0.5, 0.5)

    assert verdict.kept.shape == verdict.rules.shape == verdict.values.shape == (0,)


@given(scores, unit, unit, unit, unit)
def test_raising_a_threshold_never_adds_a_label(
    pairs: list[tuple[float, float]], low: float, up: float, mask: float, more: float
):
    classes, masks = torch.tensor(pairs).reshape(-1, 2).unbind(1)
    areas = torch.full((len(pairs),), 99)

    loose = decoupled(classes, masks, areas, min(low, up), min(mask, more)).kept
    strict = decoupled(classes, masks, areas, max(low, up), max(mask, more)).kept

    assert not (strict & ~loose).any()


@given(scores, unit, unit)
def test_two_thresholds_keep_a_part_of_what_their_product_would(
    pairs: list[tuple[float, float]], class_threshold: float, mask_threshold: float
):
    classes, masks = torch.tensor(pairs).reshape(-1, 2).unbind(1)
    areas = torch.full((len(pairs),), 99)

    both = decoupled(classes, masks, areas, class_threshold, mask_threshold).kept
    joint = class_threshold * mask_threshold * (1 - 1e-6)
    one = keep_coupled(classes * masks, areas, threshold=joint, min_area=5).kept

    assert not (both & ~one).any()
