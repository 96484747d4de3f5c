"""Which two scores span the threshold plane of a run, and where its labels lie in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.label_scores import BY_NAME
from app.thresholds import own_thresholds, thresholds_of
from lab.analysis.mask_quality import QUALITIES
from lab.datasets.records import BoolArray, FloatArray

Columns = Mapping[str, NDArray[Any]]
DECOUPLED = frozenset(("class_quality", "mask_quality"))
"""PL-DC's two; their product is recorded as `score`."""


@dataclass(frozen=True, slots=True)
class Axes:
    """Two scores; `x` runs across the plane, `y` up."""

    x: str = "class_quality"
    y: str = "mask_quality"

    @property
    def is_decoupled(self) -> bool:
        """Whether they are class and mask quality, in either order."""
        return {self.x, self.y} == DECOUPLED

    @property
    def columns(self) -> tuple[str, ...]:
        """What has to be read to place labels."""
        return (self.x, self.y, *(("score",) if self.is_decoupled else ()))

    @property
    def shorts(self) -> tuple[str, str]:
        """What rules call the two: ("class", "mask")."""
        return BY_NAME[self.x].short, BY_NAME[self.y].short


USUAL = (
    Axes("match_score", "depth_score"),
    Axes("semantic_score", "instance_score"),
    Axes("box_score", "pixel_score"),
)
"""Of masks made from boxes: by pseudo depth, by prototypes, by ranked boxes."""


@dataclass(frozen=True, slots=True)
class Points:
    """Labels in the plane. All (N,) in [0, 1]."""

    x: FloatArray
    y: FloatArray
    product: FloatArray


def axis_names(recorded: Collection[str]) -> tuple[str, ...]:
    """What can be an axis, in a run that recorded these scores."""
    return tuple(name for name in QUALITIES if name in recorded or name in DECOUPLED)


def default_axes(recorded: Collection[str]) -> Axes:
    """Those that its method decides by: the first of USUAL that it recorded."""
    return next((axes for axes in USUAL if {axes.x, axes.y} <= set(recorded)), Axes())


def choose_axes(recorded: Collection[str], x: str | None = None, y: str | None = None) -> Axes:
    """The axes that somebody wants; None = the run's usual one.

    Raises:
        ValueError: a score that the run has not, or one score twice.
    """
    names, usual = axis_names(recorded), default_axes(recorded)
    for axis, name in (("x", x), ("y", y)):
        if name is not None and name not in names:
            raise ValueError(
                f"{axis}={name}: this run has no such score; it has {', '.join(names)}"
            )
    if x is not None and x == y:
        raise ValueError(f"x={x} and y={y}: choose two different scores")
    if x is None:
        x = usual.x if y != usual.x else usual.y
    return Axes(x, y or (usual.y if x != usual.y else usual.x))


def place(columns: Columns, axes: Axes) -> Points:
    """Where labels lie. A score that was never measured counts as 0: no threshold lets it in."""
    x, y = _measured(columns[axes.x]), _measured(columns[axes.y])
    return Points(x, y, _measured(columns["score"]) if axes.is_decoupled else x * y)


def bars_elsewhere(config: Mapping[str, Any], axes: Axes) -> dict[str, float]:
    """The thresholds of a run that are no axis of the plane, by column: they hold as they are."""
    rule, bars = thresholds_of(config), own_thresholds(config)
    if rule.kind == "coupled" and not axes.is_decoupled:
        bars["score"] = rule.coupled
    return {name: bar for name, bar in bars.items() if bar > 0 and name not in (axes.x, axes.y)}


def passes_all(columns: Columns, bars: Mapping[str, float]) -> BoolArray | np.bool_:
    """(N,) which labels pass every one of these thresholds."""
    passing = np.bool_(True)
    for name, bar in bars.items():
        passing = passing & (_measured(columns[name]) >= np.float32(bar))
    return passing


def _measured(score: NDArray[Any]) -> FloatArray:
    return np.nan_to_num(score).clip(0, 1).astype(np.float32, copy=False)
