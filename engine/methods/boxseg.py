"""BoxSeg: quality-aware and peer-assisted learning for box-supervised instance segmentation.

The paper's argument, and where each part of it is below:
  class scores pick incomplete masks, the box that is given
  does not: take the proposals whose boxes fit it (BQR)      -> box_quality.rank_boxes
  ... more of them for larger objects                        -> box_quality.adaptive_count
  many masks, weighed by their boxes, beat one (QMF)         -> mask_fusion.fuse_ranked
  how good the result is can be read off boxes and pixels    -> mask_fusion.mask_score
  ... and says how much the student listens to it            -> losses.pseudo_mask
  good masks help poor ones: an object whose mask is good is
  pasted over another of its class, and their border is
  known (PC)                                                 -> data.peers, data.scenes
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import box_iou

from engine.box_host import BoxHost, Proposals, Proposed, Wanted
from engine.data.peers import PeerBank, paste_probability, select_tutors, teach_learner
from engine.data.scenes import Scene, scenes_of
from engine.instances import Targets
from engine.interfaces import Batch, BoxScores, Candidates, LabeledBatch, Losses, ViewGeometry
from engine.losses.box_supervision import (
    box_mask_losses,
    filled_targets,
    image_affinity,
    sampled_boxes,
)
from engine.losses.pseudo_mask import pseudo_mask_losses
from engine.pseudo_labels.box_assignment import match_batch
from engine.pseudo_labels.box_labels import box_labels, label_stats
from engine.pseudo_labels.box_quality import Ranked, adaptive_count, one_each, rank_boxes
from engine.pseudo_labels.ema import warmed_up_decay
from engine.pseudo_labels.mask_fusion import Fused, fuse_ranked, vote_ranked
from engine.pseudo_labels.teacher_view import ask_teacher
from lab.config import BoxSegConfig


@dataclass(frozen=True)
class BoxSeg:
    config: BoxSegConfig
    student: BoxHost
    teacher: BoxHost
    max_side: int
    """Longest side of what the teacher sees."""
    bank: PeerBank = field(default_factory=PeerBank)

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

    def state_dict(self) -> Mapping[str, Any]:
        return self.bank.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.bank.load_state_dict(state)

    def losses(self, batch: Batch, step: int) -> Losses:
        config, labeled, stride = self.config, batch.labeled, self.student.mask_stride
        made, candidates = self.pseudo_masks(labeled, step)
        seen = scenes_of(labeled, [one.masks for one in made], [one.quality for one in made])
        scenes = [
            self.with_peer(scene, one.box_score, step)
            for scene, one in zip(seen, made, strict=True)
        ]
        weak, strong = (
            torch.stack(views) for views in zip(*(s.views for s in scenes), strict=True)
        )
        targets = [scene.targets() for scene in scenes]
        masks = (torch.cat([scene.masks for scene in scenes]) > config.pixel_threshold).float()
        trust = weights_of(torch.cat([scene.quality for scene in scenes]), config)
        taught = self.student.teach_boxes(strong, targets)
        inside, layers = sampled_boxes(taught.samples, targets, stride), taught.layers
        colours = image_affinity(weak, labeled.geometry, stride, config.box_loss)
        boxes = box_mask_losses(taught.samples, inside, colours, config.box_loss, step, layers)
        pasted = sum(new is not old for new, old in zip(scenes, seen, strict=True))
        return Losses(
            sup=taught.losses | boxes,
            unsup=pseudo_mask_losses(taught.samples, inside, masks, trust, config, step, layers),
            stats={
                **label_stats(candidates, torch.cat([one.quality for one in made])),
                "peers/pasted_per_image": pasted / len(scenes),
                "peers/remembered": float(len(self.bank)),
            },
            candidates=candidates,
        )

    @torch.no_grad()
    def pseudo_masks(self, batch: LabeledBatch, step: int) -> tuple[list[Fused], list[Candidates]]:
        """The Quality-Aware Module: what the teacher's proposals make of each image's boxes."""
        config, stride = self.config, self.teacher.mask_stride
        wanted = Wanted.ALL if config.ranking == "bqr" else Wanted.BEST
        found = ask_teacher(
            self.teacher, batch, wanted, short_side=config.teacher_side, max_side=self.max_side
        )
        ranked, threshold = rank(found, batch, config), box_threshold(config, step)
        drawn = found.mask_logits([one.rows[one.scores > threshold] for one in ranked])
        made = []
        for one, target, logits in zip(ranked, batch.targets, drawn, strict=True):
            height, width = logits.shape[1:]
            inside = filled_targets([target], height, width, stride)
            made.append(fuse(one, logits.float().sigmoid(), inside, config, threshold))
        images = enumerate(zip(found.images, ranked, made, strict=True))
        return made, [self._labels(batch, image, *one) for image, one in images]

    @torch.no_grad()
    def with_peer(self, scene: Scene, box_scores: Tensor, step: int) -> Scene:
        """Algorithm 1: learn from a peer of the bank, and leave one's own good objects there."""
        peers = self.config.peers
        if not peers.enabled:
            return scene
        chance = paste_probability(step, peers.final_probability, peers.decline_steps)
        goes_on = torch.rand(()).item() < chance
        key = self.bank.draw(scene.labels.tolist()) if goes_on else None
        record = None if key is None else self.bank.records[key]
        self.bank.remember(select_tutors(scene, box_scores, peers), peers.bank_size)
        taught = None if record is None else teach_learner(scene, record, peers)
        if key is None or taught is None:
            return scene
        self.bank.forget(key)
        return taught

    def _labels(
        self, batch: LabeledBatch, image: int, found: Proposals, ranked: Ranked, made: Fused
    ) -> Candidates:
        """The masks of one image as they are recorded; the best candidate stands for each."""
        targets = (made.effective > 0).nonzero()[:, 0]
        ranked, made = ranked[targets], made[targets]
        scores = BoxScores.of(
            targets,
            num_candidates=ranked.present.sum(dim=1),
            num_effective=made.effective,
            box_score=made.box_score,
            pixel_score=made.pixel_score,
            mask_score=made.quality,
        )
        logits, inside = made.masks.logit(eps=1e-6), made.masks > 0
        weights, stride = weights_of(made.quality, self.config), self.teacher.mask_stride
        best = found[made.best]
        labels = box_labels(batch, image, best, logits, inside, scores, weights, stride=stride)
        if not fuses_masks(self.config):
            return labels
        return replace(labels, single_logits=made.single.logit(eps=1e-6))


def box_threshold(config: BoxSegConfig, step: int) -> float:
    """tau of box scores: lower until the warm-up ends, or hardly an object would have a mask."""
    return config.early_box_threshold if step < config.warmup_steps else config.box_threshold


def rank(found: Proposed, batch: LabeledBatch, config: BoxSegConfig) -> list[Ranked]:
    """The candidates of each image's targets."""
    images = list(zip(found.images, batch.targets, batch.geometry, strict=True))
    if config.ranking == "bqr":
        return [rank_proposals(*one, config) for one in images]
    chosen = match_batch(found, batch, config.min_box_iou, 0.0)
    return [
        one_each(rows, overlaps(proposals, target), proposals.class_quality)
        for rows, (proposals, target, _) in zip(chosen, images, strict=True)
    ]


def rank_proposals(
    found: Proposals, target: Targets, view: ViewGeometry, config: BoxSegConfig
) -> Ranked:
    """Box-Quality Ranking of one image's proposals."""
    ious = overlaps(found, target)
    allowed = ious > config.min_box_iou
    if config.same_class:
        allowed &= found.labels[:, None] == target.labels
    return rank_boxes(
        ious,
        found.class_quality,
        allowed,
        candidate_counts(target.boxes, view, config),
        config.num_candidates,
    )


def candidate_counts(boxes: Tensor, view: ViewGeometry, config: BoxSegConfig) -> Tensor:
    """K of each box: one without fusion, else by its area in the original image. (N, 4) -> (N,)"""
    if not config.qmf:
        return torch.ones(len(boxes), dtype=torch.int64, device=boxes.device)
    least = config.min_candidates if config.adaptive_k else config.num_candidates
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0)
    areas = sides.prod(dim=1) / (view.scale_x * view.scale_y)
    limits = config.small_area, config.large_area
    return adaptive_count(areas, least, config.num_candidates, *limits)


def fuses_masks(config: BoxSegConfig) -> bool:
    """Whether a mask can be made of several."""
    return config.qmf and config.ranking == "bqr"


def fuse(
    ranked: Ranked, probs: Tensor, inside: Tensor, config: BoxSegConfig, threshold: float
) -> Fused:
    """QMF and MQS, or the authors' votes."""
    if config.formulas == "released":
        return vote_ranked(ranked, probs, inside, threshold)
    return fuse_ranked(ranked, probs, inside, threshold, config.pixel_threshold)


def overlaps(found: Proposals, target: Targets) -> Tensor:
    """Box IoU of proposals and targets, 0 for boxes without area. -> (M, N)"""
    return box_iou(found.boxes, target.boxes).nan_to_num(0)


def weights_of(quality: Tensor, config: BoxSegConfig) -> Tensor:
    """What each mask weighs in the loss: its quality, or 1 for every mask there is. (N,) -> (N,)"""
    return quality if config.mqs else (quality > 0).to(quality.dtype)
