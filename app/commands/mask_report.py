"""What the verbs say of masks made from boxes: how well they fit, and which score knows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan

from app.commands.terminal import number, say, say_table
from app.label_scores import BY_NAME
from lab.analysis.mask_quality import (
    Period,
    judged_masks,
    mean_true_iou,
    periods,
    rank_correlations,
)
from lab.store.lately import LATELY_STEPS
from lab.store.queries import label_steps, recorded_scores
from lab.store.store import Store


@dataclass(frozen=True, slots=True)
class MaskReport:
    """The masks of a window of steps against the hidden masks of their own objects."""

    masks: int
    mean_true_iou: float
    rank_correlations: Mapping[str, float]
    """Spearman's rho with true IoU by score."""
    periods: list[Period]
    """The same over time."""


def report_masks(
    store: Store, run_id: str, first: int | None = None, last: int | None = None
) -> MaskReport | None:
    """None for a run whose masks were not made from boxes, or whose hidden masks nobody knows."""
    if "target_iou" not in recorded_scores(store, run_id):
        return None
    found = judged_masks(store, run_id, first, last)
    return MaskReport(len(found), mean_true_iou(found), rank_correlations(found), periods(found))


def report_lately(store: Store, run_id: str) -> MaskReport | None:
    """The same of the last LATELY_STEPS recorded steps."""
    steps = label_steps(store, run_id)
    return report_masks(store, run_id, int(steps[-LATELY_STEPS:][0])) if len(steps) else None


def say_report(report: MaskReport) -> None:
    """A table with a line per period, and one for all of them."""
    names = list(report.rank_correlations)
    rho = [f"rho of {BY_NAME[name].words}" for name in names]
    lines = [
        (f"steps {p.first_step} to {p.last_step}", p.masks, p.mean_true_iou, p.correlations)
        for p in report.periods
    ]
    lines.append(("all", report.masks, report.mean_true_iou, report.rank_correlations))
    say()
    say_table(
        ("masks made from boxes", "masks", "mean true IoU", *rho),
        [
            (when, count, number(iou, 3), *(number(found.get(name), 2) for name in names))
            for when, count, iou, found in lines
        ],
    )


def in_words(report: MaskReport) -> str:
    """ "masks lately: mean true IoU 0.749 of 210; pixel score ranks them best (rho 0.41)"."""
    text = f"masks lately: mean true IoU {number(report.mean_true_iou, 3)} of {report.masks}"
    known = {name: rho for name, rho in report.rank_correlations.items() if not isnan(rho)}
    if not known:
        return text
    best = max(known, key=lambda name: known[name])
    return f"{text}; {BY_NAME[best].short} ranks them best (rho {known[best]:.2f})"
