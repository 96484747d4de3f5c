"""Outlines of the generated shapes: pure geometry around the origin, longest side 1.

An outline is a tuple of closed contours, each (P, 2) float64 (x, y); a point is inside when it
lies in an odd number of them, so a second contour is a hole. Every draw differs a little.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Contour = NDArray[np.float64]
Outline = tuple[Contour, ...]
OutlineMaker = Callable[[Generator], Outline]


def disc(rng: Generator) -> Outline:
    return _fit(_arc(1.0, rng.uniform(0.96, 1.0)))


def ellipse(rng: Generator) -> Outline:
    return _fit(_arc(1.0, rng.uniform(0.5, 0.74)))


def ring(rng: Generator) -> Outline:
    hole = rng.uniform(0.42, 0.62)
    return _fit(_arc(1.0, 1.0), _arc(hole, hole))


def square(rng: Generator) -> Outline:
    return _fit(_box(1.0, rng.uniform(0.95, 1.0)))


def rectangle(rng: Generator) -> Outline:
    return _fit(_box(1.0, rng.uniform(0.42, 0.7)))


def diamond(rng: Generator) -> Outline:
    """A rhombus that no rotation turns into a square: its diagonals differ."""
    width = rng.uniform(0.5, 0.68)
    return _fit(_points((1, 0), (0, width), (-1, 0), (0, -width)))


def triangle(rng: Generator) -> Outline:
    return _fit(_points((0, -rng.uniform(0.8, 1.2)), (0.6, 0.5), (-0.6, 0.5)))


def star(rng: Generator) -> Outline:
    return _fit(_spikes(5, rng.uniform(0.38, 0.5)))


def arrow(rng: Generator) -> Outline:
    shaft, neck = rng.uniform(0.14, 0.2), rng.uniform(-0.05, 0.15)
    upper = [(1.0, 0.0), (neck, 0.6), (neck, shaft), (-0.9, shaft)]
    return _fit(_points(*upper, *[(x, -y) for x, y in reversed(upper[1:])]))


def flower(rng: Generator) -> Outline:
    petals, depth = int(rng.integers(5, 8)), rng.uniform(0.16, 0.26)
    return _fit(_polar(np.cos(petals * _turn()) * depth + 1))


def gear(rng: Generator) -> Outline:
    """Square teeth where a flower has round petals."""
    teeth, depth = int(rng.integers(7, 10)), rng.uniform(0.24, 0.34)
    return _fit(_polar(np.where(np.sin(teeth * _turn()) > 0, 1 - depth, 1.0)))


def blob(rng: Generator) -> Outline:
    """A few slow waves of random phase: never regular, unlike a flower."""
    waves = np.array([[2], [3], [5]])
    heights = rng.uniform([[0.14], [0.12], [0.04]], [[0.26], [0.2], [0.1]])
    phases = rng.uniform(0, 2 * np.pi, (3, 1))
    return _fit(_polar(1 + (heights * np.cos(waves * _turn() + phases)).sum(axis=0)))


def cross(rng: Generator) -> Outline:
    arm = rng.uniform(0.26, 0.38)
    quarter = _points((arm, 1), (arm, arm), (1, arm))
    turns = [quarter @ _rotation(-step * np.pi / 2).T for step in range(4)]
    return _fit(np.concatenate(turns))


def elbow(rng: Generator) -> Outline:
    leg, wide = rng.uniform(0.65, 1.0), rng.uniform(0.26, 0.36)
    return _fit(_points((0, 0), (leg, 0), (leg, wide), (wide, wide), (wide, 1), (0, 1)))


def tee(rng: Generator) -> Outline:
    bar, stem = rng.uniform(0.24, 0.34), rng.uniform(0.12, 0.18)
    half = rng.uniform(0.4, 0.55)
    right = [(half, 0.0), (half, bar), (stem, bar), (stem, 1.0)]
    return _fit(_points(*right, *[(-x, y) for x, y in reversed(right)]))


def heart(rng: Generator) -> Outline:
    t = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return _fit(np.stack([x, y * rng.uniform(0.9, 1.15)], axis=1))


def crescent(rng: Generator) -> Outline:
    """A disc's left part, its right edge pulled in towards the left."""
    t = np.linspace(0.5 * np.pi, 1.5 * np.pi, 40)
    bulge = rng.uniform(0.35, 0.6)
    outer = np.stack([np.cos(t), np.sin(t)], axis=1)
    inner = np.stack([bulge * np.cos(t[::-1]), np.sin(t[::-1])], axis=1)
    return _fit(np.concatenate([outer, inner[1:-1]]))


def drop(rng: Generator) -> Outline:
    t = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    sharp = rng.uniform(1.2, 1.8)
    return _fit(np.stack([np.sin(t) * np.sin(t / 2) ** sharp, -np.cos(t)], axis=1))


def half_disc(rng: Generator) -> Outline:
    t = np.linspace(0, np.pi, 40)
    return _fit(np.stack([np.cos(t), rng.uniform(0.85, 1.05) * np.sin(t)], axis=1))


def pentagon(rng: Generator) -> Outline:
    turn = np.linspace(0, 2 * np.pi, 5, endpoint=False)
    return _fit(np.stack([np.cos(turn), rng.uniform(0.9, 1.0) * np.sin(turn)], axis=1))


def hourglass(rng: Generator) -> Outline:
    waist, wide = rng.uniform(0.1, 0.2), rng.uniform(0.55, 0.75)
    return _fit(
        _points((-wide, -1), (wide, -1), (waist, 0), (wide, 1), (-wide, 1), (-waist, 0)),
    )


def zigzag(rng: Generator) -> Outline:
    """A thick line with two kinks."""
    thick = rng.uniform(0.34, 0.46)
    line = [(-1.0, 0.4), (-0.35, -0.4), (0.35, 0.4), (1.0, -0.4)]
    lower = [(x, y + thick) for x, y in reversed(line)]
    return _fit(_points(*line, *lower))


def place(outline: Outline, angle: float, size: float, centre: tuple[float, float]) -> Outline:
    """Turn by `angle` radians, scale to `size` pixels (the longest side before turning), move."""
    turn = _rotation(angle).T * size
    return tuple(contour @ turn + np.asarray(centre) for contour in outline)


def _points(*points: tuple[float, float]) -> Contour:
    return np.array(points, dtype=np.float64)


def _box(width: float, height: float) -> Contour:
    return _points((-width, -height), (width, -height), (width, height), (-width, height))


def _arc(radius_x: float, radius_y: float) -> Contour:
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    return np.stack([radius_x * np.cos(angle), radius_y * np.sin(angle)], axis=1)


def _spikes(count: int, inner: float) -> Contour:
    angle = np.arange(2 * count) * np.pi / count
    radius = np.where(np.arange(2 * count) % 2 == 0, 1.0, inner)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _turn() -> Contour:
    """(144,) angles once around."""
    return np.linspace(0, 2 * np.pi, 144, endpoint=False)


def _polar(radius: Contour) -> Contour:
    """(144,) distance from the origin at each angle of `_turn` -> (144, 2)."""
    return radius[:, None] * np.stack([np.cos(_turn()), np.sin(_turn())], axis=1)


def _rotation(angle: float) -> Contour:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _fit(*contours: Contour) -> Outline:
    """Centre the outer (first) contour's box on the origin and make its longest side 1."""
    low, high = contours[0].min(axis=0), contours[0].max(axis=0)
    return tuple((contour - (low + high) / 2) / (high - low).max() for contour in contours)


def extent(outline: Sequence[Contour]) -> tuple[float, float, float, float]:
    """XYXY box of all contours, in their own unit."""
    points = np.concatenate(list(outline))
    (x1, y1), (x2, y2) = points.min(axis=0), points.max(axis=0)
    return float(x1), float(y1), float(x2), float(y2)
