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

from engine import ranks
from engine.box_host import MaskSamples, Proposed, Taught, Wanted
from engine.checkpoint import asked_for_by
from engine.instances import Predictions, Targets
from engine.losses.box_mask import box_of_mask
from engine.losses.box_matching import BoxWeights, match_boxes
from engine.losses.matching import Pairs, TermWeights, lie_in_boxes
from engine.losses.points import uniform_points
from engine.losses.set_criterion import (
    PackedTargets,
    class_losses,
    important_points,
    match,
    matched_logits,
    pack_targets,
    set_losses,
)
from engine.models.mask2former_checkpoints import load_backbone, load_network
from engine.models.mask2former_parts import architecture, build_decoders, build_features
from engine.models.query_proposals import probable_pairs, read_queries
from engine.pseudo_labels.quality import mask_quality
from lab.config import Mask2FormerConfig


@dataclass(frozen=True)
class Outputs:
    """What Q queries say about B images before the first and after each decoder layer."""

    class_logits: Tensor
    """(L, B, Q, C + 1), "no object" last."""
    mask_logits: tuple[Tensor, ...]
    """L tensors (B, Q, H / 4, W / 4)."""
    mask_features: Tensor
    """(B, C, H / 4, W / 4): mask logits are the queries' products with them."""

    @property
    def num_queries(self) -> int:
        return self.class_logits.shape[2]

    @property
    def coarse_features(self) -> Tensor:
        """(B, C, H / 8, W / 8). Means, because products are linear: of them the mean logits."""
        return functional.avg_pool2d(self.mask_features, 2)


class Mask2Former(nn.Module):
    """The network with its losses and its predictions: a Segmenter and a BoxHost."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: Mask2FormerConfig, num_classes: int) -> None:
        super().__init__()
        self.config = config
        self.num_classes = num_classes
        self.arch = architecture(config)
        self.weights = TermWeights(config.class_weight, config.mask_weight, config.dice_weight)
        self.box_weights = BoxWeights(config.class_weight, config.box_weight)
        self.backbone = build_features(config, self.arch)
        self.pixel_decoder, self.transformer = build_decoders(self.arch, self.backbone.channels)
        self.class_head = nn.Linear(self.arch.channels, num_classes + 1)
        for name in ("mean", "std"):
            values = torch.tensor(getattr(self.arch, name)).view(3, 1, 1)
            self.register_buffer(name, values, persistent=False)
        if config.weights is not None:
            with asked_for_by("host.weights", config.weights):
                load_network(self, config.weights)
        if config.backbone_weights is not None:
            with asked_for_by("host.backbone_weights", config.backbone_weights):
                load_backbone(self.backbone.body, config.backbone_weights)

    @property
    def module(self) -> nn.Module:
        return self

    @property
    def mask_stride(self) -> int:
        return 4

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
        classes = self.class_head(queries).float()
        return Outputs(classes, decoded.masks_queries_logits, pixels.mask_features)

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
        number = self.arch.num_points
        rows = ranks.image_rows(len(images))
        points = uniform_points(len(images), number, images.device, rows)
        pairs = self.match(out, objects, points)
        matched = matched_logits(out.mask_logits, pairs)
        rows = ranks.rows_of([min(count, out.num_queries) for count in objects.counts])
        where = important_points(
            matched, number, self.config.oversample, self.config.importance, rows
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

    def teach_boxes(self, images: Tensor, targets: Sequence[Targets]) -> Taught:
        """The class loss of the last layer and those of the others as "aux", and the matched
        query of every target in every layer, layer by layer: all of them are taught."""
        out = self(images)
        pairs = self.match_boxes(out, targets)
        labels = torch.cat([one.labels for one in targets])
        classes = self.config.class_weight * class_losses(
            out.class_logits, labels, pairs, self.config.no_object
        )
        layers = len(out.mask_logits)
        samples = MaskSamples(
            matched_logits(out.mask_logits, pairs).flatten(0, 1),
            pairs.images.repeat(layers),
            pairs.targets.flatten(),
        )
        losses = {"class": classes[-1], "aux": classes[:-1].sum()}
        return Taught(losses, samples, out.coarse_features, layers)

    def match_boxes(self, out: Outputs, targets: Sequence[Targets]) -> Pairs:
        """The query of each layer that answers for each box, by class and by shadows."""
        return match_boxes(
            out.class_logits, out.mask_logits, targets, self.mask_stride, self.box_weights
        )

    @torch.no_grad()
    def propose(
        self, images: Tensor, targets: Sequence[Targets], wanted: Wanted = Wanted.BEST
    ) -> Proposed:
        """(query, class) pairs of the last layer; no suppression, a query is told to be alone.

        Boxes are those of the masks. Scores are class times mask quality, as `predict` has them;
        here the quality is a mean over cells, there over pixels.
        """
        out = self(images)
        last = Outputs(out.class_logits[-1:], out.mask_logits[-1:], out.mask_features)
        masks, owners = last.mask_logits[0].float(), self._owners(last, targets)
        queries = read_queries(last.class_logits[0], masks, owners, self.mask_stride)
        floor, most = self.config.score_floor, self.config.max_detections
        found = [
            one.propose(wanted, target.labels, floor, most)
            for one, target in zip(queries, targets, strict=True)
        ]

        def draw(images: Tensor, places: Tensor) -> Tensor:
            return masks[images, places]

        return Proposed(found, out.coarse_features, draw)

    def _owners(self, out: Outputs, targets: Sequence[Targets]) -> Tensor:
        """Which target of its image each query of the only layer has to find. -> (B, Q)"""
        pairs = self.match_boxes(out, targets)
        sizes = [0, *(len(one) for one in targets)]
        starts = torch.tensor(sizes, device=pairs.images.device).cumsum(0)
        owners = pairs.images.new_full(out.class_logits.shape[1:3], -1)
        owners[pairs.images, pairs.queries[0]] = pairs.targets[0] - starts[pairs.images]
        return owners

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
        queries, labels = probable_pairs(probs, self.config.max_detections)
        if one_class_each:
            own = logits[queries].argmax(dim=1) == labels
            queries, labels = queries[own], labels[own]
        quality = probs[queries, labels]
        scores = quality * mask_quality(masks)[queries]
        order = scores.argsort(descending=True, stable=True)
        queries = queries[order]
        return Predictions(
            boxes=box_of_mask(masks > 0)[queries],
            scores=scores[order],
            labels=labels[order],
            class_quality=quality[order],
            class_logits=logits[queries],
            mask_logits=masks[queries],
        )


def _relative_boxes(boxes: Sequence[Tensor], size: torch.Size) -> Tensor:
    """Boxes in pixels -> shares of width and height, padded with empty ones. -> (B, K, 4)"""
    height, width = size
    padded = nn.utils.rnn.pad_sequence(list(boxes), batch_first=True)
    return padded / padded.new_tensor([width, height, width, height])
