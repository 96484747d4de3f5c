"""The grid that thresholds lie on, and what it means to pass one.

The rule, the same here, in the engine's filter and in the browser: a label passes threshold t when
float32(quality) >= float32(t). Thresholds lie on the grid 0.00, 0.01 ... 1.00; a quality's bin is
the index of the highest grid threshold it passes, so "passes t_i" is "bin >= i" in integers, and
no reader of the bins compares floats again.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lab.datasets.records import BoolArray, FloatArray, IntArray

STEPS = 100
SIDE = STEPS + 1

Number = TypeVar("Number", bound=np.generic)


def grid() -> FloatArray:
    """The 101 thresholds as float32, as labels are compared with them."""
    return (np.arange(SIDE) / STEPS).astype(np.float32)


def grid_index(threshold: float) -> int:
    """0..100 for a threshold on the grid, however it was rounded on its way here.

    Raises:
        ValueError: for one that is not a multiple of 0.01 in [0, 1]; `passes` takes any.
    """
    index = round(threshold * STEPS) if np.isfinite(threshold) else -1
    if not 0 <= index <= STEPS or abs(threshold - index / STEPS) > 1e-6:
        raise ValueError(f"threshold {threshold} is not one of 0, 0.01 ... 1")
    return index


def bins(quality: FloatArray) -> IntArray:
    """(N,) index of the highest grid threshold each quality passes.

    Raises:
        ValueError: for a quality that is NaN or outside [0, 1].
    """
    thresholds = grid()
    exact = np.asarray(quality, dtype=np.float32)
    wrong = ~((exact >= 0) & (exact <= 1))
    if wrong.any():
        raise ValueError(f"quality {exact[wrong][0]} of label {wrong.argmax()} is not in [0, 1]")
    guess = (exact * np.float32(STEPS)).astype(np.int64)  # off by one bin at most
    guess -= thresholds[guess] > exact
    return guess + (np.append(thresholds, np.inf)[guess + 1] <= exact)


def cells(x: FloatArray, y: FloatArray) -> IntArray:
    """(N,) the flat index [bin of x, bin of y] in a grid of SIDE by SIDE."""
    return bins(x) * SIDE + bins(y)


def passes(x: FloatArray, y: FloatArray, x_threshold: float, y_threshold: float) -> BoolArray:
    """(N,) which labels pass a threshold on each of two qualities: the filter itself."""
    return (np.asarray(x, np.float32) >= np.float32(x_threshold)) & (
        np.asarray(y, np.float32) >= np.float32(y_threshold)
    )


def changes(
    x: FloatArray, y: FloatArray, before: tuple[float, float], after: tuple[float, float]
) -> tuple[BoolArray, BoolArray]:
    """(N,) which labels enter and (N,) which leave between two (x, y) threshold pairs."""
    old = passes(x, y, *before)
    new = passes(x, y, *after)
    return new & ~old, old & ~new


def at_or_above(histograms: NDArray[Number]) -> NDArray[Number]:
    """Sums over all bins >= (i, j): (P, 101, 101) -> the same shape and type."""
    turned = histograms[:, ::-1, ::-1].cumsum(axis=1).cumsum(axis=2)
    return np.ascontiguousarray(turned[:, ::-1, ::-1])
