"""VarifocalLoss against its worked example."""

import torch

from engine.losses.varifocal import varifocal_loss


def test_the_worked_example():
    """D4: a positive with target .8, a negative at .7, a negative at .1; alpha 1/4."""
    logits = torch.tensor([0.7, 0.7, 0.1]).logit()

    loss = varifocal_loss(logits, torch.tensor([0.8, 0.0, 0.0]))

    expected = torch.tensor([0.420908, 0.147487, 0.000263])
    torch.testing.assert_close(loss, expected, atol=1e-6, rtol=0)


def test_alpha_scales_negatives_alone():
    logits, targets = torch.tensor([0.3, -0.4]), torch.tensor([0.9, 0.0])

    quarter, full = varifocal_loss(logits, targets), varifocal_loss(logits, targets, alpha=0.75)

    assert quarter[0] == full[0]
    torch.testing.assert_close(3 * quarter[1], full[1])


def test_nothing_costs_nothing():
    assert varifocal_loss(torch.zeros(0, 3), torch.zeros(0, 3)).shape == (0, 3)
