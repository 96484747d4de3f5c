"""Depth maps of images: read, brought to one range, and seen as the images are.

Depth here is inverse: 0 = far, 1 = near. Its unit means nothing, because what a network tells from
one photo has no scale; so each map runs from 0 to 1 by itself.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.data.decoding import ArrayCache
from engine.data.geometry import DepthArray, depth_to_view
from engine.interfaces import ViewGeometry
from lab.datasets.coco_file import DatasetError
from lab.datasets.records import Dataset, ImageRecord

log = logging.getLogger("seglab")

FULL = 65535
"""The nearest, in 16 bits."""
PNG = b"\x89PNG\r\n\x1a\n"
CLIPPED = (2.0, 98.0)
"""Per cent of a map's pixels below its 0 and its 1."""


class DepthCache(ArrayCache[DepthArray]):
    """Depth maps of records that have one."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(limit_bytes, read_depth)


def read_depth(record: ImageRecord) -> DepthArray:
    """(H, W) of a record's depth file, brought to one range.

    Raises:
        DatasetError: when the record names none, or the file is missing, is no grey image of 8 or
            16 bits, or has another size than the image.
    """
    path = record.depth_path
    if path is None:
        raise DatasetError(f"image {record.image_id} ({record.path}) has no depth map")
    try:
        content = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}") from None
    pixels = cv2.imdecode(content, cv2.IMREAD_UNCHANGED) if len(content) else None
    if pixels is None:
        raise DatasetError(f"{path}: not an image that can be decoded ({len(content)} bytes)")
    if pixels.ndim != 2 or pixels.dtype not in (np.uint8, np.uint16):
        raise DatasetError(
            f"{path}: {pixels.dtype} of shape {pixels.shape}: depth has to be grey, of 8 or 16 "
            "bits, the nearest lightest; coloured depth is for the eye"
        )
    if pixels.shape != (record.height, record.width):
        raise DatasetError(
            f"{path}: the depth map is {pixels.shape[0]} x {pixels.shape[1]} (height x width), "
            f"its image {record.height} x {record.width}"
        )
    return stretched(pixels)


def stretched(depth: NDArray[np.number]) -> DepthArray:
    """Any numbers to 0..65535, linear between two percentiles; all 0 when these are one number."""
    low, high = np.percentile(depth, CLIPPED)
    if not high > low:
        return np.zeros(depth.shape, np.uint16)
    share = ((depth.astype(np.float64) - low) / (high - low)).clip(0, 1)
    return np.rint(share * FULL).astype(np.uint16)


def depth_views(
    records: Sequence[ImageRecord],
    geometry: Sequence[ViewGeometry],
    size: tuple[int, int],
    cache: DepthCache,
) -> Tensor:
    """(B, height, width) float in [0, 1]; padding is 0, and so is all of an image without a map."""
    depth = np.zeros((len(records), *size), dtype=np.float32)
    for slot, record, view in zip(depth, records, geometry, strict=True):
        if record.depth_path is not None:
            shown = depth_to_view(cache.read(record), view)
            slot[: view.height, : view.width] = shown.astype(np.float32) / FULL
    return torch.from_numpy(depth)


def warn_without_depth(dataset: Dataset) -> None:
    """Say in the log how many images have no depth map: they train without what it would tell."""
    missing = [image for image in dataset.images if image.depth_path is None]
    if missing:
        log.warning(
            "dataset %s: %d of %d training images have no depth map, such as %s: nothing is learnt "
            "from depth there; `seglab data depth` makes maps, dataset.train_depth says where "
            "they are",
            dataset.name,
            len(missing),
            len(dataset.images),
            missing[0].path,
        )


def refuse_wrong_sizes(dataset: Dataset) -> None:
    """Look at the first bytes of every PNG map, so that none stops a run in its middle.

    Raises:
        DatasetError: as `read_depth`, of the first that has another size than its image.
    """
    for image in dataset.images:
        if image.depth_path is None:
            continue
        size = _png_size(image.depth_path)
        if size is not None and size != (image.height, image.width):
            read_depth(image)


def _png_size(path: Path) -> tuple[int, int] | None:
    """(height, width) of a PNG; None = it is none, or cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(24)
    except OSError:
        return None
    if len(head) < 24 or not head.startswith(PNG):
        return None
    width, height = struct.unpack(">II", head[16:24])
    return height, width
