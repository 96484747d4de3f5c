"""GuidedDistillation (arXiv:2308.03747): a teacher and one threshold on its class quality.

The paper's argument, and where each part of it is below:
  a teacher trained on labelled images guides a fresh student      -> student_restarts
  ... frozen, until the student has caught up with it              -> teacher_decay
  it says what is in the weak view; the student sees the strong    -> losses
  a label is good when its class is likely and its mask no speck   -> judge

Here: the size gate counts pixels of the network's input (the authors': of its stride-4 map), and
a mask without any pixel above one half is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.interfaces import Batch, Candidates, Losses, Segmenter
from engine.pseudo_labels import candidates as labels
from engine.pseudo_labels.filter import keep_confident
from engine.pseudo_labels.quality import mask_area, soft_area
from lab.config import GuidedDistillationConfig


@dataclass(frozen=True)
class GuidedDistillation:
    config: GuidedDistillationConfig
    student: Segmenter
    teacher: Segmenter

    @property
    def unlabeled_from(self) -> int | None:
        return self.config.burn_in_steps

    @property
    def teacher_from(self) -> int | None:
        return self.config.burn_in_steps

    def teacher_decay(self, step: int) -> float | None:
        """A copy after burn-in; frozen while it guides; a copy again; then the average."""
        burn_in, guided = self.config.burn_in_steps, self.config.guided_steps
        if step in (burn_in, burn_in + guided):
            return 0.0
        return self.config.ema_decay if step > burn_in + guided else None

    def student_restarts(self, step: int) -> bool:
        """After burn-in, if there is a guided stage; the teacher has been copied before."""
        return self.config.guided_steps > 0 and step == self.config.burn_in_steps

    def losses(self, batch: Batch, step: int) -> Losses:
        labeled, unlabeled = batch.labeled, batch.unlabeled
        if step < self.config.burn_in_steps:
            return Losses(sup=self.student.losses(labeled.weak, labeled.targets))
        if unlabeled is None:
            raise ValueError(
                f"guided_distillation: step {step} needs unlabelled images, the batch has none"
            )
        found = [self.judge(c) for c in labels.survey_batch(self.teacher, unlabeled)]
        rows = labels.kept_rows(found)
        targets = [
            labels.pseudo_targets(c, r, weigh_pixels=False)
            for c, r in zip(found, rows, strict=True)
        ]
        doubtful = [labels.dropped_boxes(c) for c in found] if self.config.spare_doubtful else None
        unsupervised = self.student.losses(unlabeled.strong, targets, doubtful)
        return Losses(
            sup=self.student.losses(labeled.weak, labeled.targets),
            unsup=labels.weighted(unsupervised, self.config.unsup_weight, rows),
            stats=labels.label_stats(found, rows),
            candidates=found,
        )

    def judge(self, found: Candidates) -> Candidates:
        """Keep what is of one class with enough confidence, and is not a speck."""
        logits = found.predictions.mask_logits
        verdict = keep_confident(
            found.predictions.class_quality,
            soft_area(logits),
            mask_area(logits),
            class_threshold=self.config.class_threshold,
            min_area=self.config.min_mask_area,
        )
        return labels.judge(found, verdict)
