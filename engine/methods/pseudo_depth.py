"""Pseudo-Depth: boosting box-supervised instance segmentation with pseudo depth.

The paper's argument, and where each part of it is below:
  a frozen network's depth shows shapes that boxes do not;
  who predicts an object's depth knows its shape           -> models.dynamic_head (Eq. 1),
                                                              losses.depth.depth_loss (Eq. 2)
  neighbours at one depth are of one object                -> losses.depth.depth_affinity (Eq. 4)
  late in training many masks are good, and a teacher who
  sees larger images makes better ones                     -> pseudo_masks
  which of its masks is whose is a question of boxes AND
  of depth                                                 -> losses.depth_matching (Eqs. 7-9)
  only what matches well may teach                         -> judge, losses (Eqs. 10-11)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import box_iou

from engine.box_host import BoxHost, MaskSamples, Proposals, Wanted
from engine.instances import Targets
from engine.interfaces import Batch, BoxScores, Candidates, LabeledBatch, Losses
from engine.losses.box_supervision import box_mask_losses, filled_targets, grown, image_affinity
from engine.losses.depth import DepthMaps, box_range, depth_affinity, depth_loss, depth_maps
from engine.losses.depth_matching import assign_masks, depth_consistency, match_scores
from engine.losses.pairwise import pairwise_loss
from engine.losses.pseudo_mask import pseudo_mask_loss
from engine.pseudo_labels.box_labels import box_labels, label_stats
from engine.pseudo_labels.box_quality import rank_boxes
from engine.pseudo_labels.candidates import judge
from engine.pseudo_labels.filter import keep_matched
from engine.pseudo_labels.quality import pixel_score
from engine.pseudo_labels.teacher_view import ask_teacher
from lab.config import PseudoDepthConfig


@dataclass(frozen=True)
class PseudoMasks:
    """A mask for every target of a batch; an unreliable one teaches nothing."""

    masks: Tensor
    """(N, h, w) float in {0, 1}, inside the boxes."""
    reliable: Tensor
    """(N,) float: 1 or 0."""
    candidates: list[Candidates]


@dataclass(frozen=True)
class PseudoDepth:
    config: PseudoDepthConfig
    student: BoxHost
    teacher: BoxHost
    max_side: int
    """Longest side of what the teacher sees."""

    @property
    def unlabeled_from(self) -> int | None:
        return None

    @property
    def teacher_from(self) -> int | None:
        return self.config.distil_from

    def teacher_decay(self, step: int) -> float | None:
        """A copy of the student where self-distillation begins, then its average."""
        if step < self.config.distil_from:
            return None
        return 0.0 if step == self.config.distil_from else self.config.ema_decay

    def student_restarts(self, step: int) -> bool:  # noqa: ARG002
        return False

    def judge(self, found: Candidates) -> Candidates:
        """A mask made for a box is kept when it matches well enough; others have no rule."""
        scores = found.box_scores
        if scores is None:
            return found
        return judge(
            found,
            keep_matched(scores.match_score, found.mask_quality, self.config.match_threshold),
        )

    def losses(self, batch: Batch, step: int) -> Losses:
        config, labeled, stride = self.config, batch.labeled, self.student.mask_stride
        taught = self.student.teach_boxes(labeled.weak, labeled.targets)
        samples, layers = taught.samples, taught.layers
        height, width = samples.logits.shape[1:]
        boxes = filled_targets(labeled.targets, height, width, stride)
        inside, depth = boxes[samples.targets], seen_depth(labeled, stride)
        colours = image_affinity(labeled.weak, labeled.geometry, stride, config.box_loss)
        boxinst = box_mask_losses(samples, inside, colours, config.box_loss, step, layers)
        sup = taught.losses | boxinst | depth_losses(samples, inside, depth, config, step, layers)
        stats: dict[str, Tensor | float] = {"depth/known_images": depth.known.float().mean()}
        if step < config.distil_from or config.dice_weight == 0:
            return Losses(sup, stats=stats)
        pseudo = self.pseudo_masks(labeled, boxes, depth)
        dice = pseudo_mask_loss(samples, pseudo.masks, pseudo.reliable[samples.targets])
        return Losses(
            sup,
            unsup={"dice": layers * config.dice_weight * dice},
            stats=stats | match_stats(pseudo),
            candidates=pseudo.candidates,
        )

    @torch.no_grad()
    def pseudo_masks(self, batch: LabeledBatch, boxes: Tensor, depth: DepthMaps) -> PseudoMasks:
        """The teacher's mask of each target. `boxes` = (N, h, w) bool, filled, of all targets."""
        config = self.config
        found = ask_teacher(
            self.teacher,
            batch,
            Wanted.ALL if config.proposals == "dense" else Wanted.BEST,
            short_side=config.teacher_side,
            max_side=self.max_side,
        )
        targets = batch.targets
        rows = [best_boxes(*one, config) for one in zip(found.images, targets, strict=True)]
        offers = [one[r] for one, r in zip(found.images, rows, strict=True)]
        drawn, candidates = found.mask_logits(rows), []
        masks, reliable = torch.zeros_like(boxes, dtype=torch.float32), boxes.new_zeros(len(boxes))
        starts = boxes.split([len(one) for one in targets])
        first = 0
        for image, (offer, logits, inside) in enumerate(zip(offers, drawn, starts, strict=True)):
            consistency = depth_scores(logits, depth, image, config)
            chosen, scores = match(offer, logits, consistency, targets[image], inside, config)
            mine, own = inside[scores.targets], logits[chosen]
            made = (offer[chosen], own, mine, scores, torch.ones_like(scores.match_score))
            label = self.judge(box_labels(batch, image, *made, stride=self.teacher.mask_stride))
            masks[first + scores.targets] = ((own > 0) & mine).float()
            reliable[first + scores.targets] = label.kept
            candidates.append(label)
            first += len(inside)
        return PseudoMasks(masks, reliable.float(), candidates)


def seen_depth(batch: LabeledBatch, stride: int) -> DepthMaps:
    """The batch's depth on the cells of the masks; all unknown where it was not loaded."""
    depth = torch.zeros_like(batch.weak[:, 0]) if batch.depth is None else batch.depth
    return depth_maps(depth, batch.geometry, stride)


def depth_losses(
    samples: MaskSamples,
    inside: Tensor,
    depth: DepthMaps,
    config: PseudoDepthConfig,
    step: int,
    layers: int,
) -> dict[str, Tensor]:
    """What Eq. 6 adds to BoxInst's losses. `inside` = (S, h, w) bool, the samples' filled boxes."""
    similar = (config.depth_sharpness, config.depth_threshold, config.box_loss.dilation)
    edges = depth_affinity(depth, *similar)
    weight = layers * config.consistency_weight * grown(step, config.box_loss.warmup_steps)
    found = {"consistency": weight * pairwise_loss(samples.logits, inside, edges, samples.images)}
    if samples.depth_logits is not None:
        shown = inside & depth.valid[samples.images]
        truth = depth.cells[samples.images]
        truth = box_range(truth, shown) if config.depth_range == "instance" else truth
        known = depth.known[samples.images]
        error = depth_loss(samples.depth_logits, truth, shown, known)
        found["depth"] = layers * config.depth_weight * error
    return found


def best_boxes(found: Proposals, target: Targets, config: PseudoDepthConfig) -> Tensor:
    """The proposals that fit some object's box best, each place once. -> (M,) rows"""
    ious = overlaps(found, target)
    allowed = (ious >= config.min_box_iou) & first_of_each(found.places)[:, None]
    counts = torch.full_like(target.labels, config.num_candidates)
    ranked = rank_boxes(ious, found.class_quality, allowed, counts, config.num_candidates)
    return ranked.rows[ranked.present].unique()


def depth_scores(logits: Tensor, depth: DepthMaps, image: int, config: PseudoDepthConfig) -> Tensor:
    """S_dcons of an image's masks; 1 where depth is not known: boxes alone decide. -> (M,)"""
    found = depth_consistency(
        logits.float().sigmoid(),
        depth.cells[image],
        depth.valid[image],
        sharpness=config.depth_sharpness,
        threshold=config.depth_threshold,
        dilation=config.box_loss.dilation,
    )
    return torch.where(depth.known[image], found, torch.ones_like(found))


def match(
    offer: Proposals,
    logits: Tensor,
    consistency: Tensor,
    target: Targets,
    inside: Tensor,
    config: PseudoDepthConfig,
) -> tuple[Tensor, BoxScores]:
    """The depth-aware Hungarian: which of M predictions the targets get, and how well they match.

    A box that hardly overlaps and an empty mask are nobody's. `logits` (M, h, w), `consistency`
    (M,), `inside` (N, h, w) bool. -> (G,) index into the offer, and scores that name the targets.
    """
    ious = overlaps(offer, target).T
    shares = {"iou_share": config.match_iou, "depth_share": config.match_depth}
    quality = match_scores(ious, consistency, offer.scores, **shares)
    allowed = (ious >= config.min_box_iou) & (logits > 0).flatten(1).any(dim=1)
    tables = (one.cpu().numpy() for one in (quality, allowed, offer.scores))
    given = torch.from_numpy(assign_masks(*tables)).to(logits.device)
    targets = (given >= 0).nonzero()[:, 0]
    chosen = given[targets]
    scores = BoxScores.of(
        targets,
        num_candidates=allowed.sum(dim=1)[targets].float(),
        box_score=offer.scores[chosen],
        pixel_score=pixel_score(logits[chosen].float().sigmoid(), inside[targets]),
        depth_score=consistency[chosen],
        match_score=quality[targets, chosen],
    )
    return chosen, scores


def overlaps(found: Proposals, target: Targets) -> Tensor:
    """Box IoU of proposals and targets, 0 for boxes without area. -> (M, N)"""
    return box_iou(found.boxes, target.boxes).nan_to_num(0)


def first_of_each(places: Tensor) -> Tensor:
    """Whether no row before has the same place: a place proposes its box under several classes.

    (M,) -> (M,) bool
    """
    order = places.argsort(stable=True)
    ordered, first = places[order], torch.ones_like(places, dtype=torch.bool)
    first[order[1:]] = ordered[1:] != ordered[:-1]
    return first


def match_stats(pseudo: PseudoMasks) -> dict[str, Tensor | float]:
    """How many targets have a mask, how many masks are reliable, and how well masks match."""
    stats = label_stats(pseudo.candidates, pseudo.reliable)
    stats.pop("pseudo/mask_score", None)
    stats["pseudo/kept_per_image"] = pseudo.reliable.sum() / max(1, len(pseudo.candidates))
    scores = [one.box_scores for one in pseudo.candidates if one.box_scores is not None]
    if any(len(one.targets) for one in scores):
        stats["pseudo/match_score"] = torch.cat([one.match_score for one in scores]).mean()
        stats["pseudo/depth_score"] = torch.cat([one.depth_score for one in scores]).mean()
    return stats
