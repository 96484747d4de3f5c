"""BoxTeacher (arXiv:2210.05174): high-quality pseudo masks for weakly supervised segmentation.

The paper's argument, and where each part of it is below:
  some masks of a box-supervised network are already good;
  each box picks the detection that stands for it (BPMA)    -> match_detections
  how good a mask is can be read off its pixels             -> mask_aware_score
  a student learns from masks as far as they are good       -> pseudo_mask_loss
  ... and from their outlines, once these are smoothed      -> mask_affinity
  the teacher is the student's average, and sees the image
  without the jitter that the student has to cope with      -> losses
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torchvision.ops import box_iou

from engine.box_host import BoxHost, MaskSamples, Proposals, Proposed
from engine.interfaces import Batch, BoxScores, Candidates, LabeledBatch, Losses
from engine.losses.box_supervision import (
    box_mask_losses,
    filled_targets,
    grown,
    image_affinity,
)
from engine.losses.dice import squared_dice
from engine.losses.pairwise import Affinity, Offset, build_affinity, edge_costs, ends
from engine.pseudo_labels.box_labels import box_labels
from engine.pseudo_labels.ema import warmed_up_decay
from engine.pseudo_labels.teacher_view import ask_teacher
from lab.config import BoxTeacherConfig


@dataclass(frozen=True)
class PseudoMasks:
    """A mask for every target of a batch; those without a detection are empty, of quality 0."""

    masks: Tensor
    """(N, h, w) float in {0, 1}, inside the boxes."""
    quality: Tensor
    """(N,) how far to trust it."""
    candidates: list[Candidates]


@dataclass(frozen=True)
class BoxTeacher:
    config: BoxTeacherConfig
    student: BoxHost
    teacher: BoxHost
    max_side: int
    """Longest side of what the teacher sees."""

    @property
    def unlabeled_from(self) -> int | None:
        return None

    @property
    def teacher_from(self) -> int | None:
        return None

    def teacher_decay(self, step: int) -> float | None:
        return warmed_up_decay(step, self.config.ema_decay)

    def student_restarts(self, step: int) -> bool:  # noqa: ARG002
        return False

    def judge(self, found: Candidates) -> Candidates:
        """No rule drops a mask: a poor one only weighs less."""
        return found

    def losses(self, batch: Batch, step: int) -> Losses:
        config, labeled, stride = self.config, batch.labeled, self.student.mask_stride
        taught = self.student.teach_boxes(labeled.strong, labeled.targets)
        samples, (height, width) = taught.samples, taught.samples.logits.shape[1:]
        boxes = filled_targets(labeled.targets, height, width, stride)
        inside = boxes[samples.targets]
        colours = image_affinity(labeled.weak, labeled.geometry, stride, config.box_loss)
        pseudo = self.pseudo_masks(labeled, boxes)
        quality = pseudo.quality[samples.targets]
        outlines = mask_affinity(pseudo.masks, config.affinity_threshold, config.box_loss.dilation)
        pixel = pseudo_mask_loss(samples, pseudo.masks, quality)
        affinity = pseudo_affinity_loss(samples, inside, outlines, quality)
        weight = grown(step, config.warmup_steps)
        masks = box_mask_losses(samples, inside, colours, config.box_loss, step)
        return Losses(
            sup=taught.losses | masks,
            unsup={
                "pixel": weight * config.pixel_weight * pixel,
                "affinity": weight * config.affinity_weight * affinity,
            },
            stats=_stats(pseudo),
            candidates=pseudo.candidates,
        )

    @torch.no_grad()
    def pseudo_masks(self, batch: LabeledBatch, boxes: Tensor) -> PseudoMasks:
        """The teacher's mask of each target. `boxes` = (N, h, w) bool, filled, of all targets."""
        found = ask_teacher(
            self.teacher, batch, short_side=self.config.teacher_side, max_side=self.max_side
        )
        detections = match_batch(found, batch, self.config.min_box_iou, self.config.min_score)
        rows = [(one >= 0).nonzero()[:, 0] for one in detections]
        chosen = [one[r] for one, r in zip(detections, rows, strict=True)]
        logits = found.mask_logits(chosen)
        masks = torch.zeros_like(boxes, dtype=torch.float32)
        quality = masks.new_zeros(len(masks))
        candidates, start = [], 0
        for image, target in enumerate(batch.targets):
            made_of, places = found.images[image][chosen[image]], start + rows[image]
            inside = boxes[places]
            masks[places], scores = self._judged(made_of, rows[image], logits[image], inside)
            quality[places] = scores.mask_score
            candidates.append(
                box_labels(
                    batch,
                    image,
                    made_of,
                    logits[image],
                    inside,
                    scores,
                    scores.mask_score,
                    stride=self.teacher.mask_stride,
                )
            )
            start += len(target)
        return PseudoMasks(masks, quality, candidates)

    def _judged(
        self, made_of: Proposals, targets: Tensor, logits: Tensor, inside: Tensor
    ) -> tuple[Tensor, BoxScores]:
        """Binary masks of some targets of an image, and how good they are."""
        probs, threshold = logits.float().sigmoid(), self.config.pixel_threshold
        counted = inside if self.config.confidence == "paper" else None
        pixel_score, score = mask_aware_score(made_of.scores, probs, counted, threshold)
        scores = BoxScores.of(
            targets, box_score=made_of.scores, pixel_score=pixel_score, mask_score=score
        )
        return ((probs > threshold) & inside).float(), scores


def match_batch(
    found: Proposed, batch: LabeledBatch, min_iou: float, min_score: float
) -> list[Tensor]:
    """Per image the detection of each of its N targets, -1 without one. (N,) int64 each."""
    device = batch.weak.device
    rows = []
    for proposals, target in zip(found.images, batch.targets, strict=True):
        ious = box_iou(proposals.boxes, target.boxes)
        ious = ious.masked_fill((proposals.scores < min_score)[:, None], -1)
        matched = match_detections(ious.nan_to_num(0).cpu().numpy(), min_iou)
        rows.append(torch.from_numpy(matched).to(device))
    return rows


def match_detections(ious: NDArray[np.floating], min_iou: float = 0.5) -> NDArray[np.int64]:
    """BPMA: the detection that stands for each target.

    Detections choose in order, best score first: each takes the target not yet taken whose box
    overlaps its own most, if the IoU is at least `min_iou`. Classes are not compared.
    Authors: a target given to detection 0 can be taken again. Here: it cannot.

    Args:
        ious: (D, N), detections in the order of their scores.

    Returns:
        (N,) index of a detection, -1 for none.
    """
    of_target = np.full(ious.shape[1], -1, np.int64)
    for detection, row in enumerate(ious):
        free = np.where(of_target < 0, row, -1.0)
        if free.size and free.max() >= min_iou:
            of_target[free.argmax()] = detection
    return of_target


def mask_aware_score(
    scores: Tensor, probs: Tensor, inside: Tensor | None, pixel_threshold: float = 0.5
) -> tuple[Tensor, Tensor]:
    """How far masks can be trusted: the geometric mean of box score and mean pixel probability.

    Args:
        scores: (N,) of the detections.
        probs: (N, H, W) mask probabilities.
        inside: (N, H, W) bool, the box of each mask's target: pixels outside do not count. None =
            the authors' code: they do, and the box score enters by its root.
        pixel_threshold: pixels above it are the mask.

    Returns:
        (N,) mean probability of the mask's pixels, 0 without any, and (N,) score in [0, 1].
    """
    counted = probs > pixel_threshold
    if inside is not None:
        counted = counted & inside
    pixel_score = (probs * counted).sum(dim=(1, 2)) / counted.sum(dim=(1, 2)).clamp(min=1)
    box_score = scores.sqrt() if inside is None else scores
    return pixel_score, (box_score * pixel_score).sqrt()


def pseudo_mask_loss(samples: MaskSamples, masks: Tensor, quality: Tensor) -> Tensor:
    """Dice against the pseudo mask of each sample's target, weighted by its quality. -> ()

    The mean is over the samples whose quality is above 0; it is 0 when there are none.

    Args:
        masks: (N, h, w) of all targets.
        quality: (S,) of each sample's target.
    """
    dice = squared_dice(samples.logits.sigmoid(), masks[samples.targets])
    return weighted_mean(dice, quality)


def mask_affinity(masks: Tensor, threshold: float, dilation: int) -> Affinity:
    """Neighbours that a pseudo mask puts together: P(same label) of the smoothed mask.

    (N, h, w) -> edges of N maps. Smoothing takes half of a 3 x 3 mean (zeros beyond the edge
    count), so that a wrong pixel at an outline joins nothing for sure.
    """
    smooth = smoothed(masks)

    def alike(offset: Offset) -> Tensor:
        first, second = ends(smooth, offset)
        return first * second + (1 - first) * (1 - second) >= threshold

    return build_affinity(alike, dilation)


def smoothed(masks: Tensor) -> Tensor:
    """The mean of a mask and its 3 x 3 average. (N, h, w) -> (N, h, w)"""
    return (masks + functional.avg_pool2d(masks[:, None], 3, stride=1, padding=1)[:, 0]) / 2


def pseudo_affinity_loss(
    samples: MaskSamples, inside: Tensor, outlines: Affinity, quality: Tensor
) -> Tensor:
    """Mean edge cost of each sample under its target's pseudo mask, weighted as above. -> ()

    Args:
        inside: (S, h, w) filled boxes: an edge starts inside.
        outlines: over all targets.
        quality: (S,)
    """
    cost, count = edge_costs(samples.logits, inside, outlines, samples.targets)
    return weighted_mean(cost / count.clamp(min=1), quality)


def weighted_mean(losses: Tensor, quality: Tensor) -> Tensor:
    """sum(q l) / #(q > 0); 0 with its graph where nothing counts. (S,), (S,) -> ()"""
    return (quality * losses).sum() / (quality > 0).sum().clamp(min=1)


def _stats(pseudo: PseudoMasks) -> dict[str, Tensor | float]:
    """How many targets have a mask, and how good these say they are."""
    total = len(pseudo.quality)
    made = sum(len(one.labels) for one in pseudo.candidates)
    images = max(1, len(pseudo.candidates))
    stats: dict[str, Tensor | float] = {"pseudo/kept_per_image": made / images}
    if total:
        stats["pseudo/masked_targets"] = made / total
    if made:
        stats["pseudo/mask_score"] = pseudo.quality.sum() / made
    return stats
