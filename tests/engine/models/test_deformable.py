"""Deformable convolutions: what they start as, where they look, and a classifier's weights."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import resnet101

from engine.checkpoint import CheckpointError
from engine.models.backbones import build_backbone
from engine.models.condinst import CondInst
from engine.models.deformable import DeformableConvolution
from lab.config import CondInstConfig


def plain(stride: int = 1) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(2, 3, 3, stride=stride, padding=1, bias=False)


@pytest.mark.parametrize("stride", [1, 2])
def test_it_starts_as_half_of_the_plain_convolution(stride: int):
    """No offsets, and the modulation is sigmoid(0) = 0.5 everywhere."""
    conv, features = plain(stride), torch.randn(2, 2, 7, 6)
    expected = 0.5 * conv(features)

    torch.testing.assert_close(DeformableConvolution(conv)(features), expected)


def test_places_that_all_move_one_pixel_see_the_picture_moved():
    """Offsets are pairs (down, right): with (0, 1) every output sees what is right of it."""
    conv, features = plain(), torch.randn(1, 2, 6, 8)
    moving = DeformableConvolution(conv)
    with torch.no_grad():
        moving.offsets.get_parameter("bias")[1:18:2] = 1.0
        moving.offsets.get_parameter("bias")[18:] = 50.0  # sigmoid: all of it

    moved, still = moving(features), conv(features)

    torch.testing.assert_close(moved[..., 1:-2], still[..., 2:-1])


def test_a_place_without_modulation_counts_nothing():
    conv, features = plain(), torch.randn(1, 2, 5, 5)
    deaf = DeformableConvolution(conv)
    nn.init.constant_(deaf.offsets.get_parameter("bias"), -100.0)

    assert deaf(features).abs().max() < 1e-12


def test_only_a_plain_3x3_convolution_can_deform():
    with pytest.raises(ValueError, match="3x3"):
        DeformableConvolution(nn.Conv2d(2, 2, 1, bias=False))


def test_every_third_block_of_the_last_three_stages_deforms():
    body = build_backbone("r101_dcn", 0, 0, pretrained=False).body

    found = {n for n, m in body.named_modules() if isinstance(m, DeformableConvolution)}

    assert found == {
        *(f"layer2.{number}.conv2" for number in (0, 3)),
        *(f"layer3.{number}.conv2" for number in range(0, 23, 3)),
        "layer4.0.conv2",
    }


def test_a_plain_classifiers_weights_fit_and_offsets_start_at_nothing(tmp_path):
    torch.manual_seed(1)
    state = resnet101(weights=None).state_dict()
    save_file(state, tmp_path / "resnet101.safetensors")
    config = CondInstConfig(
        preset="r101_dcn", backbone_weights=str(tmp_path / "resnet101.safetensors")
    )

    body = CondInst(config, num_classes=2).backbone.body.state_dict()

    torch.testing.assert_close(body["layer3.6.conv2.weight"], state["layer3.6.conv2.weight"])
    assert not body["layer3.6.conv2.offsets.weight"].any()


def test_a_file_that_lacks_more_than_offsets_is_refused(tmp_path):
    state = resnet101(weights=None).state_dict()
    del state["layer3.6.conv2.weight"]
    save_file(state, tmp_path / "broken.safetensors")
    config = CondInstConfig(
        preset="r101_dcn", backbone_weights=str(tmp_path / "broken.safetensors")
    )

    with pytest.raises(CheckpointError, match=r"layer3\.6\.conv2\.weight"):
        CondInst(config, num_classes=2)


def test_offsets_learn_and_half_precision_runs():
    torch.manual_seed(0)
    moving = DeformableConvolution(plain())
    with torch.autocast("cpu", torch.bfloat16):
        moving(torch.randn(1, 2, 6, 6)).float().square().sum().backward()

    assert moving.offsets.weight.grad is not None
    assert moving.offsets.weight.grad.abs().sum() > 0
