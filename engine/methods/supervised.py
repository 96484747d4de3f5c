"""Supervised: labelled images only, the line that every other method is compared with."""

from __future__ import annotations

from dataclasses import dataclass

from engine.interfaces import Batch, Candidates, Losses, Segmenter
from lab.config import SupervisedConfig


@dataclass(frozen=True)
class Supervised:
    """The teacher is a running average of the student here, and teaches nobody."""

    config: SupervisedConfig
    student: Segmenter
    teacher: Segmenter

    @property
    def unlabeled_from(self) -> int | None:
        return None

    @property
    def teacher_from(self) -> int | None:
        return None

    def teacher_decay(self, step: int) -> float | None:
        """A copy at first, then an average over a share of the past, `ema_decay` at most.

        The ramp keeps the random initial weights out of the average of a short run.
        """
        return min(self.config.ema_decay, step / (step + 10))

    def student_restarts(self, step: int) -> bool:  # noqa: ARG002
        return False

    def judge(self, found: Candidates) -> Candidates:
        """No rule: everything stays as the network said it."""
        return found

    def losses(self, batch: Batch, step: int) -> Losses:  # noqa: ARG002
        labeled = batch.labeled
        if self.config.strong_views:
            return Losses(sup=self.student.losses(*labeled.both_views()))
        return Losses(sup=self.student.losses(labeled.weak, labeled.targets))
