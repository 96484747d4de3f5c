"""Masks compared at points instead of pixels (PointRend, arXiv:1912.08193; Mask2Former).

A point is (x, y) as a share of width and height, so that masks of any resolution meet at it
without being resized. Between pixel centres values are bilinear; outside the map they are 0.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from engine.ranks import Rows


def sample_points(maps: Tensor, points: Tensor) -> Tensor:
    """Values of each map at its own points.

    Args:
        maps: (N, h, w) or (N, K, h, w) float.
        points: (N, P, 2) in [0, 1].

    Returns:
        (N, P), or (N, K, P) for K maps that share their points.
    """
    stacked = maps[:, None] if maps.ndim == 3 else maps
    grid = (2 * points - 1)[:, None]
    values = functional.grid_sample(stacked, grid, mode="bilinear", align_corners=False)[:, :, 0]
    return values[:, 0] if maps.ndim == 3 else values


def uniform_points(
    count: int, number: int, device: torch.device, rows: Rows | None = None
) -> Tensor:
    """(count, number, 2) points, uniform over the image.

    Of several ranks each draws the points of all, and takes its `rows`: as one rank would have.
    """
    if rows is None:
        return torch.rand(count, number, 2, device=device)
    return torch.rand(rows.total, number, 2, device=device)[rows.own.to(device)]


@torch.no_grad()
def uncertain_points(
    mask_logits: Tensor,
    number: int,
    oversample: float = 3.0,
    importance: float = 0.75,
    rows: Rows | None = None,
) -> Tensor:
    """Points where the masks are undecided, and some anywhere.

    Of `number * oversample` uniform points each mask keeps the share `importance` of `number`
    whose logit is nearest to 0; the rest of `number` is uniform.

    Args:
        mask_logits: (N, h, w) float.
        rows: which of all ranks' masks these are.

    Returns:
        (N, number, 2).
    """
    count, device = len(mask_logits), mask_logits.device
    undecided = int(importance * number)
    anywhere = uniform_points(count, number - undecided, device, rows)
    if undecided == 0:
        return anywhere
    candidates = uniform_points(count, max(undecided, int(number * oversample)), device, rows)
    if count == 0:
        return uniform_points(0, number, device)
    distance = sample_points(mask_logits, candidates).abs()
    nearest = distance.topk(undecided, dim=1, largest=False, sorted=False).indices
    chosen = candidates.gather(1, nearest[..., None].expand(-1, -1, 2))
    return torch.cat([chosen, anywhere], dim=1)
