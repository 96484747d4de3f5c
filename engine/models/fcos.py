"""FCOS as pure functions: where locations are, which object each must find, what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

INFINITE = 1e8
CENTER_RADIUS = 1.5
"""A location is positive only this many strides around an object's centre."""


@dataclass(frozen=True)
class Locations:
    """All locations of all levels of one input size, concatenated: L of them."""

    points: Tensor
    """(L, 2) x, y in input pixels."""
    strides: Tensor
    """(L,)"""
    level_ranges: Tensor
    """(L, 2) the least and largest box side distance a location of that level may regress."""
    sizes_of_interest: Tensor
    """(L,) pixels that relative coordinates are divided by."""
    levels: Tensor
    """(L,) int64 which level, finest first."""


def build_locations(
    shapes: Sequence[tuple[int, int]],
    strides: Sequence[int],
    ranges: Sequence[tuple[float, float]],
    sizes_of_interest: Sequence[float],
    device: torch.device,
) -> Locations:
    """Locations (x * s + s // 2, y * s + s // 2) of feature maps of the given (h, w)."""
    points, stride_of, range_of, size_of, level_of = [], [], [], [], []
    given = zip(shapes, strides, ranges, sizes_of_interest, strict=True)
    for level, ((height, width), stride, limits, size) in enumerate(given):
        ys = torch.arange(height, device=device) * stride + stride // 2
        xs = torch.arange(width, device=device) * stride + stride // 2
        grid = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), dim=-1).reshape(-1, 2)
        points.append(grid.float())
        stride_of.append(torch.full((len(grid),), float(stride), device=device))
        range_of.append(torch.tensor(limits, device=device).expand(len(grid), 2))
        size_of.append(torch.full((len(grid),), float(size), device=device))
        level_of.append(torch.full((len(grid),), level, device=device))
    columns = (points, stride_of, range_of, size_of, level_of)
    return Locations(*(torch.cat(column) for column in columns))


def box_distances(points: Tensor, boxes: Tensor) -> Tensor:
    """Distances left, top, right, bottom from points to box sides. (L, 2), (N, 4) -> (L, N, 4)."""
    x, y = points[:, None, 0], points[:, None, 1]
    x1, y1, x2, y2 = boxes[None].unbind(-1)
    return torch.stack([x - x1, y - y1, x2 - x, y2 - y], dim=-1)


def decode_boxes(points: Tensor, distances: Tensor) -> Tensor:
    """(..., 2), (..., 4) -> (..., 4) XYXY."""
    return torch.cat([points - distances[..., :2], points + distances[..., 2:]], dim=-1)


def assign(locations: Locations, boxes: Tensor, centers: Tensor) -> tuple[Tensor, Tensor]:
    """Which object each location must find.

    A location is positive for an object when it is strictly inside the object's centre region
    (its centre +- 1.5 strides, clipped to the box) and the farthest box side is within the range
    of its level, both ends included. Of several objects the smallest box wins; of equal ones the
    first.

    Args:
        boxes: (N, 4) XYXY.
        centers: (N, 2) x, y: centres of mass of the masks, or of the boxes.

    Returns:
        (L,) index of the object, -1 for background; (L, 4) distances to its box in pixels
        (undefined for background).
    """
    if len(boxes) == 0:
        none = torch.full((len(locations.points),), -1, device=boxes.device, dtype=torch.long)
        return none, boxes.new_zeros(len(locations.points), 4)
    distances = box_distances(locations.points, boxes)
    central = are_central(locations, boxes, centers)
    farthest = distances.amax(-1)
    low, high = locations.level_ranges[:, None, :].unbind(-1)
    positive = central & (farthest >= low) & (farthest <= high)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    smallest, index = torch.where(positive, areas[None], INFINITE).min(dim=1)
    picked = distances.gather(1, index[:, None, None].expand(-1, 1, 4))[:, 0]
    return torch.where(smallest < INFINITE, index, -1), picked


def are_central(locations: Locations, boxes: Tensor, centers: Tensor) -> Tensor:
    """Which locations lie strictly inside the centre region of which box. -> (L, N) bool."""
    radius = CENTER_RADIUS * locations.strides[:, None, None]
    low = torch.maximum(centers - radius, boxes[None, :, :2])
    high = torch.minimum(centers + radius, boxes[None, :, 2:])
    points = locations.points[:, None, :]
    return ((points > low) & (points < high)).all(-1)


def mask_centers(masks: Tensor, boxes: Tensor) -> Tensor:
    """Centres of mass (x, y); an empty mask falls back on its box. (N, H, W) -> (N, 2)."""
    weight = masks.float()
    mass = weight.sum((1, 2))
    height, width = masks.shape[1:]
    ys = torch.arange(height, device=masks.device, dtype=torch.float32)
    xs = torch.arange(width, device=masks.device, dtype=torch.float32)
    center = (
        torch.stack([weight.sum(1) @ xs, weight.sum(2) @ ys], dim=1) / mass.clamp(min=1)[:, None]
    )
    return torch.where(mass[:, None] > 0, center, box_centers(boxes))


def box_centers(boxes: Tensor) -> Tensor:
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def spread_evenly(owners: Tensor, quality: Tensor, limit: int) -> Tensor:
    """At most `limit` samples, shared evenly among their owners, best quality first.

    Each owner may keep max(1, limit // owners) samples (the rule of the BoxInst family).

    Args:
        owners: (P,) int64 object of each sample.
        quality: (P,) higher is better.

    Returns:
        (S,) indices of the samples kept, in their old order.
    """
    if len(owners) <= limit:
        return torch.arange(len(owners), device=owners.device)
    by_quality = torch.argsort(quality, descending=True, stable=True)
    by_owner = by_quality[torch.argsort(owners[by_quality], stable=True)]
    _, counts = torch.unique_consecutive(owners[by_owner], return_counts=True)
    starts = torch.repeat_interleave(counts.cumsum(0) - counts, counts)
    rank = torch.arange(len(owners), device=owners.device) - starts
    share = max(1, limit // len(counts))
    return by_owner[rank < share].sort().values
