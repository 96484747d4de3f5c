"""Pictures of single labelled objects: what the stand-in CLIP learns from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from engine.instances import TensorTable
from engine.models.patches import cut_patches, tight_boxes, widen_boxes
from lab.config import ShapesConfig
from lab.datasets import rle
from lab.datasets.records import BoolArray, Dataset, ImageRecord
from lab.datasets.shapes import shapes_scene

REGION = 48
"""Side of a stored picture, pixels."""
CONTEXT = 0.25
"""Surroundings kept on every side, as a share of the object's box: room to jitter."""
INNER = (8.0, 8.0, 40.0, 40.0)
"""Where the object's tight box lies in every region, XYXY."""
MIN_SIDE = 2
"""Smaller objects show nothing, pixels."""


class CropError(ValueError):
    """Images without anything to learn from; the message names the file or dataset."""


@dataclass(frozen=True)
class Crops(TensorTable):
    """N objects with some of their surroundings. Row i of every field is the same object."""

    regions: Tensor
    """(N, 3, 48, 48) uint8 RGB: the box of the object squeezed into INNER, and what is around."""
    masks: Tensor
    """(N, 48, 48) bool: the object's pixels in its region; all of it when no mask is known."""
    labels: Tensor
    """(N,) int64."""

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Picture:
    """One image with its objects."""

    image: np.ndarray
    """(H, W, 3) uint8 RGB."""
    boxes: np.ndarray
    """(N, 4) float XYXY."""
    labels: Sequence[int]
    masks: BoolArray | None
    """(N, H, W)."""


def labeled_crops(dataset: Dataset) -> Crops:
    """Every annotated object of the images, crowds and specks left out.

    Raises:
        CropError: when an image cannot be read, or there is no object at all.
    """
    crops = gather_crops(_pictures(dataset.images))
    if len(crops) == 0:
        raise CropError(f"dataset {dataset.name}: no labelled object to learn classes from")
    return crops


def scene_crops(config: ShapesConfig, split: str, start: int, count: int) -> Crops:
    """The objects of `count` generated scenes, drawn anew from scene `start` on."""
    scenes = (shapes_scene(config, split, start + index) for index in range(count))
    return gather_crops(
        _picture_of_masks(
            scene.image,
            np.stack([thing.mask for thing in scene.objects]),
            [thing.label for thing in scene.objects],
        )
        for scene in scenes
        if scene.objects
    )


def gather_crops(pictures: Iterable[Picture]) -> Crops:
    """Cut the objects out of their pictures."""
    parts = [_cut(picture) for picture in pictures]
    return Crops(
        *(
            torch.cat([column, *(getattr(part, name) for part in parts)])
            for name, column in vars(_no_crops()).items()
        )
    )


def _no_crops() -> Crops:
    return Crops(
        regions=torch.zeros(0, 3, REGION, REGION, dtype=torch.uint8),
        masks=torch.zeros(0, REGION, REGION, dtype=torch.bool),
        labels=torch.zeros(0, dtype=torch.int64),
    )


def _cut(picture: Picture) -> Crops:
    boxes = torch.from_numpy(np.asarray(picture.boxes, dtype=np.float32)).reshape(-1, 4)
    visible = ((boxes[:, 2:] - boxes[:, :2]) >= MIN_SIDE).all(dim=1)
    boxes = boxes[visible]
    wide = widen_boxes(boxes, CONTEXT)
    image = torch.from_numpy(picture.image).permute(2, 0, 1).float()
    return Crops(
        regions=cut_patches(image[None], [wide], REGION).round().to(torch.uint8),
        masks=_region_masks(picture, visible, wide),
        labels=torch.tensor(picture.labels, dtype=torch.int64)[visible],
    )


def _region_masks(picture: Picture, visible: Tensor, wide: Tensor) -> Tensor:
    if picture.masks is None:
        return torch.ones(len(wide), REGION, REGION, dtype=torch.bool)
    masks = torch.from_numpy(picture.masks)[visible][:, None].float()
    return cut_patches(masks, list(wide[:, None]), REGION)[:, 0] >= 0.5


def _pictures(images: Sequence[ImageRecord]) -> Iterator[Picture]:
    for record in images:
        things = [thing for thing in record.annotations if not thing.is_crowd]
        if not things:
            continue
        pixels = cv2.imread(str(record.path), cv2.IMREAD_COLOR_RGB)
        if pixels is None:
            raise CropError(f"{record.path}: cannot be read as an image")
        outlines = [thing.mask for thing in things]
        known = [outline for outline in outlines if outline is not None]
        yield Picture(
            image=pixels,
            boxes=np.array([thing.box for thing in things]),
            labels=[thing.label for thing in things],
            masks=rle.decode_all(known, record.height, record.width)
            if len(known) == len(things)
            else None,
        )


def _picture_of_masks(image: np.ndarray, masks: BoolArray, labels: Sequence[int]) -> Picture:
    return Picture(image, tight_boxes(torch.from_numpy(masks)).numpy(), labels, masks)
