"""The trainable parts of CondInst: pyramid, detection head, mask branch; and its presets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from engine.models.bifpn import BiFPN
from engine.models.dynamic_head import parameter_count
from engine.models.fcos import INFINITE
from engine.models.placed_convolution import PlacedConvolution
from lab.config import CondInstConfig


@dataclass(frozen=True)
class Architecture:
    """What a preset fixes."""

    levels: tuple[str, ...]
    strides: tuple[int, ...]
    ranges: tuple[tuple[float, float], ...]
    sizes_of_interest: tuple[float, ...]
    channels: int
    tower: int
    mask_levels: tuple[str, ...]
    mask_stride: int
    mask_width: int
    mask_channels: int = 8
    depth_layer: bool = False
    repeats: int = 0
    """Of a BiFPN; 0 = a plain FPN."""


PAPER = Architecture(
    levels=("c3", "c4", "c5", "p6", "p7"),
    strides=(8, 16, 32, 64, 128),
    ranges=((-1, 64), (64, 128), (128, 256), (256, 512), (512, INFINITE)),
    sizes_of_interest=(64, 128, 256, 512, 1024),
    channels=256,
    tower=4,
    mask_levels=("c3", "c4", "c5"),
    mask_stride=8,
    mask_width=128,
)
DEFORMABLE = replace(PAPER, channels=160, repeats=6)
"""BoxInst's, and that of all who name a DCN row: ResNet-101 under a BiFPN."""
SMALL = Architecture(
    levels=("c3", "c4", "c5"),
    strides=(8, 16, 32),
    ranges=((-1, 32), (32, 64), (64, INFINITE)),
    sizes_of_interest=(32, 64, 128),
    channels=64,
    tower=2,
    mask_levels=("c2", "c3", "c4"),
    mask_stride=4,
    mask_width=32,
)


def architecture_of(config: CondInstConfig) -> Architecture:
    """The preset with what a config may change of it."""
    chosen = {"tiny": SMALL, "r101_dcn": DEFORMABLE}.get(config.preset, PAPER)
    return replace(
        chosen,
        mask_channels=config.mask_channels,
        depth_layer=config.depth_layer,
    )


class Pyramid(nn.Module):
    """FPN or BiFPN over the backbone's stages, with P6 and P7 for the paper's presets."""

    def __init__(self, channels: tuple[int, int, int, int], arch: Architecture) -> None:
        super().__init__()
        self.names = sorted({*arch.levels, *arch.mask_levels} & {"c2", "c3", "c4", "c5"})
        width = arch.channels
        extra = LastLevelP6P7(width, width) if "p6" in arch.levels else None
        inside = [channels[int(name[1]) - 2] for name in self.names]
        self.fpn = (
            BiFPN(dict(zip(self.names, inside, strict=True)), width, arch.repeats)
            if arch.repeats
            else FeaturePyramidNetwork(inside, width, extra)
        )

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return self.fpn({name: features[name] for name in self.names})


class Head(nn.Module):
    """Two towers shared by all levels: class; box, its quality and mask-head parameters."""

    def __init__(self, arch: Architecture, num_classes: int) -> None:
        super().__init__()
        width = arch.channels
        parameters = parameter_count(arch.mask_channels, depth_layer=arch.depth_layer)
        self.class_tower = _tower(width, arch.tower)
        self.box_tower = _tower(width, arch.tower)
        self.classes = _predictor(width, num_classes, bias=-math.log(99.0))  # starts at 1 %
        self.distances = _predictor(width, 4, bias=1.0)
        self.center = _predictor(width, 1)
        self.controller = _predictor(width, parameters)
        self.scales = nn.Parameter(torch.ones(len(arch.levels)))

    def forward(self, levels: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor, PlacedConvolution]:
        """Per-level maps -> three (B, L, *) tables over all locations, and the controller."""
        rows, boxes = [], []
        for scale, features in zip(self.scales, levels, strict=True):
            by_class, by_box = self.class_tower(features), self.box_tower(features)
            maps = (
                self.classes(by_class),
                functional.relu(scale * self.distances(by_box)),
                self.center(by_box),
            )
            rows.append([m.flatten(2).transpose(1, 2) for m in maps])
            boxes.append(by_box)
        classes, distances, center = (torch.cat(m, dim=1) for m in zip(*rows, strict=True))
        return classes, distances, center, PlacedConvolution.over(self.controller, boxes)


class MaskBranch(nn.Module):
    """Refine the finest levels, add them up at the mask stride, and squeeze the channels."""

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        width = arch.mask_width
        self.names = arch.mask_levels
        self.refine = nn.ModuleList(_conv_bn(arch.channels, width) for _ in self.names)
        self.tower = nn.Sequential(*(_conv_bn(width, width) for _ in range(arch.tower)))
        self.out = nn.Conv2d(width, arch.mask_channels, 1)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        finest = self.refine[0](features[self.names[0]])
        total = finest
        for refine, name in zip(list(self.refine)[1:], self.names[1:], strict=True):
            coarse = refine(features[name])
            total = total + functional.interpolate(
                coarse, size=finest.shape[-2:], mode="bilinear", align_corners=False
            )
        return self.out(self.tower(total))


def _predictor(inside: int, outside: int, bias: float = 0.0) -> nn.Conv2d:
    conv = nn.Conv2d(inside, outside, 3, padding=1)
    nn.init.normal_(conv.weight, std=0.01)
    nn.init.constant_(conv.get_parameter("bias"), bias)
    return conv


def _tower(width: int, depth: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(depth):
        conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        layers += [conv, nn.GroupNorm(32 if width >= 160 else 8, width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def _conv_bn(inside: int, outside: int) -> nn.Sequential:
    conv = nn.Conv2d(inside, outside, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(conv, nn.BatchNorm2d(outside), nn.ReLU(inplace=True))
