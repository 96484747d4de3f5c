"""What a run's config says about keeping pseudo-labels, and the same in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lab.datasets.records import DropRule

PAPER_CLASS_THRESHOLD = 0.85
PAPER_MASK_THRESHOLD = 0.9

RULE_WORDS = {
    DropRule.CLASS_QUALITY: "class quality",
    DropRule.MASK_QUALITY: "mask quality",
    DropRule.COUPLED_SCORE: "class × mask quality",
    DropRule.MASK_AREA: "mask area",
    DropRule.MATCH_SCORE: "match score",
}


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How a run keeps pseudo-labels.

    `kind`: "dual" = class and mask quality apart, "class" = class quality alone, "coupled" =
    their product, "none" = the method makes no pseudo-labels.
    """

    kind: Literal["dual", "class", "coupled", "none"]
    class_quality: float
    mask_quality: float
    coupled: float


def thresholds_of(config: Mapping[str, Any]) -> Thresholds:
    """Read the thresholds out of a resolved config (a nested mapping)."""
    method = config.get("method", {})
    bar = float(method.get("class_threshold", 0.0))
    if method.get("name") == "pl_dc":
        coupled = float(method.get("coupled_threshold", 0.0))
        kind = "dual" if method.get("ddtf", True) else "coupled"
        return Thresholds(kind, bar, float(method.get("mask_threshold", 0.0)), coupled)
    if method.get("name") in ("supervised", "boxinst"):
        return Thresholds("none", 0.0, 0.0, 0.0)
    return Thresholds("class", bar, 0.0, 0.0)


def min_area_of(config: Mapping[str, Any]) -> float:
    """Masks of this many pixels or fewer are dropped whatever their scores; -1 = none are."""
    return float(config.get("method", {}).get("min_mask_area", -1))


def why_dropped(rule: DropRule, value: float, measured: Mapping[DropRule, float]) -> str:
    """ "mask quality 0.62 < 0.90", or "kept".

    Args:
        value: the threshold that dropped the label.
        measured: what the label had, by rule.
    """
    if rule is DropRule.KEPT:
        return "kept"
    if rule is DropRule.MASK_AREA:
        return f"mask area {measured[rule]:.0f} px ≤ {value:.0f} px"
    had = measured[rule]
    digits = 2 if f"{had:.2f}" != f"{value:.2f}" else 4
    return f"{RULE_WORDS[rule]} {had:.{digits}f} < {value:.{digits}f}"
