"""What the verbs say of masks made from boxes: how well they fit, and which score knows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan

from app.commands.terminal import number, percent, say, say_table
from app.label_scores import BY_NAME
from lab.analysis.mask_quality import (
    FusionGain,
    Period,
    fusion_gain,
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
    fusion: FusionGain
    """What fusing several masks into one gained; of 0 masks for a method that fuses nothing."""
    periods: list[Period]
    """The same over time."""


def report_masks(
    store: Store, run_id: str, first: int | None = None, last: int | None = None
) -> MaskReport | None:
    """None for a run whose masks were not made from boxes, or whose hidden masks nobody knows."""
    if "target_iou" not in recorded_scores(store, run_id):
        return None
    found = judged_masks(store, run_id, first, last)
    return MaskReport(
        len(found),
        mean_true_iou(found),
        rank_correlations(found),
        fusion_gain(found),
        periods(found),
    )


def report_lately(store: Store, run_id: str) -> MaskReport | None:
    """The same of the last LATELY_STEPS recorded steps."""
    steps = label_steps(store, run_id)
    return report_masks(store, run_id, int(steps[-LATELY_STEPS:][0])) if len(steps) else None


def say_report(report: MaskReport) -> None:
    """A table with a line per period, and one for all of them."""
    names = list(report.rank_correlations)
    rho = [f"rho of {BY_NAME[name].words}" for name in names]
    whole = Period(
        0, 0, report.masks, report.mean_true_iou, report.rank_correlations, report.fusion
    )
    lines = [(f"steps {p.first_step} to {p.last_step}", p) for p in report.periods]
    fuses = report.fusion.masks > 0
    say()
    say_table(
        ("masks made from boxes", "masks", "mean true IoU", *(["single"] if fuses else []), *rho),
        [
            (
                *(when, one.masks, number(one.mean_true_iou, 3)),
                *([number(one.fusion.single, 3)] if fuses else []),
                *(number(one.correlations.get(name), 2) for name in names),
            )
            for when, one in (*lines, ("all", whole))
        ],
    )
    if fuses:
        say(f"single = the best candidate's mask alone: {gain_in_words(report.fusion)}")


def in_words(report: MaskReport) -> str:
    """ "masks lately: mean true IoU 0.749 of 210; pixel score ranks them best (rho 0.41)"."""
    parts = [f"masks lately: mean true IoU {number(report.mean_true_iou, 3)} of {report.masks}"]
    known = {name: rho for name, rho in report.rank_correlations.items() if not isnan(rho)}
    if known:
        best = max(known, key=lambda name: known[name])
        parts.append(f"{BY_NAME[best].short} ranks them best (rho {known[best]:.2f})")
    if report.fusion.masks:
        parts.append(gain_in_words(report.fusion))
    return "; ".join(parts)


def gain_in_words(fusion: FusionGain) -> str:
    """ "fusing gained +0.021 ± 0.003 over 0.728; 61 % better, 24 % worse"."""
    error = "" if isnan(fusion.standard_error) else f" ± {fusion.standard_error:.3f}"
    return (
        f"fusing gained {fusion.gain:+.3f}{error} over {fusion.single:.3f}; "
        f"{percent(fusion.better)} better, {percent(fusion.worse)} worse"
    )
