"""Host `mask2former`: queries that look for one object each, and attend to where they saw it.

The network is the transformers library's (arXiv:2112.01527), the criterion is ours
(engine/losses/set_criterion.py). Scores: class quality is the softmax probability with "no object"
in the denominator; the ranking score is class times mask quality.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.instances import Predictions, Targets
from engine.losses.matching import Pairs, TermWeights, lie_in_boxes
from engine.losses.points import uniform_points
from engine.losses.set_criterion import (
    PackedTargets,
    important_points,
    match,
    matched_logits,
    pack_targets,
    set_losses,
)
from engine.models.mask2former_checkpoints import load_backbone, load_network
from engine.models.mask2former_parts import architecture, build_decoders, build_features
from engine.pseudo_labels.quality import mask_quality
from lab.config import Mask2FormerConfig


@dataclass(frozen=True)
class Outputs:
    """What Q queries say about B images before the first and after each decoder layer."""

    class_logits: Tensor
    """(L, B, Q, C + 1), "no object" last."""
    mask_logits: tuple[Tensor, ...]
    """L tensors (B, Q, H / 4, W / 4)."""


class Mask2Former(nn.Module):
    """The network with its losses and its predictions: a Segmenter."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: Mask2FormerConfig, num_classes: int) -> None:
        super().__init__()
        self.config = config
        self.num_classes = num_classes
        self.arch = architecture(config)
        self.weights = TermWeights(config.class_weight, config.mask_weight, config.dice_weight)
        self.backbone = build_features(config, self.arch)
        self.pixel_decoder, self.transformer = build_decoders(self.arch, self.backbone.channels)
        self.class_head = nn.Linear(self.arch.channels, num_classes + 1)
        for name in ("mean", "std"):
            values = torch.tensor(getattr(self.arch, name)).view(3, 1, 1)
            self.register_buffer(name, values, persistent=False)
        if config.weights is not None:
            load_network(self, config.weights)
        if config.backbone_weights is not None:
            load_backbone(self.backbone.body, config.backbone_weights)

    @property
    def module(self) -> nn.Module:
        return self

    def train(self, mode: bool = True) -> Mask2Former:
        """Without dropout an encoder layer in training mode only looks for infinities, which
        waits for the device; so these layers stay in evaluation mode."""
        super().train(mode)
        self.pixel_decoder.encoder.eval()
        return self

    def forward(self, images: Tensor) -> Outputs:
        features = self.backbone((images - self.mean) / self.std)
        pixels = self.pixel_decoder(list(features.values()))
        decoded = self.transformer(pixels.multi_scale_features, pixels.mask_features)
        queries = torch.stack(decoded.intermediate_hidden_states).transpose(1, 2)
        return Outputs(self.class_head(queries).float(), decoded.masks_queries_logits)

    def losses(
        self,
        images: Tensor,
        targets: Sequence[Targets],
        doubtful: Sequence[Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Class, mask and dice loss of the last layer, and all of the others' as "aux".

        `pixel_weight` multiplies the cross-entropy of mask points, `instance_weight` both mask
        losses. Queries whose mask lies on a `doubtful` box are not taught to be "no object".
        Without any target every query is taught that, as in the authors' code.
        """
        out = self(images)
        objects = pack_targets(targets)
        points = uniform_points(len(images), self.arch.num_points, images.device)
        pairs = self.match(out, objects, points)
        matched = matched_logits(out.mask_logits, pairs)
        where = important_points(
            matched, self.arch.num_points, self.config.oversample, self.config.importance
        )
        ignored = None
        if doubtful is not None:
            boxes = _relative_boxes(doubtful, images.shape[-2:])
            ignored = torch.stack([lie_in_boxes(m, boxes, points) for m in out.mask_logits])
        return set_losses(
            out.class_logits,
            matched,
            objects,
            pairs,
            where,
            no_object=self.config.no_object,
            ignored=ignored,
        ).weighted(self.weights)

    def match(self, out: Outputs, objects: PackedTargets, points: Tensor) -> Pairs:
        """The query of each layer that answers for each object, by costs at these points."""
        return match(out.class_logits, out.mask_logits, objects, points, self.weights)

    @torch.no_grad()
    def predict(self, images: Tensor, *, one_class_each: bool = False) -> list[Predictions]:
        """The `max_detections` most probable (query, class) pairs of each image, best first.

        A query can answer under several classes, as the authors evaluate it. With
        `one_class_each` those pairs are left out in which it is not the query's best class.
        """
        out = self(images)
        logits = out.class_logits[-1]
        probs = logits.softmax(dim=2)[..., :-1]
        size = images.shape[-2:]
        masks = out.mask_logits[-1].float()
        return [
            self._rank(probs[b], logits[b, :, :-1], masks[b], size, one_class_each)
            for b in range(len(images))
        ]

    def _rank(
        self, probs: Tensor, logits: Tensor, masks: Tensor, size: torch.Size, one_class_each: bool
    ) -> Predictions:
        """One image: (Q, C) probabilities and logits, (Q, h, w) mask logits."""
        masks = functional.interpolate(
            masks[None], size=tuple(size), mode="bilinear", align_corners=False
        )[0]
        count = min(self.config.max_detections, probs.numel())
        quality, pairs = probs.flatten().topk(count)
        queries, labels = pairs // self.num_classes, pairs % self.num_classes
        if one_class_each:
            own = logits[queries].argmax(dim=1) == labels
            quality, queries, labels = quality[own], queries[own], labels[own]
        scores = quality * mask_quality(masks)[queries]
        order = scores.argsort(descending=True, stable=True)
        queries = queries[order]
        return Predictions(
            boxes=mask_boxes(masks > 0)[queries],
            scores=scores[order],
            labels=labels[order],
            class_quality=quality[order],
            class_logits=logits[queries],
            mask_logits=masks[queries],
        )


def mask_boxes(masks: Tensor) -> Tensor:
    """The tight box of each mask; all 0 where a mask is empty. (N, H, W) bool -> (N, 4) XYXY."""
    sides = []
    for axis in (1, 2):
        touched = masks.any(dim=axis).int()
        length = touched.shape[1]
        some = touched.amax(dim=1)
        sides.append(
            (touched.argmax(dim=1) * some, (length - touched.flip(1).argmax(dim=1)) * some)
        )
    (left, right), (top, bottom) = sides
    return torch.stack([left, top, right, bottom], dim=1).float()


def _relative_boxes(boxes: Sequence[Tensor], size: torch.Size) -> Tensor:
    """Boxes in pixels -> shares of width and height, padded with empty ones. -> (B, K, 4)"""
    height, width = size
    padded = nn.utils.rnn.pad_sequence(list(boxes), batch_first=True)
    return padded / padded.new_tensor([width, height, width, height])
