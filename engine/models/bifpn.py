"""BiFPN (EfficientDet, arXiv:1911.09070): a pyramid that is read downwards and upwards, repeatedly.

As CondInst and BoxInst use it: P6 and P7 from C5, plain 3x3 convolutions with batch norm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-4
"""Of the fast normalised fusion."""


class BiFPN(nn.Module):
    """{"c3": (B, C3, h, w), ...} -> the same names and "p6", "p7", all with `width` channels."""

    def __init__(self, channels: Mapping[str, int], width: int, repeats: int) -> None:
        super().__init__()
        self.names = list(channels)
        self.top = _projection(channels[self.names[-1]], width)
        inside = [*channels.values(), width, width]
        self.layers = nn.ModuleList(
            BiFPNLayer(inside if number == 0 else [width] * len(inside), width)
            for number in range(repeats)
        )

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        levels = [features[name] for name in self.names]
        levels.append(_halved(self.top(levels[-1])))
        levels.append(_halved(levels[-1]))
        for layer in self.layers:
            levels = layer(levels)
        return dict(zip([*self.names, "p6", "p7"], levels, strict=True))


class BiFPNLayer(nn.Module):
    """One way down from the coarsest level and one back up (EfficientDet, Fig. 2d and sec. 3)."""

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        last = len(channels) - 1
        self.lateral_down = nn.ModuleList(_fitted(inside, width) for inside in channels)
        self.lateral_up = nn.ModuleList(_fitted(inside, width) for inside in channels[1:last])
        self.down = nn.ModuleList(Fusion(2, width) for _ in range(last))
        self.up = nn.ModuleList(Fusion(3, width) for _ in range(last - 1))
        self.top = Fusion(2, width)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Finest level first, each about half the size of the one before; same sizes out."""
        own = [fit(level) for fit, level in zip(self.lateral_down, levels, strict=True)]
        middle = [own[-1]]
        for fusion, level in zip(reversed(self.down), reversed(own[:-1]), strict=True):
            middle.insert(0, fusion([level, _grown(middle[0], level)]))
        out = [middle[0]]
        between = zip(self.up, self.lateral_up, levels[1:-1], middle[1:-1], strict=True)
        for fusion, fit, level, on_the_way in between:
            out.append(fusion([fit(level), on_the_way, _halved(out[-1])]))
        return [*out, self.top([own[-1], _halved(out[-1])])]


class Fusion(nn.Module):
    """Fast normalised fusion of maps of one size, swish, and a 3x3 convolution with batch norm."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.ones(inputs))
        self.refine = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        return self.refine(functional.silu(fused(maps, self.weights)))


def fused(maps: Sequence[Tensor], weights: Tensor) -> Tensor:
    """sum_i w_i I_i / (eps + sum_j w_j) with w >= 0 (EfficientDet, sec. 3.3)."""
    shares = weights.relu()
    shares = shares / (EPSILON + shares.sum())
    return torch.stack([share * one for share, one in zip(shares, maps, strict=True)]).sum(dim=0)


def _projection(inside: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inside, width, 1, bias=False), nn.BatchNorm2d(width))


def _fitted(inside: int, width: int) -> nn.Module:
    return nn.Identity() if inside == width else _projection(inside, width)


def _halved(features: Tensor) -> Tensor:
    return functional.max_pool2d(features, 3, stride=2, padding=1)


def _grown(features: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(features, size=like.shape[-2:], mode="nearest")
