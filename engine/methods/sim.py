"""SIM (CVPR 2023): semantic-aware instance masks for box-supervised segmentation.

The paper's argument, and where each part of it is below:
  colours deceive where an object looks like what is behind
  it; what its class looks like anywhere does not           -> prototypes.Prototypes
  a class has several looks, and each takes its share of
  the pixels (Eqs. 2 to 5)                                  -> sinkhorn, Prototypes.learn
  prototypes say which pixels are of the class (Eq. 1)      -> Prototypes.maps
  ... but not of which object: its positives do (Eq. 6),
  and both together correct each other (Eq. 7)              -> self_correction
  only pixels that are sure one way or the other teach      -> losses.decided_pixels (Eq. 8)
  boxes teach little about occlusion: objects with masks
  can be pasted, and are then known exactly (Eqs. 9, 11)    -> data.guests, data.scenes
  colours alone until masks have found their place          -> SimConfig.warmup_steps
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from engine.box_host import BoxHost, MaskSamples, Proposals, Taught, Wanted
from engine.data.guests import GuestBank, receive, select_guests
from engine.data.scenes import Scene, scenes_of
from engine.instances import Targets
from engine.interfaces import Batch, BoxScores, Candidates, LabeledBatch, Losses
from engine.losses.box_supervision import (
    box_mask_losses,
    filled_targets,
    grown,
    image_affinity,
    sampled_boxes,
)
from engine.losses.decided_pixels import decided_mask_loss, focal_mask_loss
from engine.losses.pairwise import Affinity
from engine.losses.pseudo_mask import weighted_mean
from engine.losses.semantic_affinity import semantic_affinity
from engine.pseudo_labels.box_labels import box_labels, label_stats
from engine.pseudo_labels.ema import recent_decay
from engine.pseudo_labels.prototypes import ClassPixels, Pace, Prototypes, unit_features
from engine.pseudo_labels.self_correction import (
    PseudoMasks,
    correct,
    correct_as_released,
    gather_positives,
)
from engine.pseudo_labels.teacher_view import ask_teacher
from lab.config import SimConfig


@dataclass(frozen=True)
class Sim:
    config: SimConfig
    student: BoxHost
    teacher: BoxHost
    prototypes: Prototypes = field(default_factory=Prototypes)
    bank: GuestBank = field(default_factory=GuestBank)

    @property
    def unlabeled_from(self) -> int | None:
        return None

    @property
    def teacher_from(self) -> int | None:
        return None

    def teacher_decay(self, step: int) -> float | None:
        return recent_decay(step, self.config.ema_decay)

    def student_restarts(self, step: int) -> bool:  # noqa: ARG002
        return False

    def judge(self, found: Candidates) -> Candidates:
        """No rule drops a mask: one without a sure pixel teaches nothing."""
        return found

    def state_dict(self) -> Mapping[str, Any]:
        return {"prototypes": self.prototypes.state_dict(), "bank": self.bank.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.prototypes.load_state_dict(state["prototypes"])
        self.bank.load_state_dict(state["bank"])

    def losses(self, batch: Batch, step: int) -> Losses:
        labeled = batch.labeled
        if step < self.config.warmup_steps:
            taught = self.student.teach_boxes(labeled.weak, labeled.targets)
            colours = self.colours(labeled.weak, labeled)
            return Losses(sup=self.low_level(taught, labeled.targets, colours, step))
        features, made, candidates = self.pseudo_masks(labeled)
        scenes = self.with_guests(labeled, made)
        images = torch.stack([scene.views[0] for scene in scenes])
        targets = [scene.targets() for scene in scenes]
        taught = self.student.teach_boxes(images, targets)
        colours = self.colours(images, labeled, features, scenes)
        return Losses(
            sup=self.low_level(taught, targets, colours, step),
            unsup=self.mask_losses(taught, scenes, step),
            stats=label_stats(candidates, torch.cat([one.score for one in made]))
            | self._memories(scenes),
            candidates=candidates,
        )

    @torch.no_grad()
    def pseudo_masks(
        self, batch: LabeledBatch
    ) -> tuple[Tensor, list[PseudoMasks], list[Candidates]]:
        """Features of the images, (B, D, h, w), and the masks that the teacher's positives and
        the prototypes make of each image's boxes. Then the prototypes learn from these."""
        config = self.config
        found = ask_teacher(self.teacher, batch, Wanted.ASSIGNED)
        rows = [torch.arange(len(one), device=batch.weak.device) for one in found.images]
        drawn = found.mask_logits(rows)
        height, width = drawn[0].shape[1:]
        features = unit_features(found.features, height, width)
        classes, size = found.images[0].class_logits.shape[1], features.shape[1]
        self.prototypes.start(classes, config.num_prototypes, size, features.device)
        images = zip(found.images, drawn, features, batch.targets, strict=True)
        made = [self._corrected(*one) for one in images]
        shown = [
            ClassPixels(seen, one.shown, target.labels)
            for seen, one, target in zip(features, made, batch.targets, strict=True)
        ]
        self.prototypes.learn(shown, pace_of(config))
        pairs = enumerate(zip(found.images, made, strict=True))
        return features, made, [self._labels(batch, image, *one) for image, one in pairs]

    def _corrected(
        self, found: Proposals, logits: Tensor, features: Tensor, target: Targets
    ) -> PseudoMasks:
        """Self-correction of one image. A class whose prototypes hardly moved has no say."""
        config, (height, width) = self.config, logits.shape[1:]
        inside = filled_targets([target], height, width, self.teacher.mask_stride)
        positives = gather_positives(
            found, logits.float().sigmoid(), target.boxes, config.iou_sharpness
        )
        temperature = config.temperature if config.formulas == "paper" else None
        semantic = self.prototypes.maps(features, target.labels, temperature)
        known = self.prototypes.known(target.labels, config.min_updates)
        share = torch.where(known, config.instance_share, 1.0)
        make = correct if config.formulas == "paper" else correct_as_released
        thresholds = config.high_threshold, config.low_threshold
        return make(semantic, positives, share, inside, *thresholds)

    def with_guests(self, batch: LabeledBatch, made: Sequence[PseudoMasks]) -> list[Scene]:
        """What the student sees: the images, perhaps with objects of earlier ones in front.

        The masks of a scene are the states of its pixels, see `PseudoMasks.states`.
        """
        config = self.config.paste
        seen = scenes_of(
            batch, [one.states for one in made], [one.score for one in made], strongly=False
        )
        scenes = [receive(scene, self.bank.draw(config)) for scene in seen]
        own = [
            select_guests(replace(scene, masks=one.outlined), self.config.high_threshold, config)
            for scene, one in zip(seen, made, strict=True)
        ]
        self.bank.remember(own, config.bank_size)
        return scenes

    def colours(
        self,
        images: Tensor,
        batch: LabeledBatch,
        features: Tensor | None = None,
        scenes: Sequence[Scene] = (),
    ) -> Affinity:
        """Which neighbours the pairwise term joins: those of one colour, and perhaps feature."""
        stride, config = self.student.mask_stride, self.config.box_loss
        if features is None or not self.config.semantic_affinity:
            return image_affinity(images, batch.geometry, stride, config)
        unseen = torch.stack([(one.masks[one.pasted] > 0).any(dim=0) for one in scenes])
        return semantic_affinity(images, features, unseen, batch.geometry, stride, config)

    def low_level(
        self, taught: Taught, targets: Sequence[Targets], colours: Affinity, step: int
    ) -> dict[str, Tensor]:
        """BoxInst's losses."""
        inside = sampled_boxes(taught.samples, targets, self.student.mask_stride)
        config = self.config.box_loss
        masks = box_mask_losses(taught.samples, inside, colours, config, step, taught.layers)
        return taught.losses | masks

    def mask_losses(self, taught: Taught, scenes: Sequence[Scene], step: int) -> dict[str, Tensor]:
        """Eqs. 8 and 9: what the image's own pseudo masks teach, and what pasted objects do."""
        config, samples = self.config, taught.samples
        targets = [scene.targets() for scene in scenes]
        inside = sampled_boxes(samples, targets, self.student.mask_stride)
        states = torch.cat([scene.masks for scene in scenes])
        pasted = torch.cat([scene.pasted for scene in scenes])[samples.targets]
        teaches = (states == 1).any(dim=2).any(dim=1)[samples.targets]
        each = self._mask_loss(samples, states, inside)
        weight = taught.layers * config.pseudo_weight * grown(step, config.pseudo_growth_steps)
        return {
            "pseudo": weight * weighted_mean(each, (teaches & ~pasted).float()),
            "paste": taught.layers
            * config.paste.weight
            * weighted_mean(each, (teaches & pasted).float()),
        }

    def _mask_loss(self, samples: MaskSamples, states: Tensor, inside: Tensor) -> Tensor:
        """Of each sample against the states of its object's pixels. -> (S,)"""
        state = states[samples.targets]
        loss = decided_mask_loss if self.config.formulas == "paper" else focal_mask_loss
        return loss(samples.logits, state == 1, inside & (state != 0.5))

    def _labels(
        self, batch: LabeledBatch, image: int, found: Proposals, made: PseudoMasks
    ) -> Candidates:
        """The masks of one image as they are recorded; the best positive stands for each."""
        targets = (made.positives.count > 0).nonzero()[:, 0]
        made = made[targets]
        positives, taught = made.positives, (made.score > 0).float()
        scores = BoxScores.of(
            targets,
            num_candidates=positives.count,
            box_score=positives.overlap,
            mask_score=made.score,
            semantic_score=made.semantic_score,
            instance_score=made.instance_score,
        )
        logits, stride = made.probs.logit(eps=1e-6), self.teacher.mask_stride
        known = found[positives.best], logits, made.inside, scores, taught
        return box_labels(batch, image, *known, stride=stride)

    def _memories(self, scenes: Sequence[Scene]) -> dict[str, Tensor | float]:
        known = self.prototypes.moves.amax(dim=1) >= max(1, self.config.min_updates)
        pasted = torch.cat([scene.pasted for scene in scenes])
        return {
            "prototypes/known_classes": known.float().mean(),
            "paste/objects_per_image": pasted.sum() / len(scenes),
            "paste/remembered": float(len(self.bank)),
        }


def pace_of(config: SimConfig) -> Pace:
    """How the prototypes move."""
    return Pace(
        smoothness=config.assignment_smoothness,
        steps=config.assignment_steps,
        momentum=config.prototype_momentum,
        first_replaces=config.prototype_start == "first",
        drawn=config.assignment == "drawn",
    )
