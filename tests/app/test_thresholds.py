"""What a config says about keeping labels, and the reason a label was dropped."""

from __future__ import annotations

import pytest

from app.thresholds import Thresholds, min_area_of, thresholds_of, why_dropped
from lab.datasets.records import DropRule

MEASURED = {
    DropRule.CLASS_QUALITY: 0.81,
    DropRule.MASK_QUALITY: 0.62,
    DropRule.COUPLED_SCORE: 0.5022,
    DropRule.MASK_AREA: 4.0,
    DropRule.MATCH_SCORE: 0.7421,
}


@pytest.mark.parametrize(
    ("rule", "value", "words"),
    [
        (DropRule.KEPT, float("nan"), "kept"),
        (DropRule.CLASS_QUALITY, 0.85, "class quality 0.81 < 0.85"),
        (DropRule.MASK_QUALITY, 0.9, "mask quality 0.62 < 0.90"),
        (DropRule.COUPLED_SCORE, 0.7, "class × mask quality 0.50 < 0.70"),
        (DropRule.MASK_AREA, 5.0, "mask area 4 px ≤ 5 px"),
        (DropRule.MATCH_SCORE, 0.8, "match score 0.74 < 0.80"),
    ],
)
def test_the_reason_names_the_rule_the_value_and_the_threshold(
    rule: DropRule, value: float, words: str
) -> None:
    assert why_dropped(rule, value, MEASURED) == words


def test_a_near_miss_is_told_with_more_digits() -> None:
    near = MEASURED | {DropRule.MASK_QUALITY: 0.8996}

    assert why_dropped(DropRule.MASK_QUALITY, 0.9, near) == "mask quality 0.8996 < 0.9000"


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ({"name": "supervised"}, Thresholds("none", 0.0, 0.0, 0.0)),
        (
            {"name": "guided_distillation", "class_threshold": 0.7},
            Thresholds("class", 0.7, 0.0, 0.0),
        ),
        (
            {"name": "pl_dc", "class_threshold": 0.85, "mask_threshold": 0.9, "ddtf": True},
            Thresholds("dual", 0.85, 0.9, 0.0),
        ),
        (
            {"name": "pl_dc", "ddtf": False, "coupled_threshold": 0.7},
            Thresholds("coupled", 0.0, 0.0, 0.7),
        ),
        ({}, Thresholds("class", 0.0, 0.0, 0.0)),
    ],
)
def test_thresholds_of_each_method(method: dict[str, object], expected: Thresholds) -> None:
    assert thresholds_of({"method": method}) == expected


def test_no_mask_is_too_small_for_a_config_that_sets_no_limit() -> None:
    assert min_area_of({}) < 0
    assert min_area_of({"method": {"min_mask_area": 5}}) == 5
