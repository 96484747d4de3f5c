"""What differs between runs: configs, scores, kept labels. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lab.analysis.match import mask_ious, pairs
from lab.analysis.quality import ratio
from lab.config import flatten
from lab.datasets.records import BoolArray, ErrorKind, IntArray, Rle
from lab.store.rows import EvaluationRow, StepSummary

SAME_IOU = 0.5
"""Two labels of one class are the same when their masks overlap at least this much."""
NAMES = frozenset({"name"})
"""Config keys that differ always and mean nothing."""


def config_differences(configs: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """Dotted keys that do not have one value in all configs, each with its values in order.

    None stands for a key that a config does not have: another method has other keys.
    """
    flat = [flatten(dict(config)) for config in configs]
    keys = sorted(set().union(*flat) - NAMES) if flat else []
    values = {key: tuple(one.get(key) for one in flat) for key in keys}
    return {key: found for key, found in values.items() if any(v != found[0] for v in found)}


@dataclass(frozen=True, slots=True)
class ModelScores:
    """One network's evaluations: the last, and the best: the highest AP, the first of equals."""

    model: str
    final_step: int
    final: Mapping[str, float]
    best_step: int
    best: Mapping[str, float]
    per_class: Mapping[str, float]
    """AP of each class at the end."""
    kinds: Mapping[str, int]
    """Kinds of error of the predictions at the end."""


def model_scores(rows: Sequence[EvaluationRow]) -> dict[str, ModelScores]:
    """Scores by model, of evaluations on other images than the training ones."""
    models: dict[str, list[EvaluationRow]] = {}
    for row in sorted(rows, key=lambda row: row.step):
        if row.split != "train":
            models.setdefault(row.model, []).append(row)
    return {model: _scores(model, found) for model, found in models.items()}


def _scores(model: str, rows: Sequence[EvaluationRow]) -> ModelScores:
    def ap(row: EvaluationRow) -> float:
        value = row.metrics.get("AP", math.nan)
        return -math.inf if math.isnan(value) else value

    last, best = rows[-1], max(rows, key=ap)
    return ModelScores(
        model, last.step, last.metrics, best.step, best.metrics, last.per_class, last.kinds
    )


@dataclass(frozen=True, slots=True)
class KeptLabels:
    """The kept pseudo-labels of some steps, against the hidden truth; NaN where there is none."""

    steps: int
    candidates: int
    kept: int
    precision: float
    recall: float
    kinds: Mapping[str, int]


def kept_labels(summaries: Sequence[StepSummary]) -> KeptLabels:
    """All steps added up."""
    kinds = {kind: sum(one.kept_kinds[kind] for one in summaries) for kind in ErrorKind}
    kept = sum(one.kept for one in summaries)
    judged = kept - kinds[ErrorKind.UNKNOWN] - kinds[ErrorKind.IGNORED]
    truths = sum(one.truths for one in summaries)
    return KeptLabels(
        steps=len(summaries),
        candidates=sum(one.candidates for one in summaries),
        kept=kept,
        precision=ratio(kinds[ErrorKind.COR], judged),
        recall=ratio(sum(one.found for one in summaries), truths),
        kinds={kind.name.lower(): count for kind, count in kinds.items()},
    )


@dataclass(frozen=True, slots=True)
class ImageLabels:
    """Labels of one image: N classes, N masks."""

    labels: IntArray
    masks: tuple[Rle, ...]


def same_labels(left: ImageLabels, right: ImageLabels) -> tuple[BoolArray, BoolArray]:
    """Which labels of one image have their like on the other side; (N,) and (M,).

    Alike are labels of one class whose masks have an IoU of at least 0.5. Each has one like at
    most: the pair with the highest IoU comes first.
    """
    ours, theirs = np.zeros(len(left.labels), np.bool_), np.zeros(len(right.labels), np.bool_)
    if not len(ours) or not len(theirs):
        return ours, theirs
    ious = mask_ious(left.masks, right.masks, np.zeros(len(theirs), np.bool_))
    found = pairs(np.where(left.labels[:, None] == right.labels[None, :], ious, 0.0), SAME_IOU)
    for pair in np.argsort(-found.iou, kind="stable").tolist():
        a, b = found.pred_index[pair], found.gt_index[pair]
        if not ours[a] and not theirs[b]:
            ours[a] = theirs[b] = True
    return ours, theirs
