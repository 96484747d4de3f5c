"""What a box alone says about a mask: its filled rectangle and its shadows (arXiv:2012.02310)."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.losses.dice import squared_dice


def fill_boxes(boxes: Tensor, height: int, width: int, stride: int = 1) -> Tensor:
    """The cells of a grid whose sampled pixel lies in the box: half-open, by pixel centres.

    Cell (y, x) samples pixel (y * stride + stride // 2, x * stride + stride // 2), as masks are
    sampled. A box between two samples fills the cell of its centre, so that none is empty that
    has any area. Authors: both ends included, so that a box grows by a pixel. Here: half-open.

    Args:
        boxes: (N, 4) XYXY pixels.
        height, width: cells of the grid.
        stride: pixels per cell.

    Returns:
        (N, height, width) bool; nothing of a box without area or outside the grid.
    """
    columns, rows = box_shadows(boxes, height, width, stride)
    return rows[:, :, None] & columns[:, None, :]


def box_shadows(boxes: Tensor, height: int, width: int, stride: int = 1) -> tuple[Tensor, Tensor]:
    """The columns and the rows that `fill_boxes` fills. -> (N, width) bool, (N, height) bool"""
    x1, y1, x2, y2 = boxes.unbind(dim=1)
    return _covered(x1, x2, width, stride), _covered(y1, y2, height, stride)


def projection_loss(probs: Tensor, box_masks: Tensor) -> Tensor:
    """Dice distance between a mask's shadow on each axis and its box's shadow.

    A tight box says where an object begins and ends along x and along y, and nothing about what
    lies between. So the two max-projections are compared, not the areas.

    Args:
        probs: (N, H, W) mask probabilities.
        box_masks: (N, H, W) in {0, 1}, the filled boxes.

    Returns:
        (N,) in [0, 2]: the x term plus the y term. The caller reduces.
    """
    boxes = box_masks.to(probs.dtype)
    along_x = squared_dice(probs.amax(dim=1), boxes.amax(dim=1))
    along_y = squared_dice(probs.amax(dim=2), boxes.amax(dim=2))
    return along_x + along_y


def box_of_mask(masks: Tensor) -> Tensor:
    """(N, H, W) bool -> (N, 4) smallest XYXY box around each, half-open; zeros for an empty one."""
    return box_of_shadows(masks.any(dim=1), masks.any(dim=2))


def box_of_shadows(columns: Tensor, rows: Tensor) -> Tensor:
    """The smallest half-open XYXY box that holds what casts both shadows.

    (N, W) bool, (N, H) bool -> (N, 4); zeros along an axis without a shadow.
    """
    x1, x2 = _extent(columns)
    y1, y2 = _extent(rows)
    return torch.stack([x1, y1, x2, y2], dim=1).float()


def _covered(low: Tensor, high: Tensor, count: int, stride: int) -> Tensor:
    """Which samples of one axis lie in [low, high). (N,), (N,) -> (N, count) bool."""
    cells = torch.arange(count, device=low.device)
    sampled = cells * stride + stride // 2 + 0.5
    inside = (sampled >= low[:, None]) & (sampled < high[:, None])
    middle = ((low + high) / 2 / stride).floor()
    alone = (cells == middle[:, None]) & (high > low)[:, None]
    return inside | (alone & ~inside.any(dim=1, keepdim=True))


def _extent(line: Tensor) -> tuple[Tensor, Tensor]:
    """First and one past last True of each row of (N, L); 0, 0 when there is none."""
    length = line.shape[1]
    present = line.any(dim=1)
    first = line.int().argmax(dim=1) if length else present.int()
    last = length - line.flip(1).int().argmax(dim=1) if length else present.int()
    return first * present, last * present
