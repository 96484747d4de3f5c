"""Host `condinst`: FCOS finds objects, and writes a small mask network for each of them.

Written from the papers (FCOS, arXiv:1904.01355; CondInst, arXiv:2003.05664). Scores: class
quality is the sigmoid class probability; the ranking score is sqrt(class * box quality), where box
quality is centerness or a predicted IoU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torchvision.ops import batched_nms

from engine import ranks
from engine.box_host import MaskSamples, Proposals, Proposed, Taught, Wanted
from engine.cells import enlarged, sampled
from engine.checkpoint import asked_for_by
from engine.instances import Predictions, Targets
from engine.losses.dice import squared_dice
from engine.models.backbones import Backbone, build_backbone, load_pretrained, weights_path
from engine.models.condinst_parts import Head, MaskBranch, Pyramid, architecture_of
from engine.models.dynamic_head import depth_guided_masks, dynamic_masks
from engine.models.fcos import Locations, build_locations, decode_boxes, spread_evenly
from engine.models.fcos_losses import (
    Detections,
    Positives,
    detection_losses,
    doubted,
    find_positives,
    owners_of,
)
from engine.models.placed_convolution import PlacedConvolution
from engine.models.swin import SwinBackbone, build_swin
from lab.config import CondInstConfig

PRE_NMS = 1000
"""Most candidates per image and level before non-maximum suppression."""


@dataclass(frozen=True)
class Outputs(Detections):
    """What the network says about B images at their L locations."""

    locations: Locations
    controller: PlacedConvolution
    """Tells the P parameters of the dynamic mask head of any location."""
    mask_features: Tensor
    """(B, C, h, w)"""

    def scores(self) -> tuple[Tensor, Tensor]:
        """Class probabilities (B, L, K) and box quality (B, L)."""
        return self.class_logits.sigmoid(), self.quality_logits.sigmoid()


class CondInst(nn.Module):
    """The network with its losses and its predictions: a Segmenter and a BoxHost."""

    def __init__(self, config: CondInstConfig, num_classes: int) -> None:
        super().__init__()
        self.config = config
        self.arch = architecture_of(config)
        self.num_classes = num_classes
        self.backbone = _backbone_of(config)
        self.pyramid = Pyramid(self.backbone.channels, self.arch)
        if config.backbone_weights is not None:
            path = weights_path(config.backbone_weights)
            with asked_for_by("host.backbone_weights", config.backbone_weights):
                load_pretrained(self.backbone.body, self.pyramid, path)
        self.head = Head(self.arch, num_classes)
        self.mask_branch = MaskBranch(self.arch)

    @property
    def module(self) -> nn.Module:
        return self

    @property
    def mask_stride(self) -> int:
        return self.arch.mask_stride // 2

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
        class_logits, distances, quality_logits, controller = self.head(levels)
        return Outputs(
            class_logits.float(),
            distances.float(),
            quality_logits[..., 0].float(),
            locations,
            controller,
            self.mask_branch(features).float(),
        )

    def losses(
        self,
        images: Tensor,
        targets: Sequence[Targets],
        doubtful: Sequence[Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Class, box, quality and mask losses (methods.md 5.2); all weights 1.

        Box losses are averaged over positive locations, the mask loss over the sampled ones.
        `pixel_weight` enters the three sums of the dice, `instance_weight` multiplies it. Central
        locations of `doubtful` boxes are not taught to be background.
        """
        out = self(images)
        found = find_positives(out.locations, targets)
        taught = None if doubtful is None else ~doubted(out.locations, doubtful)
        losses = self._detection_losses(out, found, taught)
        if all(t.masks is not None for t in targets):
            losses["mask"] = self._mask_loss(self._sample(out, found), targets)
        return losses

    def teach_boxes(self, images: Tensor, targets: Sequence[Targets]) -> Taught:
        """Class, box and quality losses, and up to `max_instances` positives per image."""
        out = self(images)
        found = find_positives(out.locations, [replace(t, masks=None) for t in targets])
        losses = self._detection_losses(out, found)
        return Taught(losses, self._sample(out, found), out.mask_features)

    @torch.no_grad()
    def propose(
        self, images: Tensor, targets: Sequence[Targets], wanted: Wanted = Wanted.BEST
    ) -> Proposed:
        """Proposals of every image; `max_detections` after suppression, else as many as there are.

        Of the places assigned to targets, at most `max_instances` per image, as in training.
        """
        out = self(images)
        quality, center = out.scores()
        owners, _ = owners_of(out.locations, [replace(t, masks=None) for t in targets])
        found = []
        for b, target in enumerate(targets):
            if wanted is Wanted.ASSIGNED:
                places = (owners[b] >= 0).nonzero()[:, 0]
                best = quality[b, places].amax(-1) * center[b, places]
                places = places[spread_evenly(owners[b, places], best, self.config.max_instances)]
                labels = target.labels[owners[b, places]]
            else:
                places, labels = self._select(out, b, suppress=wanted is Wanted.BEST)
            found.append(self._proposals(out, b, places, labels, owners[b, places]))

        def draw(images: Tensor, places: Tensor) -> Tensor:
            return self._draw(out, images, places)[0]

        return Proposed(found, out.mask_features, draw)

    @torch.no_grad()
    def predict(self, images: Tensor, *, one_class_each: bool = False) -> list[Predictions]:
        """Up to `max_detections` candidates per image after class-wise non-maximum suppression.

        A location is a candidate for every class whose probability times box quality is above
        `score_floor`.
        """
        out = self(images)
        nobody = torch.full((len(out.locations.points),), -1, device=images.device)
        found = []
        for b in range(len(images)):
            places, labels = self._select(out, b, suppress=True)
            if one_class_each:
                own = out.class_logits[b, places].argmax(dim=1) == labels
                places, labels = places[own], labels[own]
            found.append(self._proposals(out, b, places, labels, nobody[places]))
        image_of = torch.cat([torch.full_like(one.places, b) for b, one in enumerate(found)])
        places = torch.cat([one.places for one in found])
        height, width = images.shape[-2:]
        cells = self._draw(out, image_of, places)[0].float()
        drawn = enlarged(cells, self.mask_stride)[:, :height, :width]
        return [
            Predictions(
                boxes=one.boxes,
                scores=one.scores,
                labels=one.labels,
                class_quality=one.class_quality,
                class_logits=one.class_logits,
                mask_logits=logits,
            )
            for one, logits in zip(found, drawn.split([len(one) for one in found]), strict=True)
        ]

    def _detection_losses(
        self, out: Outputs, found: Positives, taught: Tensor | None = None
    ) -> dict[str, Tensor]:
        return detection_losses(
            out,
            found,
            quality=self.config.box_quality,
            class_loss=self.config.class_loss,
            taught=taught,
        )

    def _sample(self, out: Outputs, found: Positives) -> MaskSamples:
        """Up to `max_instances` positives per image, shared evenly among its targets."""
        with torch.no_grad():
            quality, center = out.scores()
            score = quality[found.images, found.places].amax(-1)
            score = score * center[found.images, found.places]
            picked = [
                mine[spread_evenly(found.targets[mine], score[mine], self.config.max_instances)]
                for b in range(len(out.class_logits))
                for mine in [(found.images == b).nonzero()[:, 0]]
                if len(mine)
            ]
            rows = torch.cat([found.images.new_zeros(0), *picked])
        images = found.images[rows]
        logits, depth_logits = self._draw(out, images, found.places[rows])
        return MaskSamples(logits, images, found.targets[rows], depth_logits)

    def _draw(self, out: Outputs, images: Tensor, places: Tensor) -> tuple[Tensor, Tensor | None]:
        """(N,), (N,) -> (N, 2h, 2w) mask logits at half the stride of the features, and depth.

        Without any instance the logits still hang on the graph, empty as they are.
        """
        given = (
            out.mask_features,
            images,
            out.controller.at(images, places).float(),
            out.locations.points[places],
            out.locations.sizes_of_interest[places],
            self.arch.mask_stride,
        )
        return (
            depth_guided_masks(*given) if self.arch.depth_layer else (dynamic_masks(*given), None)
        )

    def _mask_loss(self, samples: MaskSamples, targets: Sequence[Targets]) -> Tensor:
        count = ranks.normaliser(len(samples))
        if len(samples) == 0:
            return samples.logits.sum()
        masks = _sampled([t.masks for t in targets], samples.targets, self.mask_stride)
        weights = None
        if any(t.pixel_weight is not None for t in targets):
            weights = _sampled(
                [_pixel_weight(t) for t in targets], samples.targets, self.mask_stride
            )
        dice = squared_dice(samples.logits.sigmoid(), masks, weights)
        if any(t.instance_weight is not None for t in targets):
            dice = dice * torch.cat([_instance_weight(t) for t in targets])[samples.targets]
        return dice.sum() / count

    def _select(self, out: Outputs, image: int, *, suppress: bool) -> tuple[Tensor, Tensor]:
        """Candidates of one image, best first: (N,) location and (N,) label."""
        quality, center = out.class_logits[image].sigmoid(), out.quality_logits[image].sigmoid()
        joint = quality * center[:, None]
        places, labels = (joint > self.config.score_floor).nonzero(as_tuple=True)
        score = joint[places, labels]
        if len(score) > PRE_NMS:
            keep = _best_per_level(score, out.locations.levels[places])
            places, labels, score = places[keep], labels[keep], score[keep]
        if not suppress:
            order = score.argsort(descending=True, stable=True)
            return places[order], labels[order]
        boxes = _boxes(out, image, places)
        keep = batched_nms(boxes, score.sqrt(), labels, self.config.nms_threshold)
        keep = keep[: self.config.max_detections]
        return places[keep], labels[keep]

    def _proposals(
        self, out: Outputs, image: int, places: Tensor, labels: Tensor, owners: Tensor
    ) -> Proposals:
        class_logits = out.class_logits[image, places]
        class_quality = class_logits.gather(1, labels[:, None])[:, 0].sigmoid()
        center = out.quality_logits[image, places].sigmoid()
        return Proposals(
            boxes=_boxes(out, image, places),
            scores=(class_quality * center).sqrt(),
            labels=labels,
            class_quality=class_quality,
            class_logits=class_logits,
            places=places,
            levels=out.locations.levels[places],
            owners=owners,
        )


def _backbone_of(config: CondInstConfig) -> Backbone | SwinBackbone:
    if config.preset == "swin_t" or config.preset == "swin_b":
        return build_swin(config.preset, config.freeze_stages)
    pretrained = config.backbone_weights is not None
    return build_backbone(config.preset, config.width, config.freeze_stages, pretrained=pretrained)


def _boxes(out: Outputs, image: int, places: Tensor) -> Tensor:
    distances = out.distances[image, places] * out.locations.strides[places, None]
    return decode_boxes(out.locations.points[places], distances)


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
    return torch.cat([sampled(m, stride) for m in maps if m is not None])[owners]


def _best_per_level(score: Tensor, levels: Tensor) -> Tensor:
    """Indices of the PRE_NMS best scores of each level."""
    kept = []
    for level in levels.unique():
        on_level = (levels == level).nonzero()[:, 0]
        kept.append(on_level[score[on_level].topk(min(PRE_NMS, len(on_level))).indices])
    return torch.cat(kept)
