"""PL-DC: pseudo-label quality decoupling and correction, semi-supervised.

The paper's argument, and where each part of it is below:
  one score cannot say both "right class" and "good mask", so a
  pseudo-label must pass two thresholds (DDTF, Eqs. 3-5)           -> judge
  a model that knows images and words knows classes the teacher
  confuses; trust it less as the teacher learns (DICC, Eqs. 6-9)   -> correct
  inside a kept mask some pixels are doubtful and should teach
  less (PMUA, Eqs. 10-11)                                          -> pixel weights in losses
  teacher = student after burn-in, then its average                -> teacher_decay

Each part can be switched off, and DICC's mixture exchanged for PLePI's product. The labelled
branch sees weak and strong views, as in the authors' code. Where no image of a batch has a
pseudo-label, its unlabelled loss is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from engine.interfaces import Batch, Candidates, Losses, Segmenter, UnlabeledBatch
from engine.pseudo_labels import candidates as labels
from engine.pseudo_labels.filter import keep_coupled, keep_decoupled
from engine.pseudo_labels.fuse import (
    CategoryCorrector,
    Fusion,
    clip_weight,
    fuse_mixture,
    fuse_product,
)
from engine.pseudo_labels.quality import coupled_score, mask_area
from lab.config import PlDcConfig


@dataclass(frozen=True)
class PlDc:
    config: PlDcConfig
    student: Segmenter
    teacher: Segmenter
    corrector: CategoryCorrector | None
    """What DICC asks; None only without DICC."""
    max_steps: int
    """When CLIP's weight reaches 0."""

    def __post_init__(self) -> None:
        if self.config.dicc and self.corrector is None:
            raise ValueError("method pl_dc: dicc = true needs a category corrector, got None")

    @property
    def unlabeled_from(self) -> int | None:
        return self.config.burn_in_steps

    @property
    def teacher_from(self) -> int | None:
        return self.config.burn_in_steps

    def teacher_decay(self, step: int) -> float | None:
        """Untouched during burn-in, then a copy of the student, then its average."""
        if step < self.config.burn_in_steps:
            return None
        return 0.0 if step == self.config.burn_in_steps else self.config.ema_decay

    def student_restarts(self, step: int) -> bool:  # noqa: ARG002
        return False

    def losses(self, batch: Batch, step: int) -> Losses:
        """PL-DC Eq. 1: supervised loss plus the weighted loss on pseudo-labels."""
        unlabeled = batch.unlabeled
        if step < self.config.burn_in_steps:
            return Losses(sup=self.student.losses(*batch.labeled.both_views()))
        if unlabeled is None:
            raise ValueError(f"pl_dc: step {step} needs unlabelled images, the batch has none")
        found = [self.judge(c) for c in labels.survey_batch(self.teacher, unlabeled)]
        rows = labels.kept_rows(found)
        found = self.correct(found, rows, unlabeled, step)
        targets = [
            labels.pseudo_targets(c, r, weigh_pixels=self.config.pmua)
            for c, r in zip(found, rows, strict=True)
        ]
        doubtful = [labels.dropped_boxes(c) for c in found] if self.config.spare_doubtful else None
        unsupervised = self.student.losses(unlabeled.strong, targets, doubtful)
        return Losses(
            sup=self.student.losses(*batch.labeled.both_views()),
            unsup=labels.weighted(unsupervised, self.config.unsup_weight, rows),
            stats=labels.label_stats(found, rows) | self._correction_stats(found, rows, step),
            candidates=found,
        )

    def judge(self, found: Candidates) -> Candidates:
        """DDTF, or one threshold on the coupled score without it."""
        class_quality, mask_quality = found.predictions.class_quality, found.mask_quality
        area = mask_area(found.predictions.mask_logits)
        if not self.config.ddtf:
            verdict = keep_coupled(
                coupled_score(class_quality, mask_quality),
                area,
                threshold=self.config.coupled_threshold,
                min_area=self.config.min_mask_area,
            )
            return labels.judge(found, verdict)
        verdict = keep_decoupled(
            class_quality,
            mask_quality,
            area,
            class_threshold=self.config.class_threshold,
            mask_threshold=self.config.mask_threshold,
            min_area=self.config.min_mask_area,
        )
        return labels.judge(found, verdict)

    def correct(
        self,
        found: list[Candidates],
        rows: Sequence[Tensor],
        batch: UnlabeledBatch,
        step: int,
    ) -> list[Candidates]:
        """DICC: change classes where CLIP and the teacher together think otherwise."""
        fuse = self.fusion(step)
        if self.corrector is None or fuse is None:
            return found
        return labels.correct_classes(
            found,
            rows,
            batch.weak,
            self.corrector,
            fuse=fuse,
            max_patches=self.config.clip.max_patches,
        )

    def fusion(self, step: int) -> Fusion | None:
        """PL-DC Eq. 7 with the weight of `step`, or PLePI; None where CLIP has no say."""
        if not self.config.dicc:
            return None
        if self.config.fusion == "plepi":
            return partial(fuse_product, power=self.config.plepi_power)
        weight = self.clip_weight(step)
        return partial(fuse_mixture, weight=weight) if weight > 0 else None

    def clip_weight(self, step: int) -> float:
        """PL-DC Eq. 9."""
        return clip_weight(step, self.config.burn_in_steps, self.max_steps)

    def _correction_stats(
        self, found: Sequence[Candidates], rows: Sequence[Tensor], step: int
    ) -> dict[str, Tensor | float]:
        if not self.config.dicc:
            return {}
        stats: dict[str, Tensor | float] = {
            "dicc/changed": labels.changed_share(found, rows),
            "dicc/score": labels.fused_score(found, rows),
        }
        if self.config.fusion == "dicc":
            stats["dicc/weight"] = self.clip_weight(step)
        return stats
