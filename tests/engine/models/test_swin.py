"""Swin backbones give a pyramid its four stages."""

from __future__ import annotations

import torch
from safetensors.torch import save_file
from torchvision.models import swin_t

from engine.models.condinst import CondInst
from engine.models.swin import build_swin
from lab.config import CondInstConfig


def test_the_stages_have_their_strides_and_channels():
    torch.manual_seed(0)
    backbone = build_swin("swin_t", 0)

    features = backbone(torch.rand(1, 3, 64, 96))

    assert {name: tuple(one.shape) for name, one in features.items()} == {
        "c2": (1, 96, 16, 24),
        "c3": (1, 192, 8, 12),
        "c4": (1, 384, 4, 6),
        "c5": (1, 768, 2, 3),
    }


def test_frozen_stages_stay():
    """The stem is features.0 and the first stage features.1; the merging after it learns."""
    backbone = build_swin("swin_t", 2)

    frozen = {n[:15] for n, p in backbone.named_parameters() if not p.requires_grad}
    free = {n[:15] for n, p in backbone.named_parameters() if p.requires_grad}
    assert frozen == {"body.features.0", "body.features.1"}
    assert frozen.isdisjoint(free)


def test_a_classifiers_weights_fit(tmp_path):
    torch.manual_seed(0)
    save_file(swin_t(weights=None).state_dict(), tmp_path / "swin.safetensors")
    config = CondInstConfig(preset="swin_t", backbone_weights=str(tmp_path / "swin.safetensors"))

    network = CondInst(config, num_classes=2)

    saved = torch.nn.Module.state_dict(network.backbone.body)
    torch.manual_seed(0)
    torch.testing.assert_close(
        saved["features.7.1.mlp.0.weight"],
        swin_t(weights=None).state_dict()["features.7.1.mlp.0.weight"],
    )
