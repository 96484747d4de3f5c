"""Records to views of one size, on the host: what a worker process makes of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from engine.data.decoding import ImageCache
from engine.data.depth import DepthCache, depth_views
from engine.data.geometry import (
    ViewInstances,
    draw_geometry,
    fitted_geometry,
    image_to_view,
    instances_to_view,
)
from engine.instances import Targets
from engine.interfaces import ViewGeometry
from engine.ranks import WHOLE, Share
from lab.config import ViewConfig
from lab.datasets import rle
from lab.datasets.coco_file import DatasetError
from lab.datasets.records import Dataset, FloatArray, ImageRecord, IntArray

NETWORK_MULTIPLE = 32
"""The sides of a network's input are multiples of this."""


@dataclass(frozen=True)
class Views:
    """B views as they travel from a worker: few tensors, however many instances there are."""

    pixels: Tensor
    """(B, 3, H, W) uint8; padding is 0."""
    image_ids: list[int]
    geometry: list[ViewGeometry]
    depth: Tensor | None = None
    """(B, H, W) float in [0, 1], where it is asked for (engine.data.depth)."""

    def pin_memory(self) -> Views:
        depth = None if self.depth is None else self.depth.pin_memory()
        return Views(self.pixels.pin_memory(), self.image_ids, self.geometry, depth)

    def images(self, device: torch.device) -> Tensor:
        """(B, 3, H, W) float in [0, 1] on the device; a pinned batch is not waited for."""
        return self.pixels.to(device, non_blocking=True).float().div_(255)

    def depth_maps(self, device: torch.device) -> Tensor | None:
        """The depth of each view on the device, if it was asked for."""
        return None if self.depth is None else self.depth.to(device, non_blocking=True)


@dataclass(frozen=True)
class Instances:
    """The instances of B views one after the other."""

    counts: list[int]
    """How many belong to each view."""
    boxes: Tensor
    """(N, 4) XYXY view pixels."""
    labels: Tensor
    """(N,) int64."""
    masks: Tensor | None
    """(N, H, W) bool."""
    annotation_ids: list[list[int]]
    """Of each view."""

    def pin_memory(self) -> Instances:
        return replace(
            self,
            boxes=self.boxes.pin_memory(),
            labels=self.labels.pin_memory(),
            masks=None if self.masks is None else self.masks.pin_memory(),
        )

    def targets(self, device: torch.device) -> list[Targets]:
        """One per view, on the device."""
        boxes, labels = (
            column.to(device, non_blocking=True).split(self.counts)
            for column in (self.boxes, self.labels)
        )
        if self.masks is None:
            return [Targets(*columns) for columns in zip(boxes, labels, strict=True)]
        masks = self.masks.to(device, non_blocking=True).split(self.counts)
        return [Targets(*columns) for columns in zip(boxes, labels, masks, strict=True)]


def training_views(
    records: Sequence[ImageRecord],
    config: ViewConfig,
    rngs: Sequence[np.random.Generator],
    cache: ImageCache,
    depths: DepthCache | None = None,
    share: Share = WHOLE,
) -> Views:
    """A random view of each record, padded right and bottom to the crop.

    Whole images (`short_sides`) are padded to a common size instead, that of all records, of which
    only our share is read. With `depths`, their depth is seen too.
    """
    geometry = [
        draw_geometry(record.height, record.width, config, rng)
        for record, rng in zip(records, rngs, strict=True)
    ]
    size = (config.crop_size, config.crop_size)
    if config.short_sides:
        size = _common_size(geometry)
    records, geometry = share.part(records), share.part(geometry)
    views = _views(records, geometry, size, cache)
    if depths is None:
        return views
    return replace(views, depth=depth_views(records, geometry, size, depths))


def fitted_views(
    records: Sequence[ImageRecord],
    longest_side: int,
    cache: ImageCache,
    short_side: int | None = None,
) -> Views:
    """Whole images (geometry.fitted_geometry), padded to a common size."""
    geometry = [fitted_geometry(one.height, one.width, longest_side, short_side) for one in records]
    return _views(records, geometry, _common_size(geometry), cache)


def visible_instances(records: Sequence[ImageRecord], views: Views, with_masks: bool) -> Instances:
    """The truth that the views show. Crowd regions teach nothing and are left out."""
    parts = [
        _instances(record, geometry, with_masks)
        for record, geometry in zip(records, views.geometry, strict=True)
    ]
    counts = [len(labels) for _, labels, _ in parts]
    boxes = np.concatenate([seen.boxes for seen, _, _ in parts])
    labels = np.concatenate([labels for _, labels, _ in parts])
    masks = _padded_masks([seen for seen, _, _ in parts], views) if with_masks else None
    ids = [ids for _, _, ids in parts]
    return Instances(counts, torch.from_numpy(boxes), torch.from_numpy(labels), masks, ids)


def has_masks(dataset: Dataset) -> bool:
    """Whether instances have masks (True also when there are none).

    Raises:
        DatasetError: when some have a mask and some have not.
    """
    without = [
        (image.image_id, one.annotation_id)
        for image in dataset.images
        for one in image.annotations
        if one.mask is None and not one.is_crowd
    ]
    total = sum(not one.is_crowd for image in dataset.images for one in image.annotations)
    if without and len(without) < total:
        image_id, annotation_id = without[0]
        raise DatasetError(
            f"dataset {dataset.name}: {len(without)} of {total} annotations have no mask, such as "
            f"annotation {annotation_id} of image {image_id}; give all of them masks, or none"
        )
    return not without


def _views(
    records: Sequence[ImageRecord],
    geometry: list[ViewGeometry],
    size: tuple[int, int],
    cache: ImageCache,
) -> Views:
    pixels = np.zeros((len(records), 3, *size), dtype=np.uint8)
    for slot, record, view in zip(pixels, records, geometry, strict=True):
        shown = image_to_view(cache.read(record), view)
        slot[:, : view.height, : view.width] = shown.transpose(2, 0, 1)
    return Views(torch.from_numpy(pixels), [record.image_id for record in records], geometry)


def _common_size(geometry: Sequence[ViewGeometry]) -> tuple[int, int]:
    """Height and width that all of the views fit in, as a network takes them."""
    multiple = NETWORK_MULTIPLE
    height = multiple * -(-max(one.height for one in geometry) // multiple)
    width = multiple * -(-max(one.width for one in geometry) // multiple)
    return height, width


def _padded_masks(parts: Sequence[ViewInstances], views: Views) -> Tensor:
    """(N, H, W) bool: the masks of all views one after the other, padded like the images."""
    shown = [part.masks for part in parts if part.masks is not None]
    padded = np.zeros((sum(map(len, shown)), *views.pixels.shape[-2:]), dtype=bool)
    start = 0
    for masks in shown:
        count, height, width = masks.shape
        padded[start : start + count, :height, :width] = masks
        start += count
    return torch.from_numpy(padded)


def _instances(
    record: ImageRecord, geometry: ViewGeometry, with_masks: bool
) -> tuple[ViewInstances, IntArray, list[int]]:
    """What the view shows of a record's instances, their labels and their ids."""
    truth = [one for one in record.annotations if not one.is_crowd]
    masks = None
    if with_masks:
        coded = [one.mask for one in truth if one.mask is not None]
        masks = rle.decode_all(coded, record.height, record.width)
    boxes: FloatArray = np.array([one.box for one in truth], dtype=np.float32).reshape(-1, 4)
    seen = instances_to_view(boxes, masks, geometry)
    labels = np.array([one.label for one in truth], dtype=np.int64)
    ids = [truth[index].annotation_id for index in seen.shown]
    return seen, labels[seen.shown], ids
