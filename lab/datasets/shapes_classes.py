"""The two families of generated classes. Look-alikes share a supercategory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lab.datasets import shapes_outline as outline
from lab.datasets.shapes_outline import OutlineMaker

Family = Literal["main", "pretrain"]


@dataclass(frozen=True, slots=True)
class ShapeClass:
    """One class: how it looks, how common it is, which class likes to be near it."""

    name: str
    supercategory: str
    outline: OutlineMaker
    frequency: float
    """Relative to the commonest class of the family."""
    companion: str | None = None
    """The class that often follows it in the same image: about as common, of another kind."""


MAIN = (
    ShapeClass("disc", "round", outline.disc, 1.0, "square"),
    ShapeClass("ellipse", "round", outline.ellipse, 0.47, "rectangle"),
    ShapeClass("ring", "round", outline.ring, 0.22, "diamond"),
    ShapeClass("square", "cornered", outline.square, 0.83, "disc"),
    ShapeClass("rectangle", "cornered", outline.rectangle, 0.39, "ellipse"),
    ShapeClass("diamond", "cornered", outline.diamond, 0.18, "ring"),
    ShapeClass("triangle", "pointed", outline.triangle, 0.69, "blob"),
    ShapeClass("star", "pointed", outline.star, 0.32, "flower"),
    ShapeClass("arrow", "pointed", outline.arrow, 0.15, "gear"),
    ShapeClass("blob", "lobed", outline.blob, 0.57, "triangle"),
    ShapeClass("flower", "lobed", outline.flower, 0.27, "star"),
    ShapeClass("gear", "lobed", outline.gear, 0.125, "arrow"),
)
"""Frequencies fall by the same factor from class to class, 8:1 from first to last."""

PRETRAIN = (
    ShapeClass("cross", "barred", outline.cross, 1.0),
    ShapeClass("elbow", "barred", outline.elbow, 1.0),
    ShapeClass("tee", "barred", outline.tee, 1.0),
    ShapeClass("heart", "curved", outline.heart, 1.0),
    ShapeClass("crescent", "curved", outline.crescent, 1.0),
    ShapeClass("drop", "curved", outline.drop, 1.0),
    ShapeClass("half disc", "curved", outline.half_disc, 1.0),
    ShapeClass("pentagon", "angular", outline.pentagon, 1.0),
    ShapeClass("hourglass", "angular", outline.hourglass, 1.0),
    ShapeClass("zigzag", "angular", outline.zigzag, 1.0),
)
"""Shares no class with `MAIN`: what a backbone may be pretrained on."""


def family_classes(family: Family) -> tuple[ShapeClass, ...]:
    """The classes of a family in the order of their labels."""
    return MAIN if family == "main" else PRETRAIN
