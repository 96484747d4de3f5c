"""Single values of a COCO json: from whatever stands in the file to a value that can be trusted."""

from __future__ import annotations

import math
from pathlib import Path, PurePosixPath

from lab.datasets import rle as rle_codec
from lab.datasets.coco_file import shortened
from lab.datasets.records import Rle

Box = tuple[float, float, float, float]


LONGEST = 2**63
"""Ids have to fit 64 bits."""


def whole_number(value: object) -> int | None:
    """`value` as an int when it is one (2 or 2.0, not True, not "2"); otherwise None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if value == value // 1 and abs(value) < LONGEST else None


def finite_number(value: object) -> float | None:
    """`value` as a float when it is a finite number (not True, not "2"); otherwise None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def path_inside(directory: Path, file_name: str) -> Path | None:
    """directory/file_name, or None when the name leads out of the directory."""
    relative = PurePosixPath(file_name.replace("\\", "/"))
    drive = relative.parts[:1] and relative.parts[0].endswith(":")
    if relative.is_absolute() or drive or ".." in relative.parts or not relative.parts:
        return None
    return directory / relative


def read_mask(segmentation: object, height: int, width: int) -> Rle | None:
    """Polygons, uncompressed or compressed RLE -> Rle; None when there is no segmentation.

    An empty list is none too: so say files that hold boxes only.

    Raises:
        rle.RleError: saying what is wrong with it.
    """
    if segmentation is None or segmentation == []:
        return None
    if isinstance(segmentation, list):
        if not all(isinstance(polygon, list) for polygon in segmentation):
            raise rle_codec.RleError("expected a list of polygons [x1, y1, x2, y2, ...]")
        return rle_codec.from_polygons(segmentation, height, width)
    if not isinstance(segmentation, dict):
        raise rle_codec.RleError("expected polygons or an object with size and counts")
    if segmentation.get("size") != [height, width]:
        raise rle_codec.RleError(
            f"RLE of size {shortened(segmentation.get('size'))} on an image of "
            f"[{height}, {width}] (height, width): masks must have the size of their image"
        )
    counts = segmentation.get("counts")
    if isinstance(counts, str):
        return rle_codec.from_counts(counts, height, width)
    if isinstance(counts, list):
        return rle_codec.from_runs(counts, height, width)
    raise rle_codec.RleError(f"counts are {shortened(counts)}: expected text or a list")


def read_box(bbox: object) -> Box | None:
    """XYWH of the file -> XYXY, not cut; None when it is no box of four finite numbers."""
    if not isinstance(bbox, list) or len(bbox) != 4:
        return None
    if not all(type(value) in (int, float) and math.isfinite(value) for value in bbox):
        return None
    x, y, width, height = bbox
    return float(x), float(y), float(x + width), float(y + height)


def clip_box(box: Box, height: int, width: int) -> Box:
    """The part of an XYXY box inside the image."""
    x1, y1, x2, y2 = box
    return (
        min(max(x1, 0.0), float(width)),
        min(max(y1, 0.0), float(height)),
        min(max(x2, 0.0), float(width)),
        min(max(y2, 0.0), float(height)),
    )


def is_far_from(box: Box, other: Box, tolerance: float) -> bool:
    """Whether any side of one box lies more than `tolerance` pixels from the other's."""
    return max(abs(a - b) for a, b in zip(box, other, strict=True)) > tolerance
