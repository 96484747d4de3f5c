"""What a label tells in FiftyOne: its attributes, their types, and their values. Pure.

A score that does not apply is left out, never written as NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from app.thresholds import RULE_WORDS, why_dropped
from lab.datasets.records import Category, DropRule, ErrorKind
from lab.store.packing import FLOAT_COLUMNS

Type = Literal["text", "number", "count", "flag"]
Columns = Mapping[str, NDArray[Any]]
Values = dict[str, list[Any]]

KIND_NAMES = {
    ErrorKind.UNKNOWN: "unknown",
    ErrorKind.COR: "Cor",
    ErrorKind.LOC: "Loc",
    ErrorKind.SIM: "Sim",
    ErrorKind.OTH: "Oth",
    ErrorKind.BG: "BG",
    ErrorKind.IGNORED: "ignored",
}
RULE_NAMES = {DropRule.KEPT: "kept"} | {rule: words for rule, words in RULE_WORDS.items()}
NUMBER: Type = "number"
GEOMETRY = frozenset(("x1", "y1", "x2", "y2"))
SCORES = tuple(name for name in FLOAT_COLUMNS if name not in GEOMETRY)
"""Every recorded number of a label but its box, under its name in the store."""
IDS = ("label_id", "step", "gt_id", "target_id")
FLAGS = ("kept", "duplicate")
TRUTH_TYPES: Mapping[str, Type] = {
    "annotation_id": "count",
    "supercategory": "text",
    "area": "number",
    "iscrowd": "flag",
}
"""Attributes of the ground truth."""


def label_types(columns: Columns) -> dict[str, Type]:
    """The attributes of labels with these columns, and what each is; columns of NaN have none."""
    types: dict[str, Type] = {"kind": "text", "gt_class": "text", "supercategory": "text"}
    if "rule" in columns:
        types |= {"drop_rule": "text", "why": "text", "class_before": "text", "corrected": "flag"}
    types |= {name: "flag" for name in FLAGS if name in columns}
    types |= {name: "count" for name in IDS if name in columns and (columns[name] != -1).any()}
    known = [name for name in SCORES if name in columns and not np.isnan(columns[name]).all()]
    return {**types, **dict.fromkeys(known, NUMBER)}


def label_values(
    columns: Columns, categories: Sequence[Category], truth_classes: Mapping[int, int]
) -> Values:
    """The values of these attributes, (N,) each, None where one does not apply.

    Args:
        columns: (N,) as the store answers them.
        truth_classes: class of each annotation by its id.
    """
    types = label_types(columns)
    names = [category.name for category in categories]
    classes = columns["label"].tolist()
    values: Values = {
        "kind": [KIND_NAMES[ErrorKind(kind)] for kind in columns["kind"].tolist()],
        "gt_class": [
            names[truth_classes[one]] if one in truth_classes else None
            for one in columns["gt_id"].tolist()
        ],
        "supercategory": [categories[one].supercategory for one in classes],
    }
    if "rule" in columns:
        values |= _decisions(columns, names)
    values |= {name: columns[name].astype(bool).tolist() for name in FLAGS if name in types}
    values |= {name: [_id(one) for one in columns[name].tolist()] for name in IDS if name in types}
    return values | {name: plain_numbers(columns[name]) for name in SCORES if name in types}


def plain_numbers(column: NDArray[Any]) -> list[float | None]:
    """(N,) floats, None for NaN."""
    plain = column.astype(np.float64).astype(object)
    plain[np.isnan(column)] = None
    return plain.tolist()


def _id(value: int) -> int | None:
    return None if value == -1 else value


def _decisions(columns: Columns, names: Sequence[str]) -> Values:
    """Why each label was kept or dropped, and what correction did to its class."""
    rules = [DropRule(rule) for rule in columns["rule"].tolist()]
    before, after = columns["label_before"], columns["label"]
    measured = {
        DropRule.CLASS_QUALITY: columns["class_quality"],
        DropRule.MASK_QUALITY: columns["mask_quality"],
        DropRule.COUPLED_SCORE: columns["score"],
        DropRule.MASK_AREA: columns["area"],
        DropRule.MATCH_SCORE: columns["match_score"],
    }
    return {
        "drop_rule": [RULE_NAMES[rule] for rule in rules],
        "why": [
            why_dropped(rule, bar, {} if rule is DropRule.KEPT else {rule: measured[rule][place]})
            for place, (rule, bar) in enumerate(
                zip(rules, columns["rule_value"].tolist(), strict=True)
            )
        ],
        "class_before": [names[one] for one in before.tolist()],
        "corrected": (before != after).tolist(),
    }
