"""What somebody's code hands over, checked: plain arrays, or an error that names the argument."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.datasets.records import FloatArray, IntArray, Rle
from lab.datasets.rle import RleError, encode_all, from_counts, from_runs


class BadRecord(ValueError):
    """Something that cannot be recorded; the message names the argument and its value."""


MOST_STEPS = 2**31 - 1
"""What a step may be at most: a store on a server has 32 bits for it."""
MOST_ID = 2**63 - 1


def whole_number(name: str, value: Any, *, least: int = 0, most: int = MOST_ID) -> int:
    """An id, a seed or a step, also as a numpy number."""
    is_whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not is_whole or int(value) < least:
        raise BadRecord(f"{name} = {value!r}: expected a whole number, at least {least}")
    if int(value) > most:
        raise BadRecord(f"{name} = {value!r}: expected at most {most}")
    return int(value)


def step_of(value: Any) -> int:
    return whole_number("step", value, most=MOST_STEPS)


def classes_of(labels: object, num_classes: int) -> IntArray:
    """(N,) whole numbers 0..K-1."""
    given = as_array("labels", labels)
    if given.ndim != 1:
        raise BadRecord(f"labels: shape {given.shape}, expected (N,)")
    if given.size and given.dtype.kind not in "iu":
        raise BadRecord(f"labels: dtype {given.dtype}, expected whole numbers")
    _refuse(given, (given < 0) | (given >= num_classes), "labels", f"0 to {num_classes - 1}")
    return given.astype(np.int64)


def shares_of(name: str, value: object, count: int) -> FloatArray:
    """(N,) numbers in [0, 1]; one number stands for all."""
    given = as_array(name, value)
    if given.dtype.kind not in "fiub":
        raise BadRecord(f"{name}: dtype {given.dtype}, expected numbers")
    if given.ndim and given.shape != (count,):
        raise BadRecord(f"{name}: shape {given.shape}, expected ({count},) as labels has")
    _refuse(np.atleast_1d(given), np.atleast_1d(~((given >= 0) & (given <= 1))), name, "0 to 1")
    return np.broadcast_to(given, (count,)).astype(np.float32)


def boxes_of(value: object, count: int) -> FloatArray:
    """(N, 4) XYXY in pixels."""
    given = as_array("boxes", value)
    if given.dtype.kind not in "fiu" or given.shape not in ((count, 4), (0,)):
        raise BadRecord(
            f"boxes: shape {given.shape} of {given.dtype}, "
            f"expected ({count}, 4) numbers x1 y1 x2 y2"
        )
    boxes = given.reshape(-1, 4).astype(np.float32)
    wrong = ~np.isfinite(boxes).all(1) | (boxes[:, 2] < boxes[:, 0]) | (boxes[:, 3] < boxes[:, 1])
    _refuse(boxes, wrong, "boxes", "x1 <= x2 and y1 <= y2")
    return boxes


def masks_of(value: object, count: int, size: tuple[int, int] | None) -> tuple[Rle, ...]:
    """N masks: (N, H, W) of bool or of 0 and 1, or N COCO run lengths.

    Args:
        size: (height, width) of the image, where it is known.
    """
    masks = _coded(value) if _is_coded(value) else _encoded(value, count, size)
    if len(masks) != count:
        raise BadRecord(f"masks: {len(masks)} of them, expected {count} as labels has")
    for index, mask in enumerate(masks):
        if size is not None and (mask.height, mask.width) != size:
            raise BadRecord(
                f"masks[{index}]: {mask.height} x {mask.width} pixels, "
                f"but the image has {size[0]} x {size[1]} (height x width)"
            )
    return masks


def numbers_of(name: str, values: Mapping[str, object]) -> dict[str, float]:
    """Names and plain numbers; NaN is one."""
    if not isinstance(values, Mapping):
        raise BadRecord(f"{name}: {type(values).__name__}, expected a mapping of names to numbers")
    found: dict[str, float] = {}
    for key, value in values.items():
        if not isinstance(key, str) or not key:
            raise BadRecord(f"{name}: the name {key!r} is not a text")
        given = as_array(f"{name}[{key!r}]", value)
        if given.size != 1 or given.dtype.kind not in "fiub":
            raise BadRecord(f"{name}[{key!r}] = {value!r}: expected one number")
        found[key] = float(given.reshape(())[()])
    return found


def as_array(name: str, value: object) -> NDArray[Any]:
    """A list, an array, or whatever turns into one; tensors of a GPU do not."""
    try:
        given = np.asarray(value)
    except Exception as error:
        raise BadRecord(
            f"{name}: {type(value).__name__} is no array ({error}); "
            "of a tensor give .detach().cpu().numpy()"
        ) from None
    if given.dtype.kind == "O":
        raise BadRecord(f"{name}: its entries do not form an array of numbers")
    return given


def text_of(name: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise BadRecord(f"{name} = {value!r}: expected a text that is not empty")
    return value


def existing_file(name: str, value: Path | str) -> Path:
    path = Path(value).absolute()
    if not path.is_file():
        raise BadRecord(f"{name} = {str(value)!r}: no such file")
    return path


def _is_coded(value: Any) -> bool:
    is_list = isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 0
    return is_list and isinstance(value[0], (Mapping, Rle))


def _coded(value: Any) -> tuple[Rle, ...]:
    return tuple(_one_coded(index, one) for index, one in enumerate(value))


def _one_coded(index: int, one: Any) -> Rle:
    if isinstance(one, Rle):
        return one
    try:
        (height, width), counts = one["size"], one["counts"]
        if isinstance(counts, (str, bytes)):
            return from_counts(counts, int(height), int(width))
        return from_runs(counts, int(height), int(width))
    except (KeyError, TypeError, ValueError) as error:
        told = str(error) if isinstance(error, RleError) else "expected size and counts, as in COCO"
        raise BadRecord(f"masks[{index}]: {told}") from None


def _encoded(value: object, count: int, size: tuple[int, int] | None) -> tuple[Rle, ...]:
    given = as_array("masks", value)
    if count == 0 and given.size == 0:
        return ()
    if given.ndim != 3:
        height, width = size or ("H", "W")
        raise BadRecord(f"masks: shape {given.shape}, expected ({count}, {height}, {width})")
    if given.dtype.kind not in "biu" and not np.isin(given, (0, 1)).all():
        raise BadRecord(
            f"masks: {given.dtype} with other values than 0 and 1; threshold probabilities first"
        )
    return encode_all(given.astype(bool))


def _refuse(given: NDArray[Any], wrong: NDArray[np.bool_], name: str, expected: str) -> None:
    for index in np.flatnonzero(wrong):
        raise BadRecord(f"{name}[{index}] = {given[index].tolist()}: expected {expected}")
