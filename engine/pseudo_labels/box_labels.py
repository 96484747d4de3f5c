"""Pseudo masks of boxes: one per target at most, with all that made it, ready to be recorded."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.box_host import Proposals
from engine.instances import Predictions
from engine.interfaces import BoxScores, Candidates, LabeledBatch
from engine.pseudo_labels.fuse import teacher_probabilities
from engine.pseudo_labels.quality import mask_quality, mean_uncertainty
from lab.datasets.records import DropRule, LabelSource


@torch.no_grad()
def box_labels(
    batch: LabeledBatch,
    image: int,
    made_of: Proposals,
    mask_logits: Tensor,
    inside: Tensor,
    scores: BoxScores,
    weights: Tensor,
    *,
    stride: int,
) -> Candidates:
    """The pseudo masks of one image as candidates: what gets recorded of them.

    A mask has the class of its target; the class before is what the teacher saw there. All are
    kept, each at its weight: a weight of 0 says that it taught nothing.

    Args:
        batch: the images.
        image: which of them.
        made_of: (G,) the proposal that stands for each mask (the best, where several were fused).
        mask_logits: (G, h, w) of the masks; logits, so that 0 is where they end.
        inside: (G, h, w) bool, the filled boxes of their targets: where the masks may be.
        scores: (G,) of the masks; `targets` says which target each was made for.
        weights: (G,) in the loss.
        stride: pixels per cell of the mask logits.
    """
    target = batch.targets[image][scores.targets]
    quality = mask_quality(mask_logits.masked_fill(~inside, -torch.inf))
    teacher = teacher_probabilities(made_of.class_logits)
    unknown = torch.full_like(quality, torch.nan)
    return Candidates(
        image_id=batch.image_ids[image],
        source=LabelSource.PSEUDO,
        geometry=batch.geometry[image],
        predictions=Predictions(
            boxes=made_of.boxes,
            scores=made_of.scores,
            labels=made_of.labels,
            class_quality=made_of.class_quality,
            class_logits=made_of.class_logits,
            mask_logits=mask_logits,
        ),
        labels=target.labels,
        mask_quality=quality,
        kept=torch.ones_like(target.labels, dtype=torch.bool),
        rules=torch.full_like(target.labels, DropRule.KEPT),
        rule_values=unknown,
        teacher_before=teacher.gather(1, made_of.labels[:, None])[:, 0],
        teacher_after=teacher.gather(1, target.labels[:, None])[:, 0],
        clip_before=unknown,
        clip_after=unknown,
        fused=unknown,
        uncertainty=mean_uncertainty(quality),
        weights=weights,
        box_scores=scores,
        annotation_ids=tuple(batch.annotation_ids[image]),
        confines=target.boxes,
        mask_stride=stride,
    )


def label_stats(candidates: Sequence[Candidates], quality: Tensor) -> dict[str, Tensor | float]:
    """How many targets of a batch have a mask, and how good these are said to be.

    Args:
        candidates: per image the masks that were made.
        quality: (N,) of all targets, 0 without a mask.
    """
    total, made = len(quality), sum(len(one.labels) for one in candidates)
    stats: dict[str, Tensor | float] = {"pseudo/kept_per_image": made / max(1, len(candidates))}
    if total:
        stats["pseudo/masked_targets"] = made / total
    if made:
        stats["pseudo/mask_score"] = quality.sum() / made
    return stats
