"""Masks as COCO run-length encoding: numpy in, `Rle` out, by pycocotools.

pycocotools trusts what it is given: runs that are too short decode to whatever lay in memory.
So text from a file comes in through `from_counts` or `from_runs`, which check it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from lab.datasets.records import BoolArray, Rle

MIN_POLYGON_COORDINATES = 6


class RleError(ValueError):
    """Run lengths or polygons that describe no mask of the stated size."""


def encode(mask: BoolArray) -> Rle:
    """(H, W) bool -> Rle."""
    return encode_all(mask[None])[0]


def encode_all(masks: BoolArray) -> tuple[Rle, ...]:
    """(N, H, W) bool -> N Rle."""
    if masks.ndim != 3:
        raise RleError(f"masks of shape {masks.shape}: expected (N, height, width)")
    if masks.size == 0:
        return tuple(Rle(masks.shape[1], masks.shape[2], b"") for _ in range(len(masks)))
    columns_first = np.asfortranarray(masks.transpose(1, 2, 0).astype(np.uint8, copy=False))
    return tuple(_from_coco(one) for one in coco_mask.encode(columns_first))


def decode(rle: Rle) -> BoolArray:
    """Rle -> (H, W) bool."""
    return np.ascontiguousarray(coco_mask.decode(cast(Any, rle.as_coco()))).astype(bool)


def decode_all(rles: Sequence[Rle], height: int, width: int) -> BoolArray:
    """N Rle, all of the given size, -> (N, H, W) bool; N may be 0."""
    for rle in rles:
        if (rle.height, rle.width) != (height, width):
            raise RleError(f"mask of {rle.height} x {rle.width}: expected {height} x {width}")
    if not rles:
        return np.zeros((0, height, width), dtype=bool)
    stacked = coco_mask.decode(cast(Any, [rle.as_coco() for rle in rles]))
    return np.ascontiguousarray(stacked.transpose(2, 0, 1)).astype(bool)


def area(rle: Rle) -> int:
    """Number of pixels inside."""
    return int(coco_mask.area(cast(Any, rle.as_coco())))


def tight_box(rle: Rle) -> tuple[float, float, float, float]:
    """XYXY half-open box of the pixels inside; (0, 0, 0, 0) when there is none."""
    x, y, width, height = coco_mask.toBbox(cast(Any, rle.as_coco())).tolist()
    return (x, y, x + width, y + height) if width and height else (0.0, 0.0, 0.0, 0.0)


def areas(rles: Sequence[Rle]) -> NDArray[np.int64]:
    """(N,) pixels inside each."""
    # One by one: pycocotools overflows on a list of more than 255.
    return np.array([coco_mask.area(cast(Any, rle.as_coco())) for rle in rles], dtype=np.int64)


def from_polygons(polygons: Sequence[Sequence[float]], height: int, width: int) -> Rle:
    """The union of polygons [x1, y1, x2, y2, ...] in pixels; none gives an empty mask.

    Polygons of fewer than three points enclose nothing and are passed over. What lies outside the
    image is cut off.

    Raises:
        RleError: for an odd number of coordinates or one that is not a usable number.
    """
    points = [_points(polygon, reach=16 * (height + width)) for polygon in polygons]
    usable = [one for one in points if len(one) >= MIN_POLYGON_COORDINATES]
    if not usable:
        return encode(np.zeros((height, width), dtype=bool))
    parts = coco_mask.frPyObjects(cast(Any, usable), height, width)
    return _from_coco(parts[0] if len(parts) == 1 else coco_mask.merge(parts))


def from_runs(runs: Sequence[int], height: int, width: int) -> Rle:
    """Uncompressed run lengths (background first, column-major).

    Raises:
        RleError: when a run is no whole number >= 0 or they do not add up to the image.
    """
    try:
        lengths = np.asarray(runs, dtype=np.float64)
    except (TypeError, ValueError):
        raise RleError("counts hold something that is no number") from None
    if lengths.ndim != 1 or not (lengths == np.floor(lengths)).all():
        raise RleError("counts hold something that is no whole number")
    _check_runs(lengths, height, width)
    whole = {"size": [height, width], "counts": lengths.astype(np.int64).tolist()}
    return _from_coco(coco_mask.frPyObjects(cast(Any, whole), height, width))


def from_counts(counts: str | bytes, height: int, width: int) -> Rle:
    """Compressed run lengths as COCO writes them.

    Raises:
        RleError: when they are no such text or do not add up to the image.
    """
    try:
        raw = counts.encode("ascii") if isinstance(counts, str) else counts
    except UnicodeEncodeError:
        raise RleError("counts are no compressed run lengths: a character is not ASCII") from None
    _check_runs(run_lengths(raw), height, width)
    return Rle(height, width, raw)


def run_lengths(counts: bytes) -> NDArray[np.int64]:
    """(R,) the runs of compressed counts, background first.

    Each run is written as 5-bit groups, lowest first, the sixth bit saying that more follow and
    the top bit of the last group being the sign; from the fourth run on, the difference to the
    run two before is written instead of the run.
    """
    codes = np.frombuffer(counts, dtype=np.uint8).astype(np.int64) - 48
    if len(codes) == 0:
        return np.zeros(0, dtype=np.int64)
    last = (codes & 0x20) == 0
    if codes.min() < 0 or codes.max() > 63 or not last[-1]:
        raise RleError("counts are no compressed run lengths")
    ends = np.flatnonzero(last)
    starts = np.concatenate([[0], ends[:-1] + 1])
    digits = ends - starts + 1
    if digits.max() > 8:
        raise RleError("counts are no compressed run lengths: a run is too long")
    shift = 5 * (np.arange(len(codes)) - np.repeat(starts, digits))
    values = np.add.reduceat((codes & 0x1F) << shift, starts)
    values -= np.where(codes[ends] & 0x10, np.int64(1) << (5 * digits), 0)
    for parity in (1, 2):
        values[parity::2] = np.cumsum(values[parity::2])
    return values


def _check_runs(lengths: NDArray[np.int64] | NDArray[np.float64], height: int, width: int) -> None:
    if (lengths < 0).any():
        raise RleError("counts hold a negative run")
    total = int(lengths.sum())
    if total != height * width:
        raise RleError(
            f"counts add up to {total} pixels, but {height} x {width} are {height * width}"
        )


def _points(polygon: Sequence[float], reach: float) -> NDArray[np.float64]:
    """The coordinates as an array; what lies far out would cost pycocotools memory without end."""
    if len(polygon) % 2:
        raise RleError(f"polygon of {len(polygon)} numbers: expected x, y pairs")
    try:
        points = np.asarray(polygon, dtype=np.float64)
    except (TypeError, ValueError):
        raise RleError("polygon holds something that is no number") from None
    if points.ndim != 1:
        raise RleError("polygon holds something that is no number")
    farthest = float(np.abs(points).max(initial=0))
    if not farthest <= reach:
        raise RleError(f"polygon reaches to {farthest:g}, far outside the image")
    return points


def _from_coco(coded: Any) -> Rle:
    height, width = coded["size"]
    return Rle(int(height), int(width), coded["counts"])
