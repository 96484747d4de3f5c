"""What pseudo masks teach, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.box_host import MaskSamples
from engine.losses.dice import squared_dice
from engine.losses.pseudo_mask import (
    mask_affinity,
    pseudo_affinity_loss,
    pseudo_mask_loss,
    pseudo_mask_losses,
    smoothed,
    weighted_mean,
)
from lab.config import BoxLossConfig, BoxTeacherConfig

BLOCK = torch.zeros(1, 3, 3)
BLOCK[0, :2, :2] = 1


def test_dice_is_weighted_and_divided_by_what_counts():
    """F4: .9 * .2 + .4 * .5 = .38 over two masks; the third has quality 0."""
    losses, quality = torch.tensor([0.2, 0.5, 0.7]), torch.tensor([0.9, 0.4, 0.0])

    assert weighted_mean(losses, quality).item() == pytest.approx(0.19, abs=1e-6)
    assert weighted_mean(losses, torch.zeros(3)).item() == 0
    assert weighted_mean(losses[:0], quality[:0]).item() == 0


def samples(logits: torch.Tensor, targets: list[int]) -> MaskSamples:
    rows = torch.tensor(targets)
    return MaskSamples(logits, torch.zeros_like(rows), rows)


def test_each_sample_is_compared_with_the_mask_of_its_target():
    """F4: Dice2([.8, .7, .4, .1], [1, 1, 0, 0]) = 0.090912."""
    probs = torch.tensor([[[0.8, 0.7, 0.4, 0.1]], [[0.8, 0.7, 0.4, 0.1]]])
    masks = torch.tensor([[[1.0, 1.0, 1.0, 1.0]], [[1.0, 1.0, 0.0, 0.0]]])
    taught = samples(probs.logit(), [1, 1])

    loss = pseudo_mask_loss(taught, masks, torch.ones(2))

    assert loss.item() == pytest.approx(0.090912, abs=1e-6)
    assert squared_dice(probs[:1], masks[1:]).item() == pytest.approx(0.090912, abs=1e-6)


def test_smoothing_is_half_of_a_mean_that_counts_zeros_beyond_the_edge():
    """F3: (1 + 4/9) / 2 in the block, 2/9 / 2 beside it, 1/9 / 2 across the corner."""
    expected = torch.tensor(
        [
            [0.722222, 0.722222, 0.111111],
            [0.722222, 0.722222, 0.111111],
            [0.111111, 0.111111, 0.055556],
        ]
    )

    torch.testing.assert_close(smoothed(BLOCK)[0], expected, atol=1e-6, rtol=0)


def test_affinities_of_the_smoothed_mask():
    """F3: A((1,1),(0,0)) = .598765 is an edge at .5; A((0,0),(0,2)) = .327160 is not."""
    smooth = smoothed(BLOCK)[0]

    def between(a: torch.Tensor, b: torch.Tensor) -> float:
        return (a * b + (1 - a) * (1 - b)).item()

    assert between(smooth[1, 1], smooth[0, 0]) == pytest.approx(0.598765, abs=1e-6)
    assert between(smooth[0, 0], smooth[0, 2]) == pytest.approx(0.327160, abs=1e-6)
    assert between(smooth[0, 0], smooth[2, 2]) == pytest.approx(0.302469, abs=1e-6)
    near, far = mask_affinity(BLOCK, 0.5, 1), mask_affinity(BLOCK, 0.5, 2)
    diagonal = near.offsets.index((1, 1))
    assert near.forth[diagonal][0, 0, 0] == 1
    assert all(float(edge.sum()) == 0 for edge in (far.forth[0][0, 0], far.forth[3][0, 0]))
    assert mask_affinity(BLOCK, 0.32, 2).forth[0][0, 0, 0] == 1


def test_the_affinity_loss_is_a_mean_per_mask_first():
    """All edges of a constant mask of probability 1/2 cost log 2, whatever their number."""
    taught = samples(torch.zeros(2, 3, 3), [0, 0])
    inside = torch.ones(2, 3, 3, dtype=torch.bool)
    inside[1, 1:] = False
    outlines = mask_affinity(BLOCK, 0.5, 1)

    loss = pseudo_affinity_loss(taught, inside, outlines, torch.tensor([0.9, 0.4]))

    assert loss.item() == pytest.approx((0.9 + 0.4) / 2 * np.log(2), abs=1e-6)


def test_both_terms_are_summed_over_the_layers_of_a_host():
    """Two layers of one object; a second object without a mask changes no mean."""
    torch.manual_seed(0)
    config = BoxTeacherConfig(name="boxteacher", warmup_steps=0, box_loss=BoxLossConfig(dilation=1))
    logits, masks = torch.randn(2, 2, 3, 3), torch.cat([BLOCK, torch.zeros(1, 3, 3)])
    quality = torch.tensor([0.9, 0.0])

    def losses(logits: torch.Tensor, layers: int) -> dict[str, torch.Tensor]:
        taught = samples(logits, [0, 1] * layers)
        inside = torch.ones_like(logits, dtype=torch.bool)
        return pseudo_mask_losses(taught, inside, masks, quality, config, 0, layers)

    apart, together = [losses(layer, 1) for layer in logits], losses(logits.flatten(0, 1), 2)

    for name, loss in together.items():
        assert loss.item() == pytest.approx(sum(one[name].item() for one in apart), rel=1e-5)
        assert loss.item() > 0
