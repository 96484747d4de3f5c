"""How good pseudo masks really are, and which of their scores says so.

A mask made from a box nearly always overlaps its object enough to be Cor; how well it fits is a
question of IoU. So such runs are told apart by the mean true IoU of their masks, and their scores
by how well they rank masks by true IoU. What fusing several masks into one gained is the difference
to the one that there would be without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.analysis.quality import rank_correlation
from lab.datasets.records import FloatArray, IntArray
from lab.store.queries import LabelFilter, label_columns
from lab.store.store import Store

QUALITIES = (
    *("class_quality", "mask_quality", "box_score", "pixel_score", "mask_score"),
    *("depth_score", "match_score", "semantic_score", "instance_score"),
)
"""What a label can be kept or weighed by; each in [0, 1], higher is better."""
BOX_QUALITIES = QUALITIES[2:]
"""Those that only masks made from boxes have."""


@dataclass(frozen=True, slots=True)
class JudgedMasks:
    """Pseudo masks with what they are worth. All arrays (N,)."""

    steps: IntArray
    true_ious: FloatArray
    """IoU with the hidden mask of the object it was made for; for a label that was not made from a
    box, with the object that decided its kind. NaN where that is not known."""
    scores: Mapping[str, FloatArray]
    """By name of QUALITIES; those that no label here has are absent."""
    single_ious: FloatArray
    """Of fused masks: the true IoU of the best candidate's mask alone; else NaN."""

    def __len__(self) -> int:
        return len(self.steps)


@dataclass(frozen=True, slots=True)
class FusionGain:
    """Fused masks beside those that their best candidates alone would have given, in pairs.

    A mask with one candidate is in it, too: it is its own best, and gains nothing.
    """

    masks: int
    """Fused masks whose truth is known. All else is NaN without any."""
    fused: float
    """Their mean true IoU,"""
    single: float
    """... that of the best candidates' masks,"""
    gain: float
    """... and the mean difference."""
    standard_error: float
    """Of the mean difference, as if the masks were independent; NaN below two."""
    better: float
    """Share of the masks that fusing made better,"""
    worse: float
    """... and worse."""


@dataclass(frozen=True, slots=True)
class Period:
    """The masks of some steps, in numbers."""

    first_step: int
    last_step: int
    masks: int
    mean_true_iou: float
    correlations: Mapping[str, float]
    fusion: FusionGain


def judged_masks(
    store: Store,
    run_id: str,
    first_step: int | None = None,
    last_step: int | None = None,
    *,
    kept: bool | None = None,
) -> JudgedMasks:
    """The pseudo masks of a run in steps first..last (None = no bound): kept, dropped or all."""
    wanted = LabelFilter(first_step=first_step, last_step=last_step, kept=kept)
    ious = ("target_iou", "true_iou", "single_iou")
    columns = label_columns(store, run_id, wanted, ("step", "target_id", *ious, *QUALITIES))
    present = {name: columns[name] for name in QUALITIES if not np.isnan(columns[name]).all()}
    return JudgedMasks(columns["step"], own_true_ious(columns), present, columns["single_iou"])


def own_true_ious(columns: Mapping[str, NDArray[Any]]) -> FloatArray:
    """(N,) from the columns `target_id`, `target_iou` and `true_iou`; see JudgedMasks.true_ious."""
    return np.where(columns["target_id"] >= 0, columns["target_iou"], columns["true_iou"])


def mean_true_iou(masks: JudgedMasks) -> float:
    """Mean over the masks whose truth is known, in [0, 1]; NaN without any."""
    known = masks.true_ious[~np.isnan(masks.true_ious)]
    return float(known.mean(dtype=np.float64)) if len(known) else float("nan")


def fusion_gain(masks: JudgedMasks) -> FusionGain:
    """What fusing gained over the masks of which both true IoUs are known."""
    return paired_gain(masks.true_ious, masks.single_ious)


def paired_gain(true_ious: FloatArray, single_ious: FloatArray) -> FusionGain:
    """The same of columns as JudgedMasks has them: (N,) each, NaN = not known."""
    known = ~(np.isnan(true_ious) | np.isnan(single_ious))
    count = int(known.sum())
    if count == 0:
        return FusionGain(0, *[float("nan")] * 6)
    fused, single = (ious[known].astype(np.float64) for ious in (true_ious, single_ious))
    gain = fused - single
    return FusionGain(
        masks=count,
        fused=float(fused.mean()),
        single=float(single.mean()),
        gain=float(gain.mean()),
        standard_error=float(gain.std(ddof=1) / count**0.5) if count > 1 else float("nan"),
        better=float((gain > 0).mean()),
        worse=float((gain < 0).mean()),
    )


def rank_correlations(masks: JudgedMasks) -> dict[str, float]:
    """Spearman's rho of each score with true IoU: 1 = the score orders masks as the truth does.

    NaN where a score is the same for all masks, or fewer than two have both numbers.
    """
    return {name: rank_correlation(score, masks.true_ious) for name, score in masks.scores.items()}


def periods(masks: JudgedMasks, most: int = 6) -> list[Period]:
    """The numbers over time: the recorded steps in at most `most` parts of about equal size."""
    steps = np.unique(masks.steps)
    parts = np.array_split(steps, min(most, len(steps))) if len(steps) else []
    return [_period(masks, int(part[0]), int(part[-1])) for part in parts]


def _period(masks: JudgedMasks, first: int, last: int) -> Period:
    inside = (masks.steps >= first) & (masks.steps <= last)
    scores = {name: score[inside] for name, score in masks.scores.items()}
    part = JudgedMasks(
        masks.steps[inside], masks.true_ious[inside], scores, masks.single_ious[inside]
    )
    correlations, fusion = rank_correlations(part), fusion_gain(part)
    return Period(first, last, len(part), mean_true_iou(part), correlations, fusion)
