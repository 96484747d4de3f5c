"""One generated picture: what is where (`plan_scene`), then how it looks (`paint_scene`).

`draw_scene` is pure: the same generator state gives the same picture, masks and depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from lab.config import LooksConfig
from lab.datasets.records import BoolArray
from lab.datasets.shapes_classes import ShapeClass
from lab.datasets.shapes_outline import Outline, extent, place
from lab.datasets.shapes_texture import (
    FloatImage,
    Paint,
    draw_background,
    faded,
    habitual_paint,
    random_paint,
    render,
    smooth_noise,
    three,
)

MIN_VISIBLE_SHARE = 0.2
MIN_VISIBLE_PIXELS = 12
SUPERSAMPLING = 4
SIZE_RANGES = ((0.06, 0.15), (0.15, 0.3), (0.3, 0.6))
"""Small, medium and large objects: their longest side as a share of the image's."""
COMPANION_SHARE = 0.35
HABIT_SHARE = 0.9
"""Objects that look as their class usually does; the others wear any paint."""
USUAL = LooksConfig()


@dataclass(frozen=True, slots=True)
class SceneObject:
    """One object as planned, before anything is drawn."""

    label: int
    outline: Outline
    """In image pixels."""
    size: float
    centre: tuple[float, float]
    paint: Paint
    relief: float
    """Strength of the shading at its rim; 0 = none."""
    shadow: float
    """Darkness of its cast shadow; 0 = none."""


@dataclass(frozen=True, slots=True)
class ScenePlan:
    """A whole picture before anything is drawn. Later objects lie in front of earlier ones."""

    size: int
    ground: Paint
    light: tuple[float, float]
    """Unit vector the light travels along, (x, y)."""
    objects: tuple[SceneObject, ...]


@dataclass(frozen=True, slots=True)
class VisibleObject:
    """One annotated object: its class and the pixels where it can be seen."""

    label: int
    mask: BoolArray


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture and the whole truth about it."""

    image: NDArray[np.uint8]
    """(S, S, 3) RGB."""
    depth: NDArray[np.uint16]
    """(S, S) inverse depth: 0 = far, 65535 = near, blurred and noisy as a network's would be."""
    objects: tuple[VisibleObject, ...]
    """Masks are disjoint. Hardly visible objects are in the picture but not here."""


@dataclass(frozen=True, slots=True)
class _Stamp:
    """The share of each pixel an object covers, in a window of the image."""

    rows: slice
    columns: slice
    cover: FloatImage


def draw_scene(
    rng: Generator, classes: Sequence[ShapeClass], size: int, looks: LooksConfig = USUAL
) -> Scene:
    """Draw a `size` x `size` picture with objects of `classes`."""
    return paint_scene(plan_scene(rng, classes, size, looks), rng)


def plan_scene(
    rng: Generator, classes: Sequence[ShapeClass], size: int, looks: LooksConfig = USUAL
) -> ScenePlan:
    """Choose classes, places, sizes and looks."""
    ground = random_paint(rng, size)
    direction = rng.uniform(0, 2 * np.pi)
    objects: list[SceneObject] = []
    for label in _draw_labels(
        rng, classes, int(rng.integers(looks.objects[0], looks.objects[1] + 1))
    ):
        objects.append(_plan_object(rng, classes[label], label, size, ground, objects, looks))
    light = (float(np.cos(direction)), float(np.sin(direction)))
    return ScenePlan(size, ground, light, tuple(objects))


def paint_scene(plan: ScenePlan, rng: Generator) -> Scene:
    """Draw a plan back to front and look at it through a camera."""
    image = draw_background(plan.size, plan.ground, rng)
    depth = _tilted(plan.size, 0.05, 0.3, rng)
    owner = np.full((plan.size, plan.size), -1, dtype=np.int16)
    covered = []
    for rank, thing in enumerate(plan.objects):
        stamp = _stamp(thing, plan.size)
        _cast_shadow(image, stamp, thing, plan.light)
        _paint_object(image, stamp, thing, plan.light, rng)
        inside = stamp.cover >= 0.5
        nearness = 0.35 + 0.6 * (rank + rng.uniform(0.85, 1)) / len(plan.objects)
        surface = nearness + rng.uniform(-0.03, 0.03) * np.linspace(-1, 1, inside.shape[1])
        np.copyto(depth[stamp.rows, stamp.columns], surface, where=inside, casting="same_kind")
        owner[stamp.rows, stamp.columns][inside] = rank
        covered.append(int(inside.sum()))
    return Scene(_camera(image, rng), _sense_depth(depth, rng), _visible(plan, owner, covered))


def _draw_labels(rng: Generator, classes: Sequence[ShapeClass], count: int) -> list[int]:
    weights = np.array([c.frequency for c in classes])
    names = [c.name for c in classes]
    labels: list[int] = []
    while len(labels) < count:
        companion = classes[labels[-1]].companion if labels else None
        if companion is not None and rng.random() < COMPANION_SHARE:
            labels.append(names.index(companion))
        else:
            labels.append(int(rng.choice(len(classes), p=weights / weights.sum())))
    return labels


def _plan_object(
    rng: Generator,
    shape: ShapeClass,
    label: int,
    size: int,
    ground: Paint,
    others: Sequence[SceneObject],
    looks: LooksConfig,
) -> SceneObject:
    low, high = SIZE_RANGES[rng.choice(len(SIZE_RANGES), p=looks.sizes)]
    side = float(size * np.exp(rng.uniform(np.log(low), np.log(high))))
    paint = _object_paint(rng, shape, size, ground, looks)
    centre = _free_place(rng, size, side, others)
    if others and rng.random() < looks.twins:
        paint, side = others[-1].paint, float(np.clip(side, 0.12 * size, others[-1].size))
        centre = _beside(rng, size, side, others[-1])
    return SceneObject(
        label=label,
        outline=place(shape.outline(rng), rng.uniform(0, 2 * np.pi), side, centre),
        size=side,
        centre=centre,
        paint=paint,
        relief=float(rng.uniform(0.1, 0.5) * (rng.random() < 0.6)),
        shadow=float(rng.uniform(0.15, 0.5) * (rng.random() < 0.6)),
    )


def _object_paint(
    rng: Generator, shape: ShapeClass, size: int, ground: Paint, looks: LooksConfig
) -> Paint:
    if rng.random() < HABIT_SHARE:
        own = habitual_paint(rng, size * 0.8, shape.hue, shape.patterns)
    else:
        own = random_paint(rng, size * 0.8)
    # No draw without need: usual looks must give the pictures that they always gave.
    if looks.shared_texture and rng.random() < looks.shared_texture:
        return replace(own, base=ground.accent, accent=ground.base)
    if rng.random() >= looks.low_contrast:
        return own
    if rng.random() < 0.5:
        return faded(own, ground.base, rng.uniform(0.12, 0.25))
    return faded(ground, own.base, rng.uniform(0.8, 0.9))


def _free_place(
    rng: Generator, size: int, side: float, others: Sequence[SceneObject]
) -> tuple[float, float]:
    """The emptiest of a few random places: occlusion happens, but does not rule."""
    places = rng.uniform(0.06 * size, 0.94 * size, (3, 2))
    if not others:
        return float(places[0, 0]), float(places[0, 1])
    centres = np.array([o.centre for o in others])
    reach = np.array([o.size + side for o in others]) / 2
    gaps = np.linalg.norm(places[:, None] - centres, axis=2) / reach
    x, y = places[gaps.min(axis=1).argmax()]
    return float(x), float(y)


def _beside(rng: Generator, size: int, side: float, neighbour: SceneObject) -> tuple[float, float]:
    """A place where an object of this side just touches its neighbour."""
    angle = rng.uniform(0, 2 * np.pi)
    reach = 0.44 * (side + neighbour.size)
    x, y = np.clip(
        np.asarray(neighbour.centre) + reach * np.array([np.cos(angle), np.sin(angle)]),
        0.05 * size,
        0.95 * size,
    )
    return float(x), float(y)


def _stamp(thing: SceneObject, size: int) -> _Stamp:
    """Rasterise an outline with anti-aliasing, with room around it for blur and shadow."""
    margin = 3 + 0.12 * thing.size
    x1, y1, x2, y2 = extent(thing.outline)
    left, top = (max(0, int(v - margin)) for v in (x1, y1))
    right, bottom = (min(size, int(np.ceil(v + margin))) for v in (x2, y2))
    height, width = bottom - top, right - left
    fine = np.zeros((height * SUPERSAMPLING, width * SUPERSAMPLING), dtype=np.uint8)
    scale = SUPERSAMPLING * 16
    offset = np.array([left, top])
    # fillPoly puts a pixel's centre at whole coordinates; ours are half-open, hence the 8.
    points = [np.round((c - offset) * scale - 8).astype(np.int32) for c in thing.outline]
    cv2.fillPoly(fine, points, 255, lineType=cv2.LINE_8, shift=4)
    cover = cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)
    share = np.asarray(cover, np.float32) / np.float32(255)
    return _Stamp(slice(top, bottom), slice(left, right), share)


def _cast_shadow(
    image: FloatImage, stamp: _Stamp, thing: SceneObject, light: tuple[float, float]
) -> None:
    """Darken what lies behind an object, in place."""
    if thing.shadow == 0:
        return
    reach = 1 + 0.08 * thing.size
    move = np.array([[1, 0, reach * light[0]], [0, 1, reach * light[1]]], dtype=np.float32)
    height, width = stamp.cover.shape
    shade = cv2.warpAffine(stamp.cover, move, (width, height))
    shade = cv2.GaussianBlur(shade, (0, 0), 0.6 + 0.02 * thing.size)
    image[stamp.rows, stamp.columns] *= three(np.asarray(1 - thing.shadow * shade, np.float32))


def _paint_object(
    image: FloatImage,
    stamp: _Stamp,
    thing: SceneObject,
    light: tuple[float, float],
    rng: Generator,
) -> None:
    """Lay an object over the image, in place."""
    height, width = stamp.cover.shape
    surface = render(thing.paint, height, width, rng)
    if thing.relief > 0:
        height_map = cv2.GaussianBlur(stamp.cover, (0, 0), 0.8 + 0.06 * thing.size)
        slope_x = cv2.Sobel(height_map, cv2.CV_32F, 1, 0, scale=0.02 * thing.size)
        slope_y = cv2.Sobel(height_map, cv2.CV_32F, 0, 1, scale=0.02 * thing.size)
        glow = 1 - thing.relief * np.tanh(slope_x * light[0] + slope_y * light[1])
        surface *= three(np.asarray(glow, np.float32))
    window = image[stamp.rows, stamp.columns]
    window += three(stamp.cover) * (surface - window)


def _tilted(size: int, low: float, high: float, rng: Generator) -> FloatImage:
    """(size, size) a plane that comes nearer towards the bottom and leans a little sideways."""
    down = np.linspace(low, high, size, dtype=np.float32)[:, None]
    aside = np.linspace(-1, 1, size, dtype=np.float32)[None] * np.float32(rng.uniform(-0.04, 0.04))
    return np.add(down, aside, dtype=np.float32)


def _visible(
    plan: ScenePlan, owner: NDArray[np.int16], covered: Sequence[int]
) -> tuple[VisibleObject, ...]:
    seen = np.bincount(owner.ravel() + 1, minlength=len(covered) + 1)[1:]
    return tuple(
        VisibleObject(thing.label, owner == rank)
        for rank, thing in enumerate(plan.objects)
        if seen[rank] >= max(MIN_VISIBLE_PIXELS, MIN_VISIBLE_SHARE * covered[rank])
    )


def _camera(image: FloatImage, rng: Generator) -> NDArray[np.uint8]:
    """Uneven light, focus, exposure and sensor noise."""
    size = len(image)
    if rng.random() < 0.5:
        image *= three(_tilted(size, 1.1, 0.85, rng))
    if rng.random() < 0.3:
        cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 0.8) * size / 128, dst=image)
    image *= np.float32(rng.uniform(0.75, 1.15))
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    image += np.float32(rng.uniform(3, 10)) * noise
    return np.clip(image + 0.5, 0, 255).astype(np.uint8)


def _sense_depth(depth: FloatImage, rng: Generator) -> NDArray[np.uint16]:
    """What a depth network would make of the true inverse depth in 0..1."""
    size = len(depth)
    blurred = cv2.GaussianBlur(depth, (0, 0), 0.009 * size)
    blurred += 0.04 * (smooth_noise(size, size, 5, rng) - 0.5)
    blurred += 0.008 * rng.standard_normal(depth.shape, dtype=np.float32)
    return np.round(np.clip(blurred, 0, 1) * 65535).astype(np.uint16)
