"""What a run's config says about keeping pseudo-labels, and the same in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lab.config import FOREIGN, with_overrides
from lab.datasets.records import DropRule
from lab.store.asks import applied_changes
from lab.store.queries import RunRow
from lab.store.store import Store

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
    if FOREIGN in config and "mask_threshold" in method:
        return Thresholds("dual", bar, float(method["mask_threshold"]), 0.0)
    return Thresholds("class", bar, 0.0, 0.0)


def threshold_fields(config: Mapping[str, Any]) -> dict[str, str]:
    """Which scores the run puts a threshold on: field of its method by column.

    A threshold on the product of two scores is none on either of them.
    """
    method = config.get("method", {})
    match method.get("name"):
        case "boxteacher":
            fields = {"box_score": "min_score"}
        case "pseudo_depth":
            fields = {"match_score": "match_threshold"}
        case "pl_dc" if not method.get("ddtf", True):
            fields = {}
        case _:
            fields = {"class_quality": "class_threshold", "mask_quality": "mask_threshold"}
    return {column: field for column, field in fields.items() if field in method}


def own_thresholds(config: Mapping[str, Any]) -> dict[str, float]:
    """What these are, by column; a score without one lets everything in."""
    fields = threshold_fields(config)
    return {column: float(config["method"][field]) for column, field in fields.items()}


def config_in_effect(store: Store, row: RunRow) -> Mapping[str, Any]:
    """The config as launched, with the changes that were made while the run trained."""
    config = row.config
    for change in applied_changes(store, row.run_id):
        config = with_overrides(config, change.values)
    return config


def corrects_classes(config: Mapping[str, Any]) -> bool:
    """Whether the method may give a label another class than its teacher gave it."""
    method = config.get("method", {})
    return method.get("name") == "pl_dc" and bool(method.get("dicc", True))


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
