"""Which query answers for which object: the Hungarian assignment of Mask2Former.

The costs of all layers and images are computed on the device and copied to the host once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional

from engine.losses.points import sample_points

IMPOSSIBLE = 1e6
"""Cost where a network says NaN or infinity: the loss will tell, not the assignment."""


@dataclass(frozen=True)
class TermWeights:
    """How much class, pixels (cross-entropy) and overlap (dice) count, in cost and in loss."""

    classes: float = 2.0
    pixels: float = 5.0
    overlap: float = 5.0


@dataclass(frozen=True)
class Pairs:
    """Queries matched to objects in L layers; S pairs in each. Sorted by object.

    An image with N objects has min(Q, N) pairs, so S is the same in every layer.
    """

    images: Tensor
    """(S,) the image of each pair."""
    queries: Tensor
    """(L, S) query in that image."""
    targets: Tensor
    """(L, S) object, counted over all images."""

    @classmethod
    def none(cls, layers: int, device: torch.device) -> Self:
        """Of images without objects."""
        nothing = torch.zeros(layers, 0, dtype=torch.int64, device=device)
        return cls(nothing[0], nothing, nothing)


def pair_costs(
    class_logits: Tensor,
    point_logits: Tensor,
    labels: Tensor,
    point_targets: Tensor,
    weights: TermWeights,
) -> Tensor:
    """The cost of every query for every object of its image.

    2 * -softmax(class) + 5 * BCE + 5 * dice by default; BCE is a mean over the points.

    Args:
        class_logits: (B, Q, C + 1), "no object" last.
        point_logits: (B, Q, P) mask logits at points.
        labels: (B, N) int64.
        point_targets: (B, N, P) in [0, 1], at the same points.

    Returns:
        (B, Q, N) float32.
    """
    logits, wanted = point_logits.float(), point_targets.float()
    # BCE of logit x and target y is softplus(x) - x y: one product gives all pairs.
    answered = torch.baddbmm(
        functional.softplus(logits).sum(2, keepdim=True), logits, wanted.mT, alpha=-1
    )
    return (
        weights.classes * class_costs(class_logits, labels)
        + weights.pixels * answered / logits.shape[2]
        + weights.overlap * dice_costs(logits.sigmoid(), wanted)
    )


def class_costs(class_logits: Tensor, labels: Tensor) -> Tensor:
    """-softmax of each query at the class of each object. (B, Q, C + 1), (B, N) -> (B, Q, N)"""
    chosen = labels[:, None].expand(-1, class_logits.shape[1], -1)
    return -class_logits.float().softmax(dim=2).gather(2, chosen)


def dice_costs(probs: Tensor, wanted: Tensor) -> Tensor:
    """`smooth_dice` of all pairs. (B, Q, P), (B, N, P) float32 in [0, 1] -> (B, Q, N)"""
    both = probs.sum(2, keepdim=True) + wanted.sum(2)[:, None]
    return 1 - (2 * probs @ wanted.mT + 1) / (both + 1)


def assign(costs: Sequence[Tensor], counts: Sequence[int]) -> Pairs:
    """The cheapest one-to-one assignment in every layer and image. The one wait per step.

    Args:
        costs: per layer (B, Q, N); of image b the first `counts[b]` columns are objects.
        counts: objects per image.
    """
    device = costs[0].device
    finite = torch.stack(list(costs)).nan_to_num(IMPOSSIBLE, IMPOSSIBLE, -IMPOSSIBLE)
    table = finite.cpu().numpy()
    starts = np.cumsum([0, *counts])
    rows = np.array([_assign_layer(layer, counts, starts) for layer in table], dtype=np.int64)
    pairs = torch.from_numpy(rows)  # (L, 3, S)
    if device.type == "cuda":
        pairs = pairs.pin_memory()
    pairs = pairs.to(device, non_blocking=True)
    return Pairs(images=pairs[0, 0], queries=pairs[:, 1], targets=pairs[:, 2])


def _assign_layer(
    costs: np.ndarray, counts: Sequence[int], starts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(B, Q, N) costs -> image, query and object of every pair, objects in order."""
    images, queries, targets = [], [], []
    for image, count in enumerate(counts):
        chosen, objects = linear_sum_assignment(costs[image, :, :count])
        order = objects.argsort()
        images.append(np.full(len(order), image))
        queries.append(chosen[order])
        targets.append(objects[order] + starts[image])
    return np.concatenate(images), np.concatenate(queries), np.concatenate(targets)


@torch.no_grad()
def lie_in_boxes(mask_logits: Tensor, boxes: Tensor, points: Tensor) -> Tensor:
    """Whether at least half of a predicted mask, seen at points, lies in one of the boxes.

    An empty mask lies nowhere, and a box without area holds nothing.

    Args:
        mask_logits: (B, Q, h, w).
        boxes: (B, K, 4) XYXY as shares of width and height.
        points: (B, P, 2).

    Returns:
        (B, Q) bool.
    """
    foreground = (sample_points(mask_logits.float(), points) > 0).float()
    low, high = boxes[:, :, None, :2], boxes[:, :, None, 2:]
    inside = ((points[:, None] >= low) & (points[:, None] < high)).all(dim=3).float()
    covered = foreground @ inside.mT
    return ((2 * covered >= foreground.sum(2, keepdim=True)) & (covered > 0)).any(dim=2)
