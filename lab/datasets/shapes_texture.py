"""Surfaces of generated scenes: colours, patterns, grounds. Pure; images are float32 RGB 0..255."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

FloatImage = NDArray[np.float32]
Colour = tuple[float, float, float]
Pattern = Literal["flat", "stripes", "checker", "noise", "gradient", "dots"]
HUE_SPREAD = 12.0
"""Standard deviation of a class's hues, degrees: neighbours overlap."""
PATTERNS: tuple[Pattern, ...] = get_args(Pattern)


@dataclass(frozen=True, slots=True)
class Paint:
    """How a surface looks, apart from light: two colours mixed by a pattern."""

    pattern: Pattern
    base: Colour
    accent: Colour
    period: float
    """Length after which the pattern repeats, pixels."""
    angle: float


def random_paint(rng: Generator, scale: float) -> Paint:
    """A paint for an image of side `scale` pixels; its two colours are clearly apart."""
    base = random_colour(rng)
    return Paint(
        pattern=PATTERNS[rng.integers(len(PATTERNS))],
        base=base,
        accent=shifted(base, rng, rng.uniform(25, 90)),
        period=float(scale * rng.uniform(0.035, 0.11)),
        angle=float(rng.uniform(0, np.pi)),
    )


def habitual_paint(rng: Generator, scale: float, hue: float, patterns: Sequence[Pattern]) -> Paint:
    """A paint with one of `patterns` in a colour around `hue` (degrees)."""
    any_paint = random_paint(rng, scale)
    base = hue_colour(rng, hue + rng.normal(0, HUE_SPREAD))
    return replace(
        any_paint,
        pattern=patterns[int(rng.integers(len(patterns)))],
        base=base,
        accent=shifted(base, rng, rng.uniform(25, 90)),
    )


def hue_colour(rng: Generator, hue: float) -> Colour:
    """A colour of the hue (degrees), from pale to vivid and from dark to light."""
    saturation, value = rng.uniform(0.35, 0.9), rng.uniform(0.4, 0.92)
    red, green, blue = colorsys.hsv_to_rgb(hue % 360 / 360, saturation, value)
    return 255 * red, 255 * green, 255 * blue


def random_colour(rng: Generator) -> Colour:
    """From grey to vivid; grey is common, so that colour alone tells little."""
    colour = rng.uniform(25, 230, 3)
    red, green, blue = colour.mean() + rng.uniform(0.1, 0.9) * (colour - colour.mean())
    return float(red), float(green), float(blue)


def shifted(colour: Colour, rng: Generator, distance: float) -> Colour:
    """A colour at `distance` from `colour` in a random direction, kept within 5..250."""
    step = rng.normal(size=3)
    moved = np.asarray(colour) + distance * step / (np.linalg.norm(step) + 1e-9)
    red, green, blue = np.clip(moved, 5, 250)
    return float(red), float(green), float(blue)


def mixed(colour: Colour, towards: Colour, rest: float) -> Colour:
    """`rest` in [0, 1] is what stays of `colour`."""
    red, green, blue = (t + rest * (c - t) for c, t in zip(colour, towards, strict=True))
    return red, green, blue


def faded(paint: Paint, towards: Colour, rest: float) -> Paint:
    """The paint with both colours moved towards another; see `mixed`."""
    return replace(
        paint,
        base=mixed(paint.base, towards, rest),
        accent=mixed(paint.accent, towards, rest),
    )


def render(paint: Paint, height: int, width: int, rng: Generator) -> FloatImage:
    """(height, width, 3) the paint on a flat surface under even light."""
    share = _pattern(paint, height, width, rng)
    base, accent = np.asarray(paint.base), np.asarray(paint.accent)
    return np.asarray(cv2.transform(share, np.stack([accent - base, base], axis=1)), np.float32)


def three(plane: FloatImage) -> FloatImage:
    """(H, W) -> (H, W, 3), the same in each channel: many times faster than broadcasting."""
    return np.asarray(cv2.merge([plane, plane, plane]), np.float32)


def smooth_noise(height: int, width: int, cells: int, rng: Generator) -> FloatImage:
    """(height, width) in 0..1: random values on `cells` x `cells` points, smoothly between."""
    grid = rng.random((cells, cells), dtype=np.float32)
    fine = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(fine, 0, 1, dtype=np.float32)


def draw_background(size: int, paint: Paint, rng: Generator) -> FloatImage:
    """(size, size, 3) a textured ground with patches and scratches that are no objects."""
    ground = render(paint, size, size, rng)
    patches = _steep(smooth_noise(size, size, int(rng.integers(3, 6)), rng), rng.uniform(2, 10))
    other = render(_relative(paint, rng, size), size, size, rng)
    ground += three(patches) * (other - ground)
    _scratch(ground, rng)
    ground += three(14 * smooth_noise(size, size, max(4, size // 4), rng) - 7)
    return ground


def _relative(paint: Paint, rng: Generator, size: int) -> Paint:
    """Another paint whose colour is not far away."""
    own = random_paint(rng, size)
    near = shifted(paint.base, rng, rng.uniform(15, 70))
    return replace(own, base=near, accent=shifted(near, rng, rng.uniform(15, 50)))


def _scratch(ground: FloatImage, rng: Generator) -> None:
    """Draw thin lines across `ground`, in place: clutter with edges but without area."""
    size = len(ground)
    for _ in range(int(rng.integers(4, 12))):
        start = rng.uniform(0, size, 2)
        steps = rng.normal(0, size * 0.09, (int(rng.integers(2, 5)), 2))
        path = np.cumsum(np.concatenate([start[None], steps]), axis=0)
        red, green, blue = ground[int(start[1]), int(start[0])].tolist()
        colour = shifted((red, green, blue), rng, 45)
        thickness = int(rng.integers(1, max(2, size // 48)))
        corners = np.round(path * 16).astype(np.int32)
        cv2.polylines(ground, [corners], False, colour, thickness, cv2.LINE_AA, shift=4)


def _pattern(paint: Paint, height: int, width: int, rng: Generator) -> FloatImage:
    """(height, width) in 0..1: how much of the accent colour is where."""
    if paint.pattern == "flat":
        return np.zeros((height, width), dtype=np.float32)
    if paint.pattern == "noise":
        cells = int(np.clip(max(height, width) / paint.period * 1.5, 3, 24))
        return _steep(smooth_noise(height, width, cells, rng))
    along, across = _rotated_grid(height, width, paint.angle)
    if paint.pattern == "gradient":
        return (along - along.min()) / max(float(np.ptp(along)), 1.0)
    turn = np.float32(2 * np.pi / paint.period)
    if paint.pattern == "stripes":
        return _steep(0.5 + 0.5 * _sine(turn * along), 4)
    waves = _sine(turn / 1.5 * along) * _sine(turn / 1.5 * across)
    if paint.pattern == "checker":
        return _steep(0.5 + 0.5 * waves, 4)
    return _steep(waves, 3)


def _sine(angles: FloatImage) -> FloatImage:
    return np.sin(angles, dtype=np.float32)


def _rotated_grid(height: int, width: int, angle: float) -> tuple[FloatImage, FloatImage]:
    y = np.arange(height, dtype=np.float32)[:, None]
    x = np.arange(width, dtype=np.float32)[None]
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return np.add(x * cos, y * sin), np.subtract(y * cos, x * sin)


def _steep(values: FloatImage, slope: float = 3.0) -> FloatImage:
    """Push values in 0..1 away from 0.5, keeping them in 0..1."""
    return np.clip(0.5 + np.float32(slope) * (values - 0.5), 0, 1, dtype=np.float32)
