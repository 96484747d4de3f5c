"""Dice losses against the hand-computed oracles of the papers' formulas."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.losses.dice import smooth_dice, squared_dice


def test_squared_dice_of_the_worked_example():
    """F4: 2 * 1.5 / (1.30 + 2) leaves 0.0909; the 1e-5 in the denominator adds the rest."""
    loss = squared_dice(torch.tensor([[0.8, 0.7, 0.4, 0.1]]), torch.tensor([[1.0, 1.0, 0.0, 0.0]]))

    assert loss.item() == pytest.approx(0.090912, abs=1e-6)


def test_smooth_dice_of_the_worked_example():
    """A3: the Mask2Former form on logits 2, -1, 0.5, -0.2 and targets 1, 0, 1, 1."""
    probs = torch.tensor([[2.0, -1.0, 0.5, -0.2]]).sigmoid()

    loss = smooth_dice(probs, torch.tensor([[1.0, 0.0, 1.0, 1.0]]))

    assert loss.item() == pytest.approx(0.211418, abs=1e-6)


def test_a_pixel_of_weight_zero_says_nothing():
    probs = torch.tensor([[0.8, 0.7, 0.4, 0.1]])
    target = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    weight = torch.tensor([[1.0, 1.0, 0.0, 0.0]])

    loss = squared_dice(probs, target, weight)

    # The first two pixels alone: 1 - 3.0 / (1.13 + 2).
    assert loss.item() == pytest.approx(1 - 3.0 / 3.13001, abs=1e-6)


def test_the_gradient_of_a_doubtful_pixel_shrinks_with_its_weight():
    probs = torch.full((1, 4), 0.5, requires_grad=True)
    target = torch.tensor([[1.0, 1.0, 0.0, 0.0]])

    squared_dice(probs, target, torch.tensor([[1.0, 0.0, 1.0, 0.25]])).sum().backward()

    assert probs.grad is not None
    assert probs.grad[0, 1] == 0
    assert probs.grad[0, 3].item() == pytest.approx(probs.grad[0, 2].item() / 4, rel=1e-5)


def test_no_instance_gives_no_loss():
    assert squared_dice(torch.zeros(0, 4, 4), torch.zeros(0, 4, 4)).shape == (0,)
    assert smooth_dice(torch.zeros(0, 4, 4), torch.zeros(0, 4, 4)).shape == (0,)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=20))
def test_both_dice_losses_stay_between_zero_and_one(pixels):
    probs = torch.tensor([[p for p, _ in pixels]])
    target = torch.tensor([[float(t) for _, t in pixels]])

    for loss in (squared_dice(probs, target), smooth_dice(probs, target)):
        assert -1e-6 <= loss.item() <= 1 + 1e-6


def test_weights_of_one_change_nothing():
    probs, target = torch.rand(3, 5, 5), (torch.rand(3, 5, 5) > 0.5).float()

    torch.testing.assert_close(
        squared_dice(probs, target, torch.ones(3, 5, 5)), squared_dice(probs, target)
    )


def test_squared_dice_has_a_right_gradient():
    logits = torch.randn(2, 3, 3, dtype=torch.float64, requires_grad=True)
    target = (torch.rand(2, 3, 3) > 0.5).double()
    weight = torch.rand(2, 3, 3, dtype=torch.float64)

    def loss(x: torch.Tensor) -> torch.Tensor:
        return squared_dice(x.sigmoid(), target, weight)

    eps = 1e-2  # the sums run in float32, so the difference quotient needs a wide step
    numeric = torch.stack(
        [
            (loss(logits + eps * d).sum() - loss(logits - eps * d).sum()) / (2 * eps)
            for d in torch.eye(18, dtype=torch.float64).reshape(18, 2, 3, 3)
        ]
    )
    (analytic,) = torch.autograd.grad(loss(logits).sum(), logits)
    torch.testing.assert_close(analytic.flatten(), numeric.double(), atol=2e-4, rtol=2e-3)
