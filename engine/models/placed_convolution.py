"""A convolution that is asked at a few places: computed there, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class PlacedConvolution:
    """A 3x3 convolution over the maps of several levels, whose locations are numbered through.

    The parameters of mask heads are many channels that most locations are never asked for.
    """

    conv: nn.Conv2d
    table: Tensor
    """(B, T, C) pixels of all levels with a border of zeros, line after line, level after level."""
    rows: Tensor
    """(L,) where in the table each location is."""
    lines: Tensor
    """(L,) rows from a pixel of its level to the one below."""

    @classmethod
    def over(cls, conv: nn.Conv2d, levels: Sequence[Tensor]) -> PlacedConvolution:
        """Of maps (B, C, h, w); nothing is computed yet."""
        tables, rows, lines, start = [], [], [], 0
        for features in levels:
            padded = functional.pad(features, (1, 1, 1, 1)).permute(0, 2, 3, 1)
            height, width = padded.shape[1:3]
            numbers = torch.arange(height * width, device=features.device).view(height, width)
            inside = numbers[1:-1, 1:-1].flatten()
            tables.append(padded.flatten(1, 2))
            rows.append(start + inside)
            lines.append(torch.full_like(inside, width))
            start += height * width
        return cls(conv, torch.cat(tables, dim=1), torch.cat(rows), torch.cat(lines))

    def at(self, images: Tensor, places: Tensor) -> Tensor:
        """(N,) image and (N,) location -> (N, P) what the convolution says there."""
        steps = torch.arange(-1, 2, device=places.device)
        down, right = steps.repeat_interleave(3), steps.repeat(3)
        around = self.rows[places, None] + self.lines[places, None] * down + right
        seen = self.table[images[:, None], around].flatten(1)
        weight = self.conv.weight.permute(0, 2, 3, 1).flatten(1)
        return functional.linear(seen, weight, self.conv.bias)
