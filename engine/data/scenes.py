"""Images with objects pasted into them: what is hidden stays consistent in boxes and masks.

An object that is pasted hides what lies under it, in all views of the image alike. Masks live on
the grid of the mask logits, whose cell (y, x) samples pixel (y * stride + stride // 2, ...).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from engine.cells import enlarged, sampled
from engine.instances import Targets
from engine.interfaces import LabeledBatch
from engine.losses.box_mask import box_of_mask, fill_boxes


@dataclass(frozen=True)
class Scene:
    """One image as the student will see it, and what is known of its N objects."""

    views: tuple[Tensor, ...]
    """V times (3, H, W) in [0, 1]: the same image, perturbed in V ways."""
    size: tuple[int, int]
    """Rows and columns that show the image; the rest is padding."""
    boxes: Tensor
    """(N, 4) XYXY pixels."""
    labels: Tensor
    """(N,)"""
    masks: Tensor
    """(N, H / stride, W / stride) mask probabilities, 0 outside the box."""
    quality: Tensor
    """(N,) how good the masks are; 0 = there is none."""
    pasted: Tensor
    """(N,) bool, whether it comes from another image."""

    @property
    def stride(self) -> int:
        """Pixels per cell of the masks."""
        return self.views[0].shape[1] // self.masks.shape[1]

    def targets(self) -> Targets:
        """Boxes and classes alone."""
        return Targets(self.boxes, self.labels)

    def kept(self, rows: Tensor) -> Scene:
        """The same image with some of its objects forgotten. (N,) bool"""
        return replace(
            self,
            boxes=self.boxes[rows],
            labels=self.labels[rows],
            masks=self.masks[rows],
            quality=self.quality[rows],
            pasted=self.pasted[rows],
        )


@dataclass(frozen=True)
class Cutout:
    """One object, cut out of its image along its mask."""

    views: Tensor
    """(V, 3, h, w) uint8: memory banks hold many."""
    mask: Tensor
    """(h, w) bool"""
    label: int
    quality: float
    left: int = 0
    top: int = 0
    """Pixel of its own image where its corner is."""


def scenes_of(
    batch: LabeledBatch,
    masks: Sequence[Tensor],
    quality: Sequence[Tensor],
    *,
    strongly: bool = True,
) -> list[Scene]:
    """Each image of a batch, seen weakly and perhaps strongly, with pseudo masks of its targets.

    Args:
        masks: per image (N, h, w) probabilities, 0 outside the boxes.
        quality: per image (N,).
        strongly: two views of each; off = the weak one alone.
    """
    seen = (batch.weak, batch.strong) if strongly else (batch.weak,)
    views = list(zip(*seen, strict=True))
    return [
        Scene(
            views=views[image],
            size=(view.height, view.width),
            boxes=target.boxes,
            labels=target.labels,
            masks=masks[image],
            quality=quality[image],
            pasted=torch.zeros_like(target.labels, dtype=torch.bool),
        )
        for image, (view, target) in enumerate(zip(batch.geometry, batch.targets, strict=True))
    ]


def cut_out(scene: Scene, rows: Sequence[int], threshold: float = 0.5) -> list[Cutout]:
    """Some objects of a scene with all that lies in their boxes; masks where p > threshold."""
    if not rows:
        return []
    index = torch.tensor(list(rows), device=scene.boxes.device)
    height, width = scene.views[0].shape[1:]
    boxes = scene.boxes[index]
    drawn = enlarged(scene.masks[index], scene.stride)[:, :height, :width]
    masks = (drawn > threshold) & fill_boxes(boxes, height, width)
    edges = box_of_mask(masks).long().tolist()
    labels, quality = scene.labels[index].tolist(), scene.quality[index].tolist()
    return [
        Cutout(
            torch.stack([_as_bytes(view[:, y1:y2, x1:x2]) for view in scene.views]),
            masks[i, y1:y2, x1:x2].clone(),
            labels[i],
            quality[i],
            left=x1,
            top=y1,
        )
        for i, (x1, y1, x2, y2) in enumerate(edges)
    ]


def paste(
    scene: Scene, cutout: Cutout, left: int, top: int, *, min_pixels: int, max_moved: float
) -> Scene | None:
    """The scene with an object in front, its last; what lies beyond the image is cut away.

    The others lose what is hidden. One stays when its mask keeps more than `min_pixels` pixels, or
    when no side of its box moved more than `max_moved` of them.

    Args:
        left, top: pixel where the cutout's corner goes; may be negative.

    Returns:
        None when no more than `min_pixels` pixels of the object lie in the image.
    """
    cover = _placed(cutout.mask.to(scene.boxes.device), left, top, scene)
    if int(cover.sum()) <= max(0, min_pixels):
        return None
    hidden = uncovered(scene, cover, min_pixels=min_pixels, max_moved=max_moved)
    in_front = sampled(cover[None], scene.stride)[0]
    return Scene(
        views=_painted(scene, cutout, left, top, cover),
        size=scene.size,
        boxes=torch.cat([hidden.boxes, box_of_mask(cover[None])]),
        labels=torch.cat([hidden.labels, hidden.labels.new_tensor([cutout.label])]),
        masks=torch.cat([hidden.masks, in_front[None].to(hidden.masks)]),
        quality=torch.cat([hidden.quality, hidden.quality.new_tensor([cutout.quality])]),
        pasted=torch.cat([hidden.pasted, hidden.pasted.new_ones(1)]),
    )


def uncovered(scene: Scene, cover: Tensor, *, min_pixels: int, max_moved: float) -> Scene:
    """What is left of the objects of a scene behind a cover. (H, W) bool; the views stay."""
    boxes = uncovered_boxes(scene.boxes, cover)
    stride = scene.stride
    hidden = sampled(cover[None], stride)[0]
    masks = scene.masks.masked_fill(hidden, 0)
    pixels = (masks > 0.5).sum(dim=(1, 2)) * stride**2
    moved = (boxes - scene.boxes).abs().amax(dim=1)
    some = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
    left = replace(scene, boxes=boxes, masks=masks)
    return left.kept(some & ((moved <= max_moved) | (pixels > min_pixels)))


def uncovered_boxes(boxes: Tensor, cover: Tensor) -> Tensor:
    """The smallest boxes around what of some boxes a cover leaves.

    A side moves only where whole rows or columns are hidden; the others stay as they are, fractions
    of pixels included. Zeros for a box that is hidden completely. Authors: boxes are filled with
    both ends, so that they grow by a pixel without any cover. Here: they do not.

    (N, 4), (H, W) bool -> (N, 4).
    """
    filled = fill_boxes(boxes, *cover.shape)
    before, after = box_of_mask(filled), box_of_mask(filled & ~cover)
    gone = ~(filled & ~cover).flatten(1).any(dim=1)
    return torch.where(before == after, boxes, after).masked_fill(gone[:, None], 0)


def _placed(mask: Tensor, left: int, top: int, scene: Scene) -> Tensor:
    """The mask in the frame of the scene. (h, w) -> (H, W) bool"""
    cover = torch.zeros(scene.views[0].shape[1:], dtype=torch.bool, device=mask.device)
    rows, columns, there = _overlap(mask, left, top, scene.size)
    cover[rows, columns] = mask[there]
    return cover


def _painted(
    scene: Scene, cutout: Cutout, left: int, top: int, cover: Tensor
) -> tuple[Tensor, ...]:
    rows, columns, there = _overlap(cutout.mask, left, top, scene.size)
    views = []
    for view, source in zip(scene.views, cutout.views.to(cover.device), strict=True):
        painted = view.clone()
        under, over = painted[:, rows, columns], source[(slice(None), *there)].to(view.dtype) / 255
        painted[:, rows, columns] = torch.where(cover[rows, columns], over, under)
        views.append(painted)
    return tuple(views)


def _as_bytes(view: Tensor) -> Tensor:
    return (view * 255).round().to(torch.uint8)


def _overlap(
    mask: Tensor, left: int, top: int, size: tuple[int, int]
) -> tuple[slice, slice, tuple[slice, slice]]:
    """Rows and columns of a frame that a placed mask reaches, and which of its own those are."""
    y1, y2 = max(0, top), max(0, min(size[0], top + mask.shape[0]))
    x1, x2 = max(0, left), max(0, min(size[1], left + mask.shape[1]))
    y2, x2 = max(y1, y2), max(x1, x2)
    there = (slice(y1 - top, y2 - top), slice(x1 - left, x2 - left))
    return slice(y1, y2), slice(x1, x2), there
