"""A teacher that errs as trained ones do, with known truth: what fusing and scoring are tried on.

Each object is an ellipse, and some are harder than others. Of every object the teacher proposes
`PROPOSALS` boxes, scattered about the true one. The mask of a proposal is the ellipse of its own
box, blurred, with two errors: one that all proposals share, for they look at the same features
(clutter of the object's own colour), and one of its own. Harder objects have more of both, and of
blur. The class score follows the overlap of the box, as an IoU-aware score would, and the class:
the latter has nothing to do with the mask. All numbers come from one seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import box_iou

from engine.losses.box_mask import box_of_mask, fill_boxes

SIDE, OBJECTS, PROPOSALS = 40, 60, 30


@dataclass(frozen=True)
class Case:
    """Of one object: what is true and what the teacher says."""

    truth: Tensor
    """(h, w) bool"""
    inside: Tensor
    """(1, h, w) bool, the filled box of the truth."""
    ious: Tensor
    """(M, 1) of the proposals' boxes with it."""
    scores: Tensor
    """(M,) class scores."""
    probs: Tensor
    """(M, h, w) mask probabilities."""

    def iou_of(self, mask: Tensor) -> float:
        """True IoU of a (h, w) bool mask, confined to the box as pseudo masks are."""
        mask = mask & self.inside[0]
        return float((mask & self.truth).sum() / (mask | self.truth).sum())


def cases(seed: int) -> list[Case]:
    rng = torch.Generator().manual_seed(seed)
    return [_case(rng) for _ in range(OBJECTS)]


def _case(rng: torch.Generator) -> Case:
    difficulty = float(torch.rand((), generator=rng))
    center = 20 + 4 * (torch.rand(2, generator=rng) - 0.5)
    radii = 5 + 9 * torch.rand(2, generator=rng)
    true_box = torch.cat([center - radii, center + radii])
    truth = _ellipses(true_box[None])[0] > 0
    box = box_of_mask(truth[None])
    spread = (0.05 + 0.1 * difficulty) * radii.repeat(2)
    boxes = true_box + spread * torch.randn(PROPOSALS, 4, generator=rng)
    ious = box_iou(boxes, box)
    steepness = 4 - 2.5 * difficulty
    clutter = 1.5 * difficulty * _smooth_noise(1, rng)
    own = (0.5 + 1.5 * difficulty) * _smooth_noise(PROPOSALS, rng)
    probs = (steepness * _ellipses(boxes) + clutter + own).sigmoid()
    classy = 0.15 * torch.randn((), generator=rng)
    noise = 0.1 * torch.randn(PROPOSALS, generator=rng)
    scores = (ious[:, 0] - 0.15 - 0.1 * difficulty + classy + noise).clamp(0.01, 0.99)
    return Case(truth, fill_boxes(box, SIDE, SIDE), ious, scores, probs)


def _ellipses(boxes: Tensor) -> Tensor:
    """About the distance from the outline, in pixels / 4, positive inside. (M, 4) -> (M, h, w)"""
    cells = torch.arange(SIDE) + 0.5
    center, radii = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    x = (cells - center[:, :1]) / radii[:, :1]
    y = (cells - center[:, 1:]) / radii[:, 1:]
    distance = (x.square()[:, None, :] + y.square()[:, :, None]).sqrt()
    return (1 - distance) * radii.mean(dim=1)[:, None, None] / 4


def _smooth_noise(count: int, rng: torch.Generator) -> Tensor:
    """Blobs of a few pixels with unit spread. -> (count, h, w)"""
    noise = functional.avg_pool2d(
        torch.randn(count, 1, SIDE, SIDE, generator=rng), 5, stride=1, padding=2
    )
    return 5 * noise[:, 0]
