"""Arithmetic on run-length masks without decoding them: the door to pycocotools.mask."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask

from lab.datasets.records import BoolArray, Rle

coco_mask: Any = mask  # its type stubs do not know lists of masks


def raw_ious(
    predictions: Sequence[Rle], truths: Sequence[Rle], is_crowd: BoolArray
) -> NDArray[np.float64]:
    """(P, G) intersection over union, or over prediction area against a crowd; P, G > 0."""
    return np.asarray(
        coco_mask.iou(
            [one.as_coco() for one in predictions],
            [one.as_coco() for one in truths],
            is_crowd.astype(np.uint8).tolist(),
        ),
        dtype=np.float64,
    )


def intersection(left: Rle, right: Rle) -> Rle:
    """The pixels in both of two masks of one size."""
    both = coco_mask.merge([left.as_coco(), right.as_coco()], intersect=True)
    return Rle(left.height, left.width, both["counts"])


def rectangle(height: int, width: int, box: tuple[float, float, float, float]) -> Rle:
    """The mask of the pixels whose centre lies in a half-open XYXY box."""
    left, top, right, bottom = (
        min(max(ceil(edge - 0.5), 0), limit)
        for edge, limit in zip(box, (width, height, width, height), strict=True)
    )
    tall, wide = max(bottom - top, 0), max(right - left, 0)
    counts = [height * width] if tall * wide == 0 else _runs(height, width, top, left, tall, wide)
    made = coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    return Rle(height, width, made["counts"])


def _runs(height: int, width: int, top: int, left: int, tall: int, wide: int) -> list[int]:
    """Column-major run lengths of a rectangle, starting with background."""
    before = left * height + top
    after = height * width - before - (wide - 1) * height - tall
    if tall == height:
        return [before, wide * height, after]
    return [before, *[tall, height - tall] * (wide - 1), tall, after]
