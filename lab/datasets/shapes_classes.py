"""The two families of generated classes. Look-alikes share a supercategory.

As in photographs, surfaces hint at the class without deciding it: look-alikes share patterns and
have neighbouring hues, and a share of all objects follows no habit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lab.datasets import shapes_outline as outline
from lab.datasets.shapes_outline import OutlineMaker
from lab.datasets.shapes_texture import Pattern

Family = Literal["main", "pretrain"]


@dataclass(frozen=True, slots=True)
class ShapeClass:
    """One class: how it looks, how common it is, which class likes to be near it."""

    name: str
    supercategory: str
    outline: OutlineMaker
    frequency: float
    """Relative to the commonest class of the family."""
    hue: float
    """Where on the colour circle most of its surfaces lie, degrees. Look-alikes are neighbours."""
    patterns: tuple[Pattern, Pattern]
    """What most of its surfaces are covered with; the same for look-alikes."""
    companion: str | None = None
    """The class that often follows it in the same image: about as common, of another kind."""


MAIN = (
    ShapeClass("disc", "round", outline.disc, 1.0, 0, ("gradient", "dots"), "square"),
    ShapeClass("ellipse", "round", outline.ellipse, 0.47, 30, ("gradient", "dots"), "rectangle"),
    ShapeClass("ring", "round", outline.ring, 0.22, 60, ("gradient", "dots"), "diamond"),
    ShapeClass("square", "cornered", outline.square, 0.83, 90, ("checker", "stripes"), "disc"),
    ShapeClass(
        "rectangle", "cornered", outline.rectangle, 0.39, 120, ("checker", "stripes"), "ellipse"
    ),
    ShapeClass("diamond", "cornered", outline.diamond, 0.18, 150, ("checker", "stripes"), "ring"),
    ShapeClass("triangle", "pointed", outline.triangle, 0.69, 180, ("flat", "stripes"), "blob"),
    ShapeClass("star", "pointed", outline.star, 0.32, 210, ("flat", "stripes"), "flower"),
    ShapeClass("arrow", "pointed", outline.arrow, 0.15, 240, ("flat", "stripes"), "gear"),
    ShapeClass("blob", "lobed", outline.blob, 0.57, 270, ("noise", "gradient"), "triangle"),
    ShapeClass("flower", "lobed", outline.flower, 0.27, 300, ("noise", "gradient"), "star"),
    ShapeClass("gear", "lobed", outline.gear, 0.125, 330, ("noise", "gradient"), "arrow"),
)
"""Frequencies fall by the same factor from class to class, 8:1 from first to last."""

PRETRAIN = (
    ShapeClass("cross", "barred", outline.cross, 1.0, 0, ("stripes", "flat")),
    ShapeClass("elbow", "barred", outline.elbow, 1.0, 36, ("stripes", "flat")),
    ShapeClass("tee", "barred", outline.tee, 1.0, 72, ("stripes", "flat")),
    ShapeClass("heart", "curved", outline.heart, 1.0, 108, ("gradient", "noise")),
    ShapeClass("crescent", "curved", outline.crescent, 1.0, 144, ("gradient", "noise")),
    ShapeClass("drop", "curved", outline.drop, 1.0, 180, ("gradient", "noise")),
    ShapeClass("half disc", "curved", outline.half_disc, 1.0, 216, ("gradient", "noise")),
    ShapeClass("pentagon", "angular", outline.pentagon, 1.0, 252, ("checker", "dots")),
    ShapeClass("hourglass", "angular", outline.hourglass, 1.0, 288, ("checker", "dots")),
    ShapeClass("zigzag", "angular", outline.zigzag, 1.0, 324, ("checker", "dots")),
)
"""Shares no class with `MAIN`: what a backbone may be pretrained on."""


def family_classes(family: Family) -> tuple[ShapeClass, ...]:
    """The classes of a family in the order of their labels."""
    return MAIN if family == "main" else PRETRAIN
