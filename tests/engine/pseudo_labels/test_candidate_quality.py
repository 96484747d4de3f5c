"""Scores of classes, masks and pixels, against numbers worked out by hand."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.pseudo_labels.quality import (
    class_quality,
    coupled_score,
    mask_area,
    mask_quality,
    mean_uncertainty,
    pixel_uncertainty,
    soft_area,
)

logits_strategy = st.lists(st.floats(-30, 30, width=32), min_size=4, max_size=4)


def close(actual: torch.Tensor, expected: object) -> None:
    torch.testing.assert_close(actual, torch.as_tensor(expected), atol=1e-6, rtol=0)


def test_no_object_counts_in_the_denominator_but_is_never_the_class():
    quality = class_quality(torch.tensor([[2.0, 0.5, -1.0, 0.0], [0.0, 0.0, 0.0, 9.0]]))

    # Without "no object" the first would be 0.785597; the second is sure that nothing is there.
    close(quality[0], 0.710100)
    assert quality[1] < 2e-4


def test_mask_quality_is_the_mean_probability_of_the_foreground_alone():
    logits = torch.tensor([[[2.0, -1.0], [0.5, -0.2]]])

    close(mask_quality(logits), [0.751628])
    close(coupled_score(torch.tensor([0.710100]), mask_quality(logits)), [0.533731])


def test_an_empty_mask_has_no_quality_and_an_unknown_uncertainty():
    logits = torch.full((1, 3, 3), -4.0)

    assert mask_quality(logits).item() == 0
    assert mask_area(logits).item() == 0
    assert mean_uncertainty(mask_quality(logits)).isnan().all()


def test_no_candidates_have_no_scores():
    empty = torch.zeros(0, 4, 4)

    assert mask_quality(empty).shape == mask_area(empty).shape == soft_area(empty).shape == (0,)
    assert class_quality(torch.zeros(0, 4)).shape == (0,)
    assert pixel_uncertainty(empty).shape == (0, 4, 4)


def test_the_probability_mass_of_many_weak_pixels_can_be_large():
    weak = torch.stack([torch.full((3, 4), -0.2), torch.full((3, 4), -0.5)])

    close(soft_area(weak), [5.401992, 4.530488])
    assert mask_area(weak).tolist() == [0, 0]


def test_uncertainty_is_one_at_a_half_and_falls_to_both_sides():
    probabilities = torch.tensor([0.5, 0.6, 0.9, 0.99, 0.05])

    close(pixel_uncertainty(probabilities.logit()), [1.0, 0.8, 0.2, 0.02, 0.1])


def test_mean_uncertainty_follows_from_the_mask_quality():
    logits = torch.tensor([[[2.0, -1.0], [0.5, -0.2]]])
    inside = logits > 0

    expected = pixel_uncertainty(logits)[inside].mean()

    close(mean_uncertainty(mask_quality(logits)), [expected.item()])


def test_half_precision_logits_are_scored_in_single_precision():
    logits = torch.randn(2, 64, 64, generator=torch.Generator().manual_seed(0))

    assert mask_quality(logits.bfloat16()).dtype == torch.float32
    torch.testing.assert_close(
        mask_quality(logits.bfloat16()), mask_quality(logits), atol=1e-3, rtol=0
    )


@given(logits_strategy)
def test_mask_quality_is_zero_or_above_a_half(values: list[float]):
    logits = torch.tensor(values).reshape(1, 2, 2)

    quality = mask_quality(logits).item()

    assert quality == 0 if (logits <= 0).all() else 0.5 - 1e-6 <= quality <= 1


@given(logits_strategy, st.floats(0, 1))
def test_the_coupled_score_is_at_most_either_factor(values: list[float], other: float):
    quality = mask_quality(torch.tensor(values).reshape(1, 2, 2))

    score = coupled_score(torch.tensor([other]), quality)

    assert score.item() <= min(quality.item(), other) + 1e-6


@given(logits_strategy)
def test_a_foreground_argmax_is_at_least_as_likely_as_chance(values: list[float]):
    logits = torch.tensor([[*values, min(values)]])

    assert class_quality(logits).item() >= 1 / 5 - 1e-6


@given(st.floats(-30, 30, width=32))
def test_uncertainty_is_the_same_for_a_probability_and_its_complement(logit: float):
    value = torch.tensor([logit])

    close(pixel_uncertainty(value), pixel_uncertainty(-value).tolist())
    assert 0 <= pixel_uncertainty(value).item() <= 1
