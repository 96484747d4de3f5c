"""Mask2Former's criterion (arXiv:2112.01527) with weights per pixel and per instance.

    pack_targets -> match -> important_points -> set_losses

Every layer of the decoder is matched on its own. Masks are compared at points: uniform ones for
the costs, mostly undecided ones for the losses. Tensors in, tensors out; all sums in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from engine import ranks
from engine.instances import Targets
from engine.losses.dice import smooth_dice
from engine.losses.matching import Pairs, TermWeights, assign, pair_costs
from engine.losses.points import sample_points, uncertain_points


@dataclass(frozen=True)
class PackedTargets:
    """The T objects of B images of one size, one after the other."""

    counts: tuple[int, ...]
    """Objects per image."""
    labels: Tensor
    """(T,) int64."""
    maps: Tensor
    """(T, 1, H, W) float masks, or (T, 2, H, W): masks and pixel weights."""
    instance_weight: Tensor | None
    """(T,); None = 1."""

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class LayerLosses:
    """Losses of L layers before their weights, first layer first. All (L,) float32."""

    classes: Tensor
    pixels: Tensor
    overlap: Tensor

    def weighted(self, weights: TermWeights) -> dict[str, Tensor]:
        """The last layer's three terms, and all terms of the others as "aux"."""
        terms = {
            "class": weights.classes * self.classes,
            "mask": weights.pixels * self.pixels,
            "dice": weights.overlap * self.overlap,
        }
        others = torch.stack(list(terms.values()))[:, :-1].sum()
        return {**{name: term[-1] for name, term in terms.items()}, "aux": others}


def pack_targets(targets: Sequence[Targets]) -> PackedTargets:
    """Raises ValueError when an image has boxes but no masks: this criterion compares masks."""
    masks = [t.masks for t in targets if t.masks is not None]
    if len(masks) < len(targets):
        raise ValueError("host mask2former: a target without masks; boxes alone cannot be matched")
    maps = torch.cat(masks).float()[:, None]
    if any(t.pixel_weight is not None for t in targets):
        weights = [_pixel_weight(t) for t in targets]
        maps = torch.cat([maps, torch.cat(weights)[:, None]], dim=1)
    weight = None
    if any(t.instance_weight is not None for t in targets):
        weight = torch.cat([_instance_weight(t) for t in targets])
    counts = tuple(len(t) for t in targets)
    return PackedTargets(counts, torch.cat([t.labels for t in targets]), maps, weight)


@torch.no_grad()
def match(
    class_logits: Tensor,
    mask_logits: Sequence[Tensor],
    targets: PackedTargets,
    points: Tensor,
    weights: TermWeights,
) -> Pairs:
    """Match every layer's queries to the objects. No weight of a pixel or instance enters.

    Args:
        class_logits: (L, B, Q, C + 1), "no object" last.
        mask_logits: L tensors (B, Q, h, w).
        targets: of the B images.
        points: (B, P, 2) uniform points, shared by all masks and layers of an image.
    """
    if len(targets) == 0:
        return Pairs.none(len(mask_logits), points.device)
    with torch.autocast(points.device.type, enabled=False):
        labels, wanted = _padded(targets, points)
        costs = [
            pair_costs(classes, sample_points(masks.float(), points), labels, wanted, weights)
            for classes, masks in zip(class_logits, mask_logits, strict=True)
        ]
    return assign(costs, targets.counts)


def matched_logits(mask_logits: Sequence[Tensor], pairs: Pairs) -> Tensor:
    """Mask logits of the matched queries of L layers. L x (B, Q, h, w) -> (L, S, h, w) float32."""
    chosen = [
        masks[pairs.images, queries]
        for masks, queries in zip(mask_logits, pairs.queries, strict=True)
    ]
    return torch.stack(chosen).float()


def important_points(
    matched: Tensor,
    number: int,
    oversample: float = 3.0,
    importance: float = 0.75,
    rows: ranks.Rows | None = None,
) -> Tensor:
    """Points for the losses, layer by layer to save memory. (L, S, h, w) -> (L, S, P, 2)."""
    return torch.stack([uncertain_points(m, number, oversample, importance, rows) for m in matched])


def set_losses(
    class_logits: Tensor,
    matched: Tensor,
    targets: PackedTargets,
    pairs: Pairs,
    points: Tensor,
    *,
    no_object: float = 0.1,
    ignored: Tensor | None = None,
    num_masks: float | None = None,
) -> LayerLosses:
    """The three losses of every layer.

    Pixel weights multiply the cross-entropy of points, not the dice (PL-DC Eq. 11). Instance
    weights multiply both mask losses. Neither enters the class loss.

    Args:
        class_logits: (L, B, Q, C + 1), "no object" last.
        matched: (L, S, h, w) mask logits of the pairs.
        targets: of the B images.
        pairs: what `match` found.
        points: (L, S, P, 2).
        no_object: weight of "no object" in the class loss.
        ignored: (L, B, Q) bool; unmatched queries that are not taught to be "no object".
        num_masks: what mask losses are divided by; None = the number of objects. At least 1.
    """
    with torch.autocast(class_logits.device.type, enabled=False):
        count = ranks.normaliser(float(len(targets)) if num_masks is None else num_masks)
        pixels, overlap = _mask_losses(matched, targets, pairs, points)
        classes = class_losses(class_logits, targets.labels, pairs, no_object, ignored)
        return LayerLosses(classes, pixels.sum(1) / count, overlap.sum(1) / count)


def class_losses(
    class_logits: Tensor,
    labels: Tensor,
    pairs: Pairs,
    no_object: float,
    ignored: Tensor | None = None,
) -> Tensor:
    """Weighted mean cross-entropy over the queries of a layer. (L, B, Q, C + 1) -> (L,)."""
    layers, background = len(class_logits), class_logits.shape[3] - 1
    wanted = labels.new_full(class_logits.shape[:3], background)
    layer = torch.arange(layers, device=labels.device)[:, None]
    wanted[layer, pairs.images, pairs.queries] = labels[pairs.targets]
    loss = functional.cross_entropy(
        class_logits.float().flatten(0, 2), wanted.flatten(), reduction="none"
    )
    empty = wanted == background
    weight = torch.ones_like(empty, dtype=torch.float32).masked_fill(empty, no_object)
    if ignored is not None:
        weight = weight.masked_fill(empty & ignored, 0)
    total = (loss.view(empty.shape) * weight).sum(dim=(1, 2))
    return total / ranks.normaliser(weight.sum(dim=(1, 2)), torch.finfo(torch.float32).tiny)


def _mask_losses(
    matched: Tensor, targets: PackedTargets, pairs: Pairs, points: Tensor
) -> tuple[Tensor, Tensor]:
    """Cross-entropy and dice of every pair. -> (L, S), (L, S)"""
    layers, count = matched.shape[:2]
    if count == 0:
        nothing = matched.sum(dim=(2, 3)) + 0
        return nothing, nothing
    logits = sample_points(matched.flatten(0, 1), points.flatten(0, 1))
    wanted = _at_points(targets.maps, pairs, points).flatten(0, 1)
    loss = functional.binary_cross_entropy_with_logits(logits, wanted[:, 0], reduction="none")
    if wanted.shape[1] == 2:
        loss = loss * wanted[:, 1]
    pixels, overlap = loss.mean(dim=1), smooth_dice(logits.sigmoid(), wanted[:, 0])
    if targets.instance_weight is not None:
        weight = targets.instance_weight[pairs.targets].flatten()
        pixels, overlap = pixels * weight, overlap * weight
    return pixels.view(layers, count), overlap.view(layers, count)


@torch.no_grad()
def _at_points(maps: Tensor, pairs: Pairs, points: Tensor) -> Tensor:
    """The objects' maps at the points of their pairs. -> (L, S, K, P)"""
    layers, count, number = points.shape[:3]
    if count == len(maps):
        # Every object has its query in every layer, in order: no map is copied.
        grouped = points.transpose(0, 1).flatten(1, 2)
        values = sample_points(maps, grouped).view(count, -1, layers, number)
        return values.permute(2, 0, 1, 3)
    chosen = zip(pairs.targets, points, strict=True)
    return torch.stack([sample_points(maps[rows], where) for rows, where in chosen])


def _padded(targets: PackedTargets, points: Tensor) -> tuple[Tensor, Tensor]:
    """Labels (B, N) and masks at points (B, N, P), N the most objects of an image."""
    images, most = len(points), max(targets.counts)
    labels = targets.labels.new_zeros(images, most)
    wanted = points.new_zeros(images, most, points.shape[1])
    start = 0
    for image, count in enumerate(targets.counts):
        own = slice(start, start + count)
        labels[image, :count] = targets.labels[own]
        wanted[image, :count] = sample_points(targets.maps[None, own, 0], points[image, None])[0]
        start += count
    return labels, wanted


def _pixel_weight(target: Targets) -> Tensor:
    if target.pixel_weight is not None:
        return target.pixel_weight.float()
    assert target.masks is not None
    return torch.ones_like(target.masks, dtype=torch.float32)


def _instance_weight(target: Targets) -> Tensor:
    if target.instance_weight is not None:
        return target.instance_weight.float()
    return torch.ones_like(target.labels, dtype=torch.float32)
