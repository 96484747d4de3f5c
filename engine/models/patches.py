"""Small pictures of single objects, cut out of images on the device they are on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops import roi_align


def tight_boxes(masks: Tensor) -> Tensor:
    """(N, H, W) bool -> (N, 4) smallest XYXY box around each mask, half-open; 0 for an empty one.

    No wait for the device.
    """
    x1, x2 = _extent(masks.any(dim=1))
    y1, y2 = _extent(masks.any(dim=2))
    return torch.stack([x1, y1, x2, y2], dim=1).float()


def widen_boxes(boxes: Tensor, margin: float) -> Tensor:
    """Boxes with `margin` times their width and height added on each side. (N, 4) -> (N, 4).

    They may reach beyond the image.
    """
    border = margin * (boxes[:, 2:] - boxes[:, :2])
    return torch.cat([boxes[:, :2] - border, boxes[:, 2:] + border], dim=1)


def cut_patches(images: Tensor, boxes: Sequence[Tensor], size: int | tuple[int, int]) -> Tensor:
    """Every box squeezed into one size; averages when it shrinks, black beyond the image.

    Args:
        images: (B, C, H, W) float.
        boxes: B tensors (N_b, 4) XYXY pixels.
        size: side of the patches, or (height, width).

    Returns:
        (sum of N_b, C, height, width).
    """
    # sampling_ratio -1: as many samples per patch pixel as it covers, so nothing aliases.
    return roi_align(images, list(boxes), size, sampling_ratio=-1, aligned=True)


def _extent(line: Tensor) -> tuple[Tensor, Tensor]:
    """(N, L) bool -> (N,) first index that is set and (N,) the one after the last; 0, 0 if none."""
    steps = torch.arange(line.shape[1], device=line.device)
    last = torch.where(line, steps + 1, 0).amax(dim=1)
    first = torch.where(line, steps, line.shape[1]).amin(dim=1)
    return torch.where(line.any(dim=1), first, 0), last
