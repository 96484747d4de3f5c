"""The losses of FCOS: which locations are positive, and class, box and quality of those."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

from engine import ranks
from engine.instances import Targets
from engine.losses.box import centerness, distance_giou
from engine.losses.varifocal import varifocal_loss
from engine.models.fcos import Locations, are_central, assign, box_centers, mask_centers


@dataclass(frozen=True)
class Positives:
    """The P positive locations of B images, image by image."""

    positive: Tensor
    """(B, L) bool."""
    images: Tensor
    """(P,)"""
    places: Tensor
    """(P,) location."""
    targets: Tensor
    """(P,) counting through the targets of the whole batch."""
    labels: Tensor
    """(P,)"""
    distances: Tensor
    """(P, 4) to the sides of the target's box, in strides of the location."""


@dataclass(frozen=True)
class Detections:
    """What a network says about B images at their L locations, as far as boxes are concerned."""

    class_logits: Tensor
    """(B, L, K)"""
    distances: Tensor
    """(B, L, 4) to the box sides, in strides."""
    quality_logits: Tensor
    """(B, L) centerness, or IoU of the predicted box."""


def owners_of(locations: Locations, targets: Sequence[Targets]) -> tuple[Tensor, Tensor]:
    """The target each location must find: (B, L) index, -1 = none; (B, L, 4) pixels to its box.

    Around the centre of mass where masks are known, else around the centre of the box.
    """
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


def find_positives(locations: Locations, targets: Sequence[Targets]) -> Positives:
    owner, distances = owners_of(locations, targets)
    positive = owner >= 0
    images, places = positive.nonzero(as_tuple=True)
    of_batch = (owner + _offsets(targets, owner.device)[:, None])[positive]
    return Positives(
        positive,
        images,
        places,
        of_batch,
        torch.cat([t.labels for t in targets])[of_batch],
        distances[positive] / locations.strides[places, None],
    )


def detection_losses(
    said: Detections,
    found: Positives,
    *,
    quality: Literal["centerness", "iou"] = "centerness",
    class_loss: Literal["focal", "varifocal"] = "focal",
    taught: Tensor | None = None,
) -> dict[str, Tensor]:
    """Class, box and quality losses (methods.md 5.2), each over the number of positives.

    With centerness, the box loss is weighted by it. With IoU, the quality branch learns the IoU of
    the predicted box, and the box loss is a plain mean.

    Args:
        taught: (B, L) bool, False where a location is not taught that nothing is there.
    """
    count = ranks.normaliser(found.positive.sum())
    iou, giou = distance_giou(said.distances[found.positive], found.distances)
    classes = _class_losses(said.class_logits, found, iou.detach(), class_loss)
    if taught is not None:
        classes = classes * (found.positive | taught)[..., None]
    if quality == "centerness":
        wanted = centerness(found.distances)
        box = ((1 - giou) * wanted).sum() / ranks.normaliser(wanted.sum(), 1e-6)
    else:
        wanted = iou.detach()
        box = (1 - giou).sum() / count
    quality_loss = functional.binary_cross_entropy_with_logits(
        said.quality_logits[found.positive], wanted, reduction="sum"
    )
    name = "center" if quality == "centerness" else "iou"
    return {"class": classes.sum() / count, "box": box, name: quality_loss / count}


def doubted(locations: Locations, boxes: Sequence[Tensor]) -> Tensor:
    """Which locations of each image are central in one of its boxes. -> (B, L) bool"""
    return torch.stack([are_central(locations, one, box_centers(one)).any(dim=1) for one in boxes])


def _class_losses(
    logits: Tensor, found: Positives, iou: Tensor, kind: Literal["focal", "varifocal"]
) -> Tensor:
    wanted = torch.zeros_like(logits)
    if kind == "focal":
        wanted[found.images, found.places, found.labels] = 1
        return sigmoid_focal_loss(logits, wanted, 0.25, 2.0)
    wanted[found.images, found.places, found.labels] = iou
    return varifocal_loss(logits, wanted)


def _offsets(targets: Sequence[Targets], device: torch.device) -> Tensor:
    """Where each image's targets start in the concatenation of all. -> (B,)"""
    counts = torch.tensor([0, *(len(t) for t in targets)][:-1], device=device)
    return counts.cumsum(0)
