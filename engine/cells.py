"""Grids of cells over an image: masks are learnt on them, and drawn in pixels."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def enlarged(maps: Tensor, stride: int) -> Tensor:
    """Values of cells at the pixels: what targets are sampled from, undone.

    Cell (y, x) is at pixel (y * stride + stride // 2, x * stride + stride // 2), where its target
    was sampled; between cells values are linear. Half-pixel centres, torch's own way, would draw
    every mask half a pixel up and left of what it was taught.

    Args:
        maps: (N, h, w).
        stride: pixels per cell.

    Returns:
        (N, stride * h, stride * w)
    """
    count, height, width = maps.shape
    if stride == 1:
        return maps
    if count == 0:
        return maps.new_zeros(0, stride * height, stride * width)
    framed = functional.pad(maps[:, None], (1, 1, 1, 1), mode="replicate")
    spread: Tensor = functional.interpolate(
        framed,
        size=(stride * (height + 1) + 1, stride * (width + 1) + 1),
        mode="bilinear",
        align_corners=True,
    )
    first = stride - stride // 2
    rows = slice(first, first + stride * height)
    columns = slice(first, first + stride * width)
    return spread[:, 0, rows, columns]


def sampled(maps: Tensor, stride: int) -> Tensor:
    """The pixels where cells are. (N, H, W) -> (N, h, w)"""
    return maps[:, stride // 2 :: stride, stride // 2 :: stride]
