"""Cross-entropy and dice where a mask is known."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.losses.decided_pixels import decided_mask_loss, focal_mask_loss, mean_of_decided

PREDICTED = torch.tensor([[[0.7, 0.6, 0.5, 0.2]]]).logit()
TRUTH = torch.tensor([[[True, False, False, False]]])
DECIDED = torch.tensor([[[True, False, False, True]]])
"""I6: the second and third pixel are unknown."""


def test_unknown_pixels_do_not_count():
    """I6: cross-entropy .289909 and dice .084973."""
    assert decided_mask_loss(PREDICTED, TRUTH, DECIDED).item() == pytest.approx(0.374883, abs=1e-6)


def test_a_mask_of_which_nothing_is_known_costs_nothing_and_keeps_its_graph():
    logits = PREDICTED.clone().requires_grad_()
    loss = decided_mask_loss(logits, TRUTH, torch.zeros_like(DECIDED))
    loss.sum().backward()

    assert loss.tolist() == [0]
    assert logits.grad is not None and not logits.grad.any()


@pytest.mark.parametrize("loss", [decided_mask_loss, focal_mask_loss])
def test_no_masks_have_no_losses(loss):
    nothing = torch.zeros(0, 4, 4)

    assert loss(nothing, nothing.bool(), nothing.bool()).shape == (0,)


@settings(deadline=None)
@given(st.integers(0, 1000))
def test_what_unknown_pixels_predict_and_are_changes_nothing(seed: int):
    torch.manual_seed(seed)
    logits, truth, decided = torch.randn(2, 3, 3), torch.rand(2, 3, 3) > 0.5, torch.rand(3, 3) > 0.5
    decided = decided.expand(2, 3, 3)
    other = torch.where(decided, logits, torch.randn(2, 3, 3))
    unlike = torch.where(decided, truth, ~truth)

    for loss in (decided_mask_loss, focal_mask_loss):
        torch.testing.assert_close(
            loss(logits, truth, decided), loss(other, unlike, decided), atol=1e-6, rtol=0
        )


def test_a_sure_and_right_mask_costs_nothing():
    logits = torch.where(TRUTH, 50.0, -50.0)

    assert decided_mask_loss(logits, TRUTH, DECIDED).item() == pytest.approx(0, abs=1e-4)


def test_gradients_are_those_of_the_formula():
    torch.manual_seed(0)
    logits = torch.randn(2, 2, 3, dtype=torch.float64, requires_grad=True)
    truth = torch.rand(2, 2, 3) > 0.5

    loss = decided_mask_loss(logits, truth, torch.ones(2, 2, 3)).sum()
    (found,) = torch.autograd.grad(loss, logits)

    step = torch.zeros_like(logits)
    step[1, 0, 2] = 1e-2
    with torch.no_grad():
        up = decided_mask_loss(logits + step, truth, torch.ones(2, 2, 3)).sum()
        down = decided_mask_loss(logits - step, truth, torch.ones(2, 2, 3)).sum()
    assert found[1, 0, 2].item() == pytest.approx(((up - down) / 2e-2).item(), abs=1e-3)


def test_the_released_loss_squashes_twice():
    """A logit of 0 is .5, and then .622459: .25 * .377541^2 * .474077 for a pixel of the object,
    .75 * .622459^2 * .974077 for another."""
    logits = torch.zeros(1, 1, 1)
    one = torch.ones(1, 1, 1, dtype=torch.bool)

    assert focal_mask_loss(logits, one, one).item() == pytest.approx(0.016893, abs=1e-6)
    assert focal_mask_loss(logits, ~one, one).item() == pytest.approx(0.283059, abs=1e-6)


def test_the_mean_is_over_the_decided_pixels_of_each_mask():
    losses = torch.tensor([[[1.0, 3.0]], [[5.0, 7.0]]])
    weight = torch.tensor([[[1.0, 1.0]], [[0.0, 1.0]]])

    assert mean_of_decided(losses, weight).tolist() == [2, 7]
