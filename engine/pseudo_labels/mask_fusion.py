"""Several masks of one object become one, and how good that is: BoxSeg Sec. 3.3.

E masks that count are given flat; `owners` says which of the N objects each is of.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.instances import TensorTable
from engine.pseudo_labels.box_quality import Ranked, box_quality, mean_box_score
from engine.pseudo_labels.quality import pixel_score


@dataclass(frozen=True)
class Fused(TensorTable):
    """The pseudo masks of N objects. One without a candidate that counts is 0, of quality 0."""

    masks: Tensor
    """(N, h, w) probabilities, 0 outside the box."""
    single: Tensor
    """(N, h, w) what they would be without fusion: the mask of the best candidate."""
    best: Tensor
    """(N,) the proposal of the best candidate; meaningless where none counts."""
    effective: Tensor
    """(N,) how many candidates counted."""
    box_score: Tensor
    """(N,) S_b"""
    pixel_score: Tensor
    """(N,) S_p; NaN where the authors' code has none."""
    quality: Tensor
    """(N,) q"""

    def __len__(self) -> int:
        return len(self.quality)


def fuse_ranked(
    ranked: Ranked, probs: Tensor, inside: Tensor, box_threshold: float, pixel_threshold: float
) -> Fused:
    """Quality-aware Masks Fusion (Eq. 2) and Mask-Quality Scoring (Eq. 5) of N objects.

    Args:
        probs: (E, h, w) masks of the candidates whose score is above `box_threshold`, object by
            object.
        inside: (N, h, w) bool, the filled boxes: masks end there.
    """
    counted = ranked.scores > box_threshold
    owners = counted.nonzero()[:, 0]
    quality = box_quality(ranked.scores, ranked.ious, box_threshold)
    weights = fusion_weights(quality)[counted]
    probs = probs * inside[owners]
    masks = fuse_masks(probs, weights, owners, len(ranked))
    box_score = mean_box_score(ranked.scores, box_threshold)
    sureness = pixel_score(masks, inside, pixel_threshold)
    score = mask_score(box_score, sureness)
    return Fused(
        masks=masks,
        single=best_masks(probs, counted, quality),
        best=_best(ranked, quality),
        effective=counted.sum(dim=1),
        box_score=box_score,
        pixel_score=sureness,
        quality=score,
    )


def vote_ranked(ranked: Ranked, probs: Tensor, inside: Tensor, box_threshold: float) -> Fused:
    """What the authors' code does instead: one vote each, and the mean of the voters' worth."""
    counted = ranked.scores > box_threshold
    owners = counted.nonzero()[:, 0]
    probs = probs * inside[owners]
    masks = count_votes(probs, owners, len(ranked))
    score = score_by_voters(probs, ranked.scores[counted], owners, masks > 0.5)
    quality = box_quality(ranked.scores, ranked.ious, box_threshold)
    return Fused(
        masks=masks,
        single=(best_masks(probs, counted, quality) > 0.5).to(probs.dtype),
        best=_best(ranked, quality),
        effective=counted.sum(dim=1),
        box_score=mean_box_score(ranked.scores, box_threshold),
        pixel_score=torch.full_like(score, torch.nan),
        quality=score,
    )


def fusion_weights(quality: Tensor) -> Tensor:
    """Eq. 2: the share of each candidate in its object's mask.

    Args:
        quality: (N, K) box quality, 0 for what does not count.

    Returns:
        (N, K) rows that sum to 1; zeros for a row of zeros.
    """
    total = quality.sum(dim=1, keepdim=True)
    return quality / total.where(total > 0, 1)


def fuse_masks(probs: Tensor, weights: Tensor, owners: Tensor, num_objects: int) -> Tensor:
    """Eq. 2: the weighted sum of the masks of each object.

    Args:
        probs: (E, h, w) mask probabilities.
        weights: (E,), those of one object sum to 1.
        owners: (E,) in 0..N-1.

    Returns:
        (N, h, w) in [0, 1]; zeros for an object without a mask.
    """
    fused = probs.new_zeros(num_objects, *probs.shape[1:])
    return fused.index_add(0, owners, weights[:, None, None] * probs)


def best_masks(probs: Tensor, counted: Tensor, quality: Tensor) -> Tensor:
    """The mask of each object's best candidate, as one takes it who does not fuse.

    Args:
        probs: (E, h, w) mask probabilities of the candidates that count, object by object.
        counted: (N, K) bool, which those are.
        quality: (N, K) box quality: of equal ones the first is the best.

    Returns:
        (N, h, w); zeros for an object without a mask.
    """
    if len(probs) == 0:
        return probs.new_zeros(len(counted), *probs.shape[1:])
    best = quality.argmax(dim=1, keepdim=True)
    places = (counted.flatten().cumsum(dim=0) - 1).view_as(counted).gather(1, best)[:, 0]
    return probs[places.clamp(min=0)] * counted.gather(1, best)[:, :, None]


def mask_score(box_score: Tensor, pixel_score: Tensor) -> Tensor:
    """Eq. 5, q: the geometric mean of both, in [0, 1]; the paper once says product. (N,) -> (N,)"""
    return (box_score * pixel_score).sqrt()


def count_votes(probs: Tensor, owners: Tensor, num_objects: int) -> Tensor:
    """The authors' code in place of Eq. 2: the share of an object's masks that hold each pixel.

    Above 1/2 it is the majority's. Args as `fuse_masks`. -> (N, h, w) in [0, 1]
    """
    voters = torch.bincount(owners, minlength=num_objects).clamp(min=1)
    return fuse_masks((probs > 0.5).to(probs.dtype), 1 / voters[owners], owners, num_objects)


def score_by_voters(probs: Tensor, scores: Tensor, owners: Tensor, majority: Tensor) -> Tensor:
    """The authors' code in place of Eq. 5: the mean of what each candidate is worth.

    That is sqrt((s + 1) / 2 a) with a = J sum(m b) / |M|: b is the candidate's binary mask, J its
    IoU with the majority mask M. The (s + 1) / 2 lifts poor scores above 1/2.

    Args:
        probs: (E, h, w).
        scores: (E,) box scores s.
        owners: (E,) in 0..N-1.
        majority: (N, h, w) bool.

    Returns:
        (N,) in [0, 1]; 0 for an object without candidates.
    """
    binary, agreed = probs > 0.5, majority[owners]
    joint = (binary & agreed).sum(dim=(1, 2)) / (binary | agreed).sum(dim=(1, 2)).clamp(min=1)
    sure = (probs * binary).sum(dim=(1, 2)) / agreed.sum(dim=(1, 2)).clamp(min=1)
    worth = ((scores + 1) / 2 * joint * sure).sqrt()
    voters = torch.bincount(owners, minlength=len(majority)).clamp(min=1)
    return worth.new_zeros(len(majority)).index_add(0, owners, worth) / voters


def _best(ranked: Ranked, quality: Tensor) -> Tensor:
    return ranked.rows.gather(1, quality.argmax(dim=1, keepdim=True))[:, 0]
