"""BoxTeacher's own functions against values worked out by hand."""

from __future__ import annotations

import pytest
import torch

from engine.methods.boxteacher import mask_aware_score
from engine.pseudo_labels.ema import warmed_up_decay


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


@pytest.mark.parametrize(
    ("step", "decay"),
    [(0, 0.0), (1, 0.5), (9, 0.9), (998, 0.998999), (999, 0.999), (5000, 0.999)],
)
def test_the_teacher_warms_up(step: int, decay: float):
    """F5."""
    assert warmed_up_decay(step, 0.999) == pytest.approx(decay, abs=1e-6)
