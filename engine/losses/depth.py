"""What a depth map says about masks and about predicted depth: Pseudo-Depth, Eqs. 2 to 5.

Depth is smooth within an object and jumps at its edge. So neighbours at one depth should be of one
object (`depth_affinity`, for losses.pairwise), and a network that can tell the depth of an object
knows much of its shape (`depth_loss`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from engine import ranks
from engine.interfaces import ViewGeometry
from engine.losses.pairwise import Affinity, Offset, build_affinity, ends, shown_cells


@dataclass(frozen=True)
class DepthMaps:
    """The depth of B images on the grid of their mask logits."""

    cells: Tensor
    """(B, h, w) in [0, 1], 1 = near."""
    valid: Tensor
    """(B, h, w) bool, False on padding."""
    known: Tensor
    """(B,) bool: a flat map, or none, says nothing."""


@torch.no_grad()
def depth_maps(depth: Tensor, geometry: Sequence[ViewGeometry], stride: int) -> DepthMaps:
    """Depth averaged over the cells of the mask logits; pixels of the padding do not count.

    Args:
        depth: (B, H, W) in [0, 1], padding 0.
        geometry: B views.
        stride: pixels per cell.
    """
    sizes = [(view.height, view.width) for view in geometry]
    height, width = depth.shape[1:]
    shown = shown_cells(sizes, height, width, 1, depth.device)
    sums = functional.avg_pool2d(depth, stride)
    cells = sums / functional.avg_pool2d(shown.to(depth.dtype), stride).clamp(min=stride**-2)
    valid = shown_cells(sizes, height // stride, width // stride, stride, depth.device)
    farthest = cells.masked_fill(~valid, 1).amin(dim=(1, 2))
    nearest = cells.masked_fill(~valid, 0).amax(dim=(1, 2))
    return DepthMaps(cells, valid, nearest > farthest)


def depth_similarity(depth: Tensor, offset: Offset, sharpness: float) -> Tensor:
    """S_d = exp(-kappa |d_a - d_b|) of all pairs, Eq. 3. (N, H, W) -> (N, H', W') in (0, 1]

    The paper has kappa = 1. With depth in [0, 1] no pair would then be below exp(-1) = 0.37.
    """
    first, second = ends(depth, offset)
    return torch.exp(-sharpness * (first - second).abs())


@torch.no_grad()
def depth_affinity(maps: DepthMaps, sharpness: float, threshold: float, dilation: int) -> Affinity:
    """Edges between cells at one depth, Eq. 4; none in an image whose depth is not known.

    Args:
        threshold: least similarity of an edge, in [0, 1]; exclusive.
        dilation: cells between neighbours.
    """
    known = maps.known[:, None, None]
    return build_affinity(
        lambda offset: (depth_similarity(maps.cells, offset, sharpness) > threshold) & known,
        dilation,
        maps.valid,
    )


def depth_loss(depth_logits: Tensor, truth: Tensor, inside: Tensor, counted: Tensor) -> Tensor:
    """Squared error of the predicted depth in each box, Eq. 2. -> (); 0 with its graph for none

    The paper sums. Here: the mean over the cells of a box, then over the samples that count.

    Args:
        depth_logits: (S, h, w).
        truth: (S, h, w) in [0, 1].
        inside: (S, h, w) bool, the filled boxes.
        counted: (S,) bool.
    """
    error = (depth_logits.to(truth.dtype).sigmoid() - truth).square() * inside
    per_sample = error.sum(dim=(1, 2)) / inside.sum(dim=(1, 2)).clamp(min=1)
    return (per_sample * counted).sum() / ranks.normaliser(counted.sum())


def box_range(depth: Tensor, inside: Tensor) -> Tensor:
    """Depth stretched so that it runs from 0 to 1 in each box; 0 where it is flat there.

    (S, h, w), (S, h, w) bool -> (S, h, w) in [0, 1]; outside of the box it is clipped.
    """
    low = depth.masked_fill(~inside, torch.inf).amin(dim=(1, 2), keepdim=True)
    high = depth.masked_fill(~inside, -torch.inf).amax(dim=(1, 2), keepdim=True)
    spread = high - low
    stretched = (depth - low) / spread.clamp(min=1e-6)
    return torch.where(spread > 0, stretched.clamp(0, 1), 0)
