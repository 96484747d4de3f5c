"""BiFPN: its fusion by hand, its sizes, and the whole network above it."""

from __future__ import annotations

import pytest
import torch

from engine.models.bifpn import BiFPN, BiFPNLayer, fused
from engine.models.condinst import CondInst
from lab.config import CondInstConfig


def test_fusion_by_hand():
    """Weights 1, 3 and -2: the negative one counts nothing; (1*2 + 3*6) / 4.0001."""
    maps = [torch.full((1, 1, 2, 2), value) for value in (2.0, 6.0, 100.0)]

    found = fused(maps, torch.tensor([1.0, 3.0, -2.0]))

    torch.testing.assert_close(found, torch.full((1, 1, 2, 2), 20.0 / 4.0001))


def test_weights_that_are_all_negative_make_nothing_and_no_nan():
    found = fused([torch.ones(1, 1, 2, 2)] * 2, torch.tensor([-1.0, -1.0]))

    assert torch.equal(found, torch.zeros(1, 1, 2, 2))


@pytest.mark.parametrize("size", [(16, 24), (13, 9)])
def test_levels_keep_their_sizes_and_halve_upwards(size: tuple[int, int]):
    height, width = size
    halves = [(height, width)]
    for _ in range(4):
        halves.append((-(-halves[-1][0] // 2), -(-halves[-1][1] // 2)))
    channels = {"c3": 4, "c4": 6, "c5": 8}
    features = {
        name: torch.randn(2, count, *halves[number])
        for number, (name, count) in enumerate(channels.items())
    }

    found = BiFPN(channels, 8, repeats=2).eval()(features)

    assert {name: tuple(one.shape) for name, one in found.items()} == {
        name: (2, 8, *halves[number]) for number, name in enumerate(["c3", "c4", "c5", "p6", "p7"])
    }


def test_every_level_hears_of_every_other():
    """After one layer, the finest output depends on the coarsest input and the other way round."""
    torch.manual_seed(0)
    layer = BiFPNLayer([8] * 5, 8)
    levels = [torch.randn(2, 8, 2**k, 2**k, requires_grad=True) for k in (5, 4, 3, 2, 1)]

    for number in range(5):
        gradients = torch.autograd.grad(
            layer(levels)[number].square().sum(), levels, allow_unused=True
        )
        heard = [gradient is not None and bool(gradient.any()) for gradient in gradients]
        assert heard == [True] * 5


def test_condinst_learns_through_it():
    torch.manual_seed(0)
    network = CondInst(CondInstConfig(preset="r101_dcn", freeze_stages=2), num_classes=3)

    out = network(torch.rand(2, 3, 128, 160))
    (out.class_logits.square().mean() + out.mask_features.square().mean()).backward()

    assert out.class_logits.shape == (2, 16 * 20 + 8 * 10 + 4 * 5 + 2 * 3 + 1 * 2, 3)
    assert out.mask_features.shape == (2, 8, 16, 20)
    silent = [
        name
        for name, parameter in network.pyramid.named_parameters()
        if parameter.grad is None or not parameter.grad.isfinite().all()
    ]
    assert silent == []
    offsets = network.backbone.body.get_submodule("layer4.0.conv2.offsets")
    assert offsets.get_parameter("weight").grad is not None
