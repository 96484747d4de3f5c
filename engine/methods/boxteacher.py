"""BoxTeacher (arXiv:2210.05174): high-quality pseudo masks for weakly supervised segmentation.

The paper's argument, and where each part of it is below:
  some masks of a box-supervised network are already good;
  each box picks the detection that stands for it (BPMA)    -> box_assignment.match_detections
  how good a mask is can be read off its pixels             -> mask_aware_score
  a student learns from masks as far as they are good       -> losses.pseudo_mask.pseudo_mask_loss
  ... and from their outlines, once these are smoothed      -> losses.pseudo_mask.mask_affinity
  the teacher is the student's average, and sees the image
  without the jitter that the student has to cope with      -> losses
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.box_host import BoxHost, Proposals
from engine.interfaces import Batch, BoxScores, Candidates, LabeledBatch, Losses
from engine.losses.box_supervision import box_mask_losses, filled_targets, image_affinity
from engine.losses.pseudo_mask import pseudo_mask_losses
from engine.pseudo_labels.box_assignment import match_batch
from engine.pseudo_labels.box_labels import box_labels, label_stats
from engine.pseudo_labels.ema import warmed_up_decay
from engine.pseudo_labels.quality import pixel_score
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
        made, layers = (pseudo.masks, pseudo.quality), taught.layers
        masks = box_mask_losses(samples, inside, colours, config.box_loss, step, layers)
        return Losses(
            sup=taught.losses | masks,
            unsup=pseudo_mask_losses(samples, inside, *made, config, step, layers),
            stats=label_stats(pseudo.candidates, pseudo.quality),
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
        sureness, score = mask_aware_score(made_of.scores, probs, counted, threshold)
        scores = BoxScores.of(
            targets, box_score=made_of.scores, pixel_score=sureness, mask_score=score
        )
        return ((probs > threshold) & inside).float(), scores


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
    sureness = pixel_score(probs, inside, pixel_threshold)
    box_score = scores.sqrt() if inside is None else scores
    return sureness, (box_score * sureness).sqrt()
