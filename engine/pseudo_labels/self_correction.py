"""Semantic maps that tell objects apart: SIM's self-correction (Sec. 3.2.2), and its scores.

A semantic map shows everything of a class. The masks of an object's positives, taken together, show
that object. What both agree on is the pseudo mask.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import box_iou

from engine.box_host import Proposals
from engine.instances import TensorTable
from engine.pseudo_labels.mask_fusion import fuse_masks

SURE = 0.7
"""The authors' code counts pixels of the instance map above this."""
HIGHEST = 0.8
"""... and its upper threshold never gets above this."""


@dataclass(frozen=True)
class Gathered(TensorTable):
    """What the positives of each of N objects say together."""

    masks: Tensor
    """(N, h, w) M_I; 0 without a positive."""
    best: Tensor
    """(N,) the proposal that counts most; meaningless without any."""
    count: Tensor
    """(N,) how many positives there are."""
    overlap: Tensor
    """(N,) mean IoU of their boxes, weighted like their masks."""


@dataclass(frozen=True)
class PseudoMasks(TensorTable):
    """What is known of the N objects of an image."""

    positives: Gathered
    probs: Tensor
    """(N, h, w) in [0, 1], 0 outside the box and for an object without a positive."""
    inside: Tensor
    """(N, h, w) bool, the filled boxes."""
    foreground: Tensor
    """(N, h, w) bool: surely the object."""
    decided: Tensor
    """(N, h, w) bool: inside the box, and surely the object or surely not."""
    score: Tensor
    """(N,) S_k, 0 without foreground."""
    semantic_score: Tensor
    """(N,) mean of the semantic map in the foreground."""
    instance_score: Tensor
    """(N,) ... and of the instance map."""
    shown: Tensor
    """(N, h, w) bool: what prototypes learn from."""
    outlined: Tensor
    """(N, h, w) in [0, 1]: along this an object is cut out, at the upper threshold."""

    @property
    def states(self) -> Tensor:
        """(N, h, w) 1 = the object, 0 = surely not, 1/2 = nobody knows.

        One map that can be covered by others: what is hidden is surely not the object.
        """
        return self.foreground.float() + 0.5 * (self.inside & ~self.decided)


def correct(
    semantic: Tensor, positives: Gathered, share: Tensor, inside: Tensor, high: float, low: float
) -> PseudoMasks:
    """Eq. 7, and what follows from it.

    Args:
        semantic: (N, h, w) M_S of each object's class.
        share: (N,) alpha, the instance map's.
        inside: (N, h, w) bool.
        high, low: tau, see `decide`.
    """
    probs = corrected(semantic, positives, share, inside)
    foreground, decided = decide(probs, inside, high, low)
    return PseudoMasks(
        positives=positives,
        probs=probs,
        inside=inside,
        foreground=foreground,
        decided=decided,
        score=mean_where(probs, foreground),
        semantic_score=mean_where(semantic, foreground),
        instance_score=mean_where(positives.masks, foreground),
        shown=foreground,
        outlined=probs,
    )


def correct_as_released(
    semantic: Tensor, positives: Gathered, share: Tensor, inside: Tensor, high: float, low: float
) -> PseudoMasks:
    """The authors' code: each object has an upper threshold of its own, and prototypes, scores
    and cut-outs go by the instance map alone. Args as above."""
    made = correct(semantic, positives, share, inside, high, low)
    limit = sized_threshold(made.probs, positives.masks, inside, high)
    foreground, decided = decide(made.probs, inside, limit, low)
    sure = inside & (positives.masks > SURE)
    return replace(
        made,
        foreground=foreground,
        decided=decided,
        score=mean_where(positives.masks, sure, extra=1),
        semantic_score=mean_where(semantic, foreground),
        instance_score=mean_where(positives.masks, foreground),
        shown=sure,
        outlined=positives.masks * inside,
    )


def gather_positives(found: Proposals, probs: Tensor, boxes: Tensor, sharpness: float) -> Gathered:
    """Eq. 6: one mask per object from those of its positives.

    Args:
        found: (R,) positives of one image, each with an owner.
        probs: (R, h, w) their mask probabilities.
        boxes: (N, 4) of the image's objects.
        sharpness: mu.
    """
    owners, num = found.owners, len(boxes)
    ious = box_iou(found.boxes, boxes).nan_to_num(0).gather(1, owners[:, None])[:, 0]
    weights = position_weights(ious, owners, num, sharpness)
    mine = owners == torch.arange(num, device=owners.device)[:, None]
    ranking = functional.pad(torch.where(mine, weights, -1), (0, 1), value=-2.0)
    return Gathered(
        masks=fuse_masks(probs, weights, owners, num),
        best=ranking.argmax(dim=1),
        count=mine.sum(dim=1),
        overlap=weights.new_zeros(num).index_add(0, owners, weights * ious),
    )


def position_weights(ious: Tensor, owners: Tensor, num: int, sharpness: float) -> Tensor:
    """Eq. 6: exp(mu IoU), over the sum of those with the same owner. (R,), (R,) -> (R,)

    Authors: all the same, which is mu = 0.
    """
    logs = sharpness * ious
    peak = torch.full((num,), -torch.inf, device=ious.device, dtype=ious.dtype)
    peak = peak.scatter_reduce(0, owners, logs, "amax")
    raised = (logs - peak[owners]).exp()
    return raised / raised.new_zeros(num).index_add(0, owners, raised)[owners]


def corrected(semantic: Tensor, positives: Gathered, share: Tensor, inside: Tensor) -> Tensor:
    """Eq. 7: (1 - alpha) M_S + alpha M_I in the box; 0 for an object without a positive.

    (N, h, w), N, (N,) alpha, (N, h, w) bool -> (N, h, w)
    """
    mixed = torch.lerp(semantic, positives.masks, share[:, None, None])
    return mixed * (inside & (positives.count > 0)[:, None, None])


def decide(
    probs: Tensor, inside: Tensor, high: Tensor | float, low: float
) -> tuple[Tensor, Tensor]:
    """Which pixels are surely the object's, and which are surely that or surely not.

    Args:
        probs: (N, h, w).
        inside: (N, h, w) bool, the filled boxes: nothing outside is decided.
        high: pixels of at least this are the object's; (N, 1, 1) = each has its own.
        low: pixels of at most this are not.

    Returns:
        (N, h, w) bool twice.
    """
    foreground = inside & (probs >= high)
    return foreground, foreground | (inside & (probs <= low))


def sized_threshold(probs: Tensor, instance: Tensor, inside: Tensor, least: float) -> Tensor:
    """The authors' upper threshold: as many pixels pass as the instance map is sure of.

    At least `least` and at most .8. (N, h, w) three times -> (N, 1, 1)
    """
    within = (probs * inside).flatten(1)
    wanted = (inside & (instance > SURE)).flatten(1).sum(dim=1)
    ordered = within.sort(dim=1, descending=True).values
    reached = ordered.gather(1, (wanted - 1).clamp(min=0)[:, None])
    reached = torch.where(wanted[:, None] > 0, reached, HIGHEST)
    return reached.clamp(least, max(least, HIGHEST))[:, :, None]


def mean_where(maps: Tensor, chosen: Tensor, extra: int = 0) -> Tensor:
    """The mean of the chosen pixels; 0 where there are none. (N, h, w), bool -> (N,)

    Eq. 11, S_k, for the foreground of a pseudo mask. Authors: one `extra` pixel of 0.
    """
    count = chosen.sum(dim=(1, 2)) + extra
    return (maps * chosen).sum(dim=(1, 2)) / count.clamp(min=1)
