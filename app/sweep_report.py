"""What a sweep found: one line per run of its list and point of its grid, over its seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from app.scores import last_evaluation
from app.sweep import Shelf
from app.sweep_plan import PlannedRun
from lab.analysis.mask_quality import (
    fusion_gain,
    judged_masks,
    mean_true_iou,
    rank_correlations,
)
from lab.analysis.quality import ratio
from lab.analysis.spread import Spread, paired_difference, spread
from lab.analysis.what_if import JUDGED
from lab.config import BoxMethodConfig
from lab.config.sweep import Point
from lab.datasets.records import ErrorKind
from lab.store.queries import RunRow, evaluations, list_runs, step_summaries
from lab.store.store import Store

EVERY_STEP = 2**31
METRICS = ("AP", "AP50", "AP75")
LAST_PART = 0.25
"""Share of a run's steps, its last, whose pseudo masks are judged: what it came to, not its way."""
NAN = float("nan")


@dataclass(frozen=True, slots=True)
class RunResult:
    """What one finished run came to."""

    entry: str
    point: Point
    seed: int
    run_id: str
    metrics: Mapping[str, float]
    """AP, AP50 and AP75 of its last evaluation, the teacher's where there is one."""
    seconds: float
    """Of training from its first step on: without a burn-in it forked from, without pauses."""
    kept: float = NAN
    """Pseudo-labels that it trained on, all recorded steps added up; NaN = it makes none."""
    precision: float = NAN
    recall: float = NAN
    mix: Mapping[ErrorKind, float] = field(default_factory=dict)
    """Share of each kind among the kept labels that can be judged."""
    masks: float = NAN
    """Masks made from boxes that were recorded in the last quarter; NaN = it makes none."""
    true_iou: float = NAN
    """Their mean IoU with the hidden masks."""
    single_iou: float = NAN
    """The same of the best candidates' masks alone, where several were fused; NaN = none were."""
    rankings: Mapping[str, float] = field(default_factory=dict)
    """Spearman's rho of each of their scores with that IoU."""


@dataclass(frozen=True, slots=True)
class SweepLine:
    """One run of the list at one point of the grid, over its seeds."""

    entry: str
    point: Point
    seeds: tuple[int, ...]
    """Those that are finished."""
    planned: int
    """Seeds in all."""
    metrics: Mapping[str, Spread]
    gains: Mapping[str, Spread]
    """Difference to the first run of the list with the same seed and point."""
    kept: Spread
    precision: Spread
    recall: Spread
    mix: Mapping[ErrorKind, Spread]
    masks: Spread
    true_iou: Spread
    single_iou: Spread
    rankings: Mapping[str, Spread]
    """Scores that no run of the line has are absent."""
    seconds: Spread


def collect(store: Store, plan: Sequence[PlannedRun]) -> list[RunResult]:
    """The results of the runs of a plan that are finished."""
    shelf = Shelf(list_runs(store))
    results = []
    for run in plan:
        row = shelf.find(run.config, run.burn_in)
        if row is not None and row.status == "finished":
            results.append(_result(store, run, row))
    return results


def tabulate(
    plan: Sequence[PlannedRun], results: Sequence[RunResult], reference: str
) -> list[SweepLine]:
    """Lines in the order of the grid, then of the list; half a sweep gives half a table.

    Args:
        reference: the name of the run that the others are compared with. Its results may be
            there without being planned.
    """
    found: dict[tuple[str, Point], dict[int, RunResult]] = {}
    for one in results:
        found.setdefault((one.entry, one.point), {})[one.seed] = one
    seeds: dict[tuple[str, Point], list[int]] = {}
    for run in plan:
        seeds.setdefault((run.entry, run.point), []).append(run.seed)
    points = list(dict.fromkeys(run.point for run in plan))
    return [
        _line(entry, point, mine, found.get((entry, point), {}), found.get((reference, point), {}))
        for (entry, point), mine in sorted(seeds.items(), key=lambda one: points.index(one[0][1]))
    ]


def training_seconds(row: RunRow) -> float:
    """How long a run trained, by its measured speed: pauses of a resumed run do not count."""
    steps = row.max_steps - (row.parent_step or 0)
    if row.seconds_per_step == row.seconds_per_step:
        return row.seconds_per_step * steps
    if row.started is None or row.finished is None:
        return NAN
    return row.finished - row.started


def _line(
    entry: str,
    point: Point,
    planned: Sequence[int],
    found: Mapping[int, RunResult],
    reference: Mapping[int, RunResult],
) -> SweepLine:
    mine = {seed: found[seed] for seed in planned if seed in found}
    is_reference = any(one.entry == entry for one in reference.values())
    others = {} if is_reference else reference
    return SweepLine(
        entry=entry,
        point=point,
        seeds=tuple(mine),
        planned=len(planned),
        metrics={name: spread(one.metrics[name] for one in mine.values()) for name in METRICS},
        gains={
            name: paired_difference(_per_seed(mine, name), _per_seed(others, name))
            for name in METRICS
        },
        kept=spread(one.kept for one in mine.values()),
        precision=spread(one.precision for one in mine.values()),
        recall=spread(one.recall for one in mine.values()),
        mix={kind: spread(one.mix.get(kind, NAN) for one in mine.values()) for kind in JUDGED},
        masks=spread(one.masks for one in mine.values()),
        true_iou=spread(one.true_iou for one in mine.values()),
        single_iou=spread(one.single_iou for one in mine.values()),
        rankings=_rankings(list(mine.values())),
        seconds=spread(one.seconds for one in mine.values()),
    )


def _rankings(results: Sequence[RunResult]) -> dict[str, Spread]:
    names = dict.fromkeys(name for one in results for name in one.rankings)
    return {name: spread(one.rankings.get(name, NAN) for one in results) for name in names}


def _per_seed(results: Mapping[int, RunResult], metric: str) -> dict[int, float]:
    return {seed: one.metrics[metric] for seed, one in results.items()}


def _result(store: Store, run: PlannedRun, row: RunRow) -> RunResult:
    last = last_evaluation(evaluations(store, row.run_id))
    metrics = {name: last.metrics.get(name, NAN) if last else NAN for name in METRICS}
    bare = RunResult(run.entry, run.point, run.seed, row.run_id, metrics, training_seconds(row))
    bare = _with_labels(store, bare)
    return _with_masks(store, bare, row) if isinstance(run.config.method, BoxMethodConfig) else bare


def _with_labels(store: Store, bare: RunResult) -> RunResult:
    summaries = step_summaries(store, bare.run_id, max_points=EVERY_STEP)
    if not summaries:
        return bare
    kinds = {kind: sum(one.kept_kinds[kind] for one in summaries) for kind in JUDGED}
    judged = sum(kinds.values())
    return replace(
        bare,
        kept=sum(one.kept for one in summaries),
        precision=ratio(kinds[ErrorKind.COR], judged),
        recall=ratio(sum(one.found for one in summaries), sum(one.truths for one in summaries)),
        mix={kind: ratio(count, judged) for kind, count in kinds.items()},
    )


def _with_masks(store: Store, bare: RunResult, row: RunRow) -> RunResult:
    masks = judged_masks(store, bare.run_id, int((1 - LAST_PART) * row.max_steps))
    if not len(masks):
        return bare
    return replace(
        bare,
        masks=len(masks),
        true_iou=mean_true_iou(masks),
        single_iou=fusion_gain(masks).single,
        rankings=rank_correlations(masks),
    )
