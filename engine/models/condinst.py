"""Host `condinst`: FCOS finds objects, and writes a small mask network for each of them.

Written from the papers (FCOS, arXiv:1904.01355; CondInst, arXiv:2003.05664). Scores: class
quality is the sigmoid class probability; the ranking score is sqrt(class * centerness).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import batched_nms, sigmoid_focal_loss

from engine.instances import Predictions, Targets
from engine.losses.box import centerness, distance_giou
from engine.losses.dice import squared_dice
from engine.models.backbones import Backbone, build_backbone, load_pretrained, weights_path
from engine.models.condinst_parts import PAPER, SMALL, Head, MaskBranch, Pyramid
from engine.models.dynamic_head import dynamic_masks
from engine.models.fcos import (
    Locations,
    are_central,
    assign,
    box_centers,
    build_locations,
    decode_boxes,
    mask_centers,
    spread_evenly,
)
from lab.config import CondInstConfig

PRE_NMS = 1000
"""Most candidates per image and level before non-maximum suppression."""


@dataclass(frozen=True)
class Outputs:
    """What the network says about B images at their L locations."""

    locations: Locations
    class_logits: Tensor
    """(B, L, K)"""
    distances: Tensor
    """(B, L, 4) to the box sides, in strides."""
    center_logits: Tensor
    """(B, L)"""
    parameters: Tensor
    """(B, L, P) of the dynamic mask head."""
    mask_features: Tensor
    """(B, 8, h, w)"""


class CondInst(nn.Module):
    """The network with its losses and its predictions: a Segmenter."""

    def __init__(self, config: CondInstConfig, num_classes: int) -> None:
        super().__init__()
        self.config = config
        self.arch = SMALL if config.preset == "tiny" else PAPER
        self.num_classes = num_classes
        self.backbone: Backbone = build_backbone(
            config.preset,
            config.width,
            config.freeze_stages,
            pretrained=config.backbone_weights is not None,
        )
        self.pyramid = Pyramid(self.backbone.channels, self.arch)
        if config.backbone_weights is not None:
            path = weights_path(config.backbone_weights)
            load_pretrained(self.backbone.body, self.pyramid, path)
        self.head = Head(self.arch, num_classes)
        self.mask_branch = MaskBranch(self.arch)

    @property
    def module(self) -> nn.Module:
        return self

    def forward(self, images: Tensor) -> Outputs:
        normalized = (images - 0.45) / 0.225
        features = self.pyramid(self.backbone(normalized))
        levels = [features[name] for name in self.arch.levels]
        locations = build_locations(
            [(f.shape[2], f.shape[3]) for f in levels],
            self.arch.strides,
            self.arch.ranges,
            self.arch.sizes_of_interest,
            images.device,
        )
        class_logits, distances, center_logits, parameters = self.head(levels)
        return Outputs(
            locations,
            class_logits.float(),
            distances.float(),
            center_logits[..., 0].float(),
            parameters.float(),
            self.mask_branch(features).float(),
        )

    def losses(
        self,
        images: Tensor,
        targets: Sequence[Targets],
        doubtful: Sequence[Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Class, box, centre and mask losses (methods.md 5.2); all weights 1.

        Box losses are averaged over positive locations, the mask loss over the sampled ones.
        `pixel_weight` enters the three sums of the dice, `instance_weight` multiplies it. Central
        locations of `doubtful` boxes are not taught to be background.
        """
        out = self(images)
        owner, target_distances = self._assign(out.locations, targets)
        positive = owner >= 0
        count = positive.sum().clamp(min=1)
        image_of, location_of = positive.nonzero(as_tuple=True)

        wanted = torch.zeros_like(out.class_logits)
        labels = torch.cat([t.labels for t in targets])
        global_owner = owner + _offsets(targets, owner.device)[:, None]
        owners = global_owner[positive]
        wanted[image_of, location_of, labels[owners]] = 1
        focal = sigmoid_focal_loss(out.class_logits, wanted, 0.25, 2.0)
        if doubtful is not None:
            focal = focal * (positive | ~_doubted(out.locations, doubtful))[..., None]
        class_loss = focal.sum() / count

        distances = target_distances[positive] / out.locations.strides[location_of, None]
        central = centerness(distances)
        _, giou = distance_giou(out.distances[positive], distances)
        box_loss = ((1 - giou) * central).sum() / central.sum().clamp(min=1e-6)
        center_loss = (
            functional.binary_cross_entropy_with_logits(
                out.center_logits[positive], central, reduction="sum"
            )
            / count
        )
        losses = {"class": class_loss, "box": box_loss, "center": center_loss}
        if all(t.masks is not None for t in targets):
            losses["mask"] = self._mask_loss(out, targets, image_of, location_of, owners)
        return losses

    @torch.no_grad()
    def predict(self, images: Tensor) -> list[Predictions]:
        """Up to `max_detections` candidates per image after class-wise non-maximum suppression.

        A location is a candidate for every class whose probability times centerness is above
        `score_floor`.
        """
        out = self(images)
        quality = out.class_logits.sigmoid()
        center = out.center_logits.sigmoid()
        found = [self._select(out, quality[b], center[b], b) for b in range(len(images))]
        image_of = torch.cat([torch.full_like(rows, b) for b, (rows, _, _) in enumerate(found)])
        rows = torch.cat([rows for rows, _, _ in found])
        logits = self._mask_logits(out, image_of, rows, images.shape[-2:])
        predictions, start = [], 0
        for b, (rows, labels, boxes) in enumerate(found):
            class_quality = quality[b, rows, labels]
            predictions.append(
                Predictions(
                    boxes=boxes,
                    scores=(class_quality * center[b, rows]).sqrt(),
                    labels=labels,
                    class_quality=class_quality,
                    class_logits=out.class_logits[b, rows],
                    mask_logits=logits[start : start + len(rows)],
                )
            )
            start += len(rows)
        return predictions

    def _assign(self, locations: Locations, targets: Sequence[Targets]) -> tuple[Tensor, Tensor]:
        assigned = [
            assign(
                locations,
                t.boxes,
                box_centers(t.boxes) if t.masks is None else mask_centers(t.masks, t.boxes),
            )
            for t in targets
        ]
        owners, distances = zip(*assigned, strict=True)
        return torch.stack(owners), torch.stack(distances)

    def _mask_loss(
        self,
        out: Outputs,
        targets: Sequence[Targets],
        image_of: Tensor,
        location_of: Tensor,
        owners: Tensor,
    ) -> Tensor:
        if len(owners) == 0:
            return 0 * (out.mask_features.sum() + out.parameters.sum())
        with torch.no_grad():
            score = out.class_logits.detach().amax(-1).sigmoid() * out.center_logits.sigmoid()
            score = score[image_of, location_of]
            picked = torch.cat(
                [
                    samples[
                        spread_evenly(owners[samples], score[samples], self.config.max_instances)
                    ]
                    for b in range(len(targets))
                    if len(samples := (image_of == b).nonzero()[:, 0])
                ]
            )
        image_of, location_of, owners = image_of[picked], location_of[picked], owners[picked]
        logits = self._dynamic(out, image_of, location_of)
        stride = self.arch.mask_stride // 2
        masks = _sampled([t.masks for t in targets], owners, stride)
        has_weights = any(t.pixel_weight is not None for t in targets)
        weights = [
            t.pixel_weight
            if t.pixel_weight is not None
            else torch.ones_like(t.masks, dtype=torch.float32)
            for t in targets
            if t.masks is not None
        ]
        dice = squared_dice(
            logits.sigmoid(), masks, _sampled(weights, owners, stride) if has_weights else None
        )
        if any(t.instance_weight is not None for t in targets):
            every = [
                t.instance_weight
                if t.instance_weight is not None
                else torch.ones(len(t), device=dice.device)
                for t in targets
            ]
            dice = dice * torch.cat(every)[owners]
        return dice.mean()

    def _dynamic(self, out: Outputs, image_of: Tensor, location_of: Tensor) -> Tensor:
        """(N,), (N,) -> (N, 2h, 2w) logits at half the stride of the mask features."""
        return dynamic_masks(
            out.mask_features,
            image_of,
            out.parameters[image_of, location_of],
            out.locations.points[location_of],
            out.locations.sizes_of_interest[location_of],
            self.arch.mask_stride,
        )

    def _mask_logits(
        self, out: Outputs, image_of: Tensor, rows: Tensor, size: torch.Size
    ) -> Tensor:
        logits = self._dynamic(out, image_of, rows)
        if len(logits) == 0:
            return logits.new_zeros(0, *size)
        return functional.interpolate(
            logits[:, None], size=tuple(size), mode="bilinear", align_corners=False
        )[:, 0]

    def _select(
        self, out: Outputs, quality: Tensor, center: Tensor, image: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Candidates of one image: (N,) location, (N,) label, (N, 4) box, best first."""
        joint = quality * center[:, None]
        rows, labels = (joint > self.config.score_floor).nonzero(as_tuple=True)
        score = joint[rows, labels]
        if len(score) > PRE_NMS:
            keep = _best_per_level(score, out.locations.strides[rows])
            rows, labels, score = rows[keep], labels[keep], score[keep]
        distances = out.distances[image, rows] * out.locations.strides[rows, None]
        boxes = decode_boxes(out.locations.points[rows], distances)
        keep = batched_nms(boxes, score.sqrt(), labels, self.config.nms_threshold)
        keep = keep[: self.config.max_detections]
        return rows[keep], labels[keep], boxes[keep]


def _doubted(locations: Locations, boxes: Sequence[Tensor]) -> Tensor:
    """Which locations of each image are central in one of its boxes. -> (B, L) bool"""
    return torch.stack([are_central(locations, one, box_centers(one)).any(dim=1) for one in boxes])


def _offsets(targets: Sequence[Targets], device: torch.device) -> Tensor:
    """Where each image's objects start in the concatenation of all. -> (B,)"""
    counts = torch.tensor([0, *(len(t) for t in targets)][:-1], device=device)
    return counts.cumsum(0)


def _pixel_weight(target: Targets) -> Tensor | None:
    if target.pixel_weight is None and target.masks is not None:
        return torch.ones_like(target.masks, dtype=torch.float32)
    return target.pixel_weight


def _instance_weight(target: Targets) -> Tensor:
    if target.instance_weight is None:
        return torch.ones_like(target.labels, dtype=torch.float32)
    return target.instance_weight


def _sampled(maps: Sequence[Tensor | None], owners: Tensor, stride: int) -> Tensor:
    """The maps of the owners at every stride-th pixel from the cell's middle. -> (S, h, w)"""
    present = [m[:, stride // 2 :: stride, stride // 2 :: stride] for m in maps if m is not None]
    return torch.cat(present)[owners]


def _best_per_level(score: Tensor, strides: Tensor) -> Tensor:
    """Indices of the PRE_NMS best scores of each level."""
    kept = []
    for stride in strides.unique():
        on_level = (strides == stride).nonzero()[:, 0]
        kept.append(on_level[score[on_level].topk(min(PRE_NMS, len(on_level))).indices])
    return torch.cat(kept)
