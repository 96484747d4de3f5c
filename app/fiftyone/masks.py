"""Run-length masks as FiftyOne keeps them: cut out at their tight box, packed by numpy and zlib.

Decoding each mask over its whole image is what an import spends most of its time on. Here many
masks are unfolded at once, and only the columns of pixels that their boxes cover.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO

import numpy as np

from lab.datasets.records import IntArray, Rle
from lab.datasets.rle import tight_box

PIXELS_AT_ONCE = 16_000_000
FAST = 1
"""Level of zlib. With Z_RLE runs are found and nothing else, which is what a mask is made of."""


@dataclass(frozen=True, slots=True)
class Cutout:
    """A mask at its tight box."""

    box: tuple[int, int, int, int]
    """(x1, y1, x2, y2) in whole pixels, half-open; all 0 for an empty mask."""
    packed: bytes
    """(y2 - y1, x2 - x1) bool as FiftyOne stores arrays: `numpy.save`, compressed by zlib."""


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs of M masks one after the other, R in all; background and foreground alternate."""

    owner: IntArray
    """(R,) which mask."""
    is_inside: IntArray
    """(R,) 1 = foreground."""
    start: IntArray
    """(R,) first pixel, column-major."""
    end: IntArray
    """(R,) the pixel after the last."""


def cutouts(masks: Sequence[Rle]) -> list[Cutout]:
    """(M,) masks of any sizes, each as its cut-out."""
    found: list[Cutout] = []
    chunk: list[Rle] = []
    pixels = 0
    for mask in masks:
        chunk.append(mask)
        pixels += mask.height * mask.width
        if pixels > PIXELS_AT_ONCE:
            found += _cut(chunk)
            chunk, pixels = [], 0
    return found + _cut(chunk)


def unfold(masks: Sequence[Rle]) -> Runs:
    """The runs of many compressed masks at once; `lab.datasets.rle.run_lengths` does one."""
    codes = np.frombuffer(b"".join(mask.counts for mask in masks), np.uint8).astype(np.int64) - 48
    sizes = np.array([len(mask.counts) for mask in masks], np.int64)
    ends = np.flatnonzero((codes & 0x20) == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])[: len(ends)]
    digits = ends - starts + 1
    shift = 5 * (np.arange(len(codes)) - np.repeat(starts, digits))
    values = np.add.reduceat((codes & 0x1F) << shift, starts) if len(starts) else codes
    values -= np.where(codes[ends] & 0x10, np.int64(1) << (5 * digits), 0)
    owner = np.repeat(np.arange(len(masks)), sizes)[ends]
    place = np.arange(len(ends)) - _first_of(owner)
    lengths = _undo_differences(values, owner, place)
    total = np.cumsum(lengths)
    before = total - lengths
    start = before - before[_first_of(owner)]
    return Runs(owner, place & 1, start, start + lengths)


def _undo_differences(values: IntArray, owner: IntArray, place: IntArray) -> IntArray:
    """From the fourth run of a mask on, what is written is the difference to the run two before."""
    chain = owner * 2 + (place & 1)
    order = np.argsort(chain, kind="stable")
    steps = np.where(place == 0, 0, values)[order]
    total = np.cumsum(steps)
    before = (total - steps)[_first_of(chain[order])]
    lengths = np.empty_like(values)
    lengths[order] = total - before
    return np.where(place == 0, values, lengths)


def _first_of(owner: IntArray) -> IntArray:
    """(R,) index of the first entry with the same value; equal values lie side by side."""
    is_first = np.ones(len(owner), np.bool_)
    is_first[1:] = owner[1:] != owner[:-1]
    return np.maximum.accumulate(np.where(is_first, np.arange(len(owner)), 0))


def _cut(masks: Sequence[Rle]) -> list[Cutout]:
    if not masks:
        return []
    boxes = [tuple(int(side) for side in tight_box(mask)) for mask in masks]
    heights = np.array([mask.height for mask in masks])
    left, right = np.array([(box[0], box[2]) for box in boxes]).T
    runs = unfold(masks)
    first, last = (left * heights)[runs.owner], (right * heights)[runs.owner]
    kept = np.clip(runs.end, first, last) - np.clip(runs.start, first, last)
    pixels = np.repeat(runs.is_inside.astype(np.bool_), kept)
    ends = np.cumsum((right - left) * heights).tolist()
    found: list[Cutout] = []
    begin = 0
    for mask, (x1, y1, x2, y2), end in zip(masks, boxes, ends, strict=True):
        columns = pixels[begin:end].reshape(x2 - x1, mask.height)[:, y1:y2]
        found.append(Cutout((x1, y1, x2, y2), _pack(columns.T.tobytes(), y2 - y1, x2 - x1)))
        begin = end
    return found


def _pack(pixels: bytes, height: int, width: int) -> bytes:
    packer = zlib.compressobj(FAST, strategy=zlib.Z_RLE)
    return packer.compress(_header(height, width) + pixels) + packer.flush()


@lru_cache(maxsize=4096)
def _header(height: int, width: int) -> bytes:
    """What `numpy.save` writes before the pixels of a (height, width) bool array."""
    file = BytesIO()
    np.save(file, np.zeros((height, width), np.bool_))
    return file.getvalue()[: file.tell() - height * width]
