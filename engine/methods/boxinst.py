"""BoxInst (arXiv:2012.02310): high-performance instance segmentation with box annotations.

The paper's argument, and where each part of it is below:
  a box and a mask cast the same shadows on both axes      -> losses.box_mask.projection_loss
  neighbours of one colour are of one object, and that is
  so often true that it can teach                          -> losses.pairwise.pairwise_loss
  but only once masks have found their place               -> BoxLossConfig.warmup_steps
Nothing else of CondInst changes, and no mask is ever seen.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.box_host import BoxHost
from engine.interfaces import Batch, Candidates, Losses, Segmenter
from engine.losses.box_supervision import box_mask_losses, image_affinity, sampled_boxes
from engine.pseudo_labels.ema import recent_decay
from lab.config import BoxInstConfig


@dataclass(frozen=True)
class BoxInst:
    """The teacher is a running average of the student, and teaches nobody."""

    config: BoxInstConfig
    student: BoxHost
    teacher: Segmenter

    @property
    def unlabeled_from(self) -> int | None:
        return None

    @property
    def teacher_from(self) -> int | None:
        return None

    def teacher_decay(self, step: int) -> float | None:
        """A copy at first, then an average over a share of the past, `ema_decay` at most."""
        return recent_decay(step, self.config.ema_decay)

    def student_restarts(self, step: int) -> bool:  # noqa: ARG002
        return False

    def judge(self, found: Candidates) -> Candidates:
        """No rule: everything stays as the network said it."""
        return found

    def losses(self, batch: Batch, step: int) -> Losses:
        labeled, stride = batch.labeled, self.student.mask_stride
        taught = self.student.teach_boxes(labeled.weak, labeled.targets)
        inside = sampled_boxes(taught.samples, labeled.targets, stride)
        colours = image_affinity(labeled.weak, labeled.geometry, stride, self.config.box_loss)
        masks = box_mask_losses(
            taught.samples, inside, colours, self.config.box_loss, step, taught.layers
        )
        return Losses(sup=taught.losses | masks)
