"""Box losses of FCOS (arXiv:1904.01355), on distances (left, top, right, bottom) from a point."""

from __future__ import annotations

import torch
from torch import Tensor


def centerness(distances: Tensor) -> Tensor:
    """How central a point is in its box: sqrt of the two side ratios. (N, 4) -> (N,) in [0, 1]."""
    left, top, right, bottom = distances.unbind(-1)
    horizontal = torch.minimum(left, right) / torch.maximum(left, right)
    vertical = torch.minimum(top, bottom) / torch.maximum(top, bottom)
    return (horizontal * vertical).clamp(min=0).sqrt()


def distance_giou(pred: Tensor, target: Tensor, smooth: float = 1.0) -> tuple[Tensor, Tensor]:
    """IoU and generalised IoU of two boxes that share the point their sides are measured from.

    Args:
        pred: (N, 4) distances >= 0.
        target: (N, 4) distances >= 0.
        smooth: added to intersection and union, as the authors do.

    Returns:
        (N,) IoU and (N,) GIoU = IoU - (enclosing - union) / enclosing.
    """
    overlap = torch.minimum(pred, target)
    enclosing = torch.maximum(pred, target)
    intersection = _area(overlap)
    union = _area(pred) + _area(target) - intersection
    iou = (intersection + smooth) / (union + smooth)
    hull = _area(enclosing)
    return iou, iou - (hull - union) / hull.clamp(min=torch.finfo(hull.dtype).tiny)


def _area(distances: Tensor) -> Tensor:
    left, top, right, bottom = distances.unbind(-1)
    return (left + right) * (top + bottom)
