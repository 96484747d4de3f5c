"""Which alarms stand for a run, from what it has recorded; asked again and again as it goes.

`run_alerts` reads a bounded part of the store (thinned curves, the labels of the newest steps), so
it takes milliseconds however long the run is. A `Watch` asks while the run is recorded and leaves
what changes as events, so that a list of runs costs one query (`standing_alerts`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np

from lab.analysis.alerts import (
    Alert,
    kept_collapse,
    nothing_kept,
    quality_stops_ranking,
    starving_classes,
    teacher_falls_behind,
    unsup_stays_zero,
)
from lab.analysis.match import Float64Array
from lab.analysis.quality import rank_correlation
from lab.datasets.records import ErrorKind, IntArray
from lab.store.queries import (
    EvaluationRow,
    EventRow,
    LabelFilter,
    StepSummary,
    evaluations,
    events,
    events_by_run,
    get_run,
    label_columns,
    last_summaries,
    scalar_names,
    scalar_series,
    step_summaries,
)
from lab.store.runs import add_event
from lab.store.store import Store

RAISED, OVER = "alert", "alert_over"
"""Kinds of the events that a Watch leaves."""
WINDOW_STEPS = 60
"""Newest recorded steps whose labels are read."""
WINDOW_LABELS = 20_000
"""... and at most about so many labels of them."""
MIN_STEPS = 20
"""Fewer recorded steps starve no class."""
GROUP_LABELS = 200
"""Labels in one rank correlation."""
COLUMNS = ("step", "label", "kept", "kind", "class_quality", "mask_quality", "true_iou")

Say = Callable[[str], object]


def run_alerts(store: Store, run_id: str) -> list[Alert]:
    """The alarms that stand at the end of what the run recorded, in the order of `AlertKind`."""
    summaries = step_summaries(store, run_id)
    found = [
        *kept_alerts(summaries),
        *unsup_alerts(store, run_id),
        *label_alerts(store, run_id),
        *teacher_alerts(evaluations(store, run_id)),
    ]
    unique = {(alert.kind, alert.subject): alert for alert in reversed(found)}
    return [alert for alert in found if unique[alert.kind, alert.subject] is alert]


def kept_alerts(summaries: Sequence[StepSummary]) -> list[Alert]:
    """Alarms of the kept counts alone."""
    steps = np.array([one.step for one in summaries], np.int64)
    kept = np.array([one.kept / max(1, one.images) for one in summaries])
    return [found for found in (kept_collapse(steps, kept), nothing_kept(steps, kept)) if found]


def unsup_alerts(store: Store, run_id: str) -> list[Alert]:
    """Whether the sum of the unsupervised losses stays exactly 0."""
    names = [name for name in scalar_names(store, run_id) if name.startswith("loss/unsup/")]
    sums: dict[int, float] = {}
    for series in scalar_series(store, run_id, names).values():
        for step, value in zip(series.steps.tolist(), series.values.tolist(), strict=True):
            sums[step] = sums.get(step, 0.0) + abs(value)
    steps = np.array(sorted(sums), np.int64)
    found = unsup_stays_zero(steps, np.array([sums[step] for step in steps.tolist()]))
    return [found] if found else []


def label_alerts(store: Store, run_id: str) -> list[Alert]:
    """Alarms that need the newest labels one by one: starving classes, a quality gone blind."""
    window = _window(last_summaries(store, run_id, WINDOW_STEPS))
    if not window:
        return []
    chosen = LabelFilter(first_step=window[0].step, last_step=window[-1].step)
    columns = label_columns(store, run_id, chosen, COLUMNS)
    names = [category.name for category in get_run(store, run_id).categories]
    steps = np.array([one.step for one in window], np.int64)
    starving: list[Alert] = []
    if columns["kept"].any():  # else every class starves, and another alarm says so
        kept, deserving = class_counts(columns, steps, len(names))
        starving = starving_classes(steps, kept, deserving, names, max(MIN_STEPS, len(steps)))
    blind = quality_stops_ranking(*correlations(columns))
    return [*starving, *([blind] if blind else [])]


def teacher_alerts(rows: Sequence[EvaluationRow]) -> list[Alert]:
    """Whether the student left its teacher behind, by the evaluations that looked at both."""
    scores: dict[int, dict[str, float]] = {}
    for row in rows:
        if row.split != "train":
            scores.setdefault(row.step, {})[row.model] = row.metrics.get("AP", float("nan"))
    both = {step: found for step, found in scores.items() if {"student", "teacher"} <= set(found)}
    found = teacher_falls_behind(
        np.array(sorted(both), np.int64),
        np.array([both[step]["teacher"] for step in sorted(both)]),
        np.array([both[step]["student"] for step in sorted(both)]),
    )
    return [found] if found else []


def class_counts(
    columns: dict[str, np.ndarray], steps: IntArray, num_classes: int
) -> tuple[IntArray, IntArray]:
    """(T, K) kept labels, and (T, K) labels of each class that deserved to be kept.

    Those deserve it that are Cor. A label that cannot be judged deserves it when its class quality
    is at least the lowest that was kept in the window.
    """
    kept = columns["kept"].astype(bool)
    place = np.searchsorted(steps, columns["step"]) * num_classes + columns["label"]
    floor = columns["class_quality"][kept].min(initial=1.0)
    unknown = columns["kind"] == ErrorKind.UNKNOWN
    deserving = np.where(
        unknown, columns["class_quality"] >= floor, columns["kind"] == ErrorKind.COR
    )

    def counted(chosen: np.ndarray) -> IntArray:
        counts = np.bincount(place[chosen], minlength=len(steps) * num_classes)
        return counts.reshape(len(steps), num_classes)

    return counted(kept), counted(deserving)


def correlations(columns: dict[str, np.ndarray]) -> tuple[IntArray, Float64Array]:
    """(G,) first steps and (G,) rank correlations of mask quality with true IoU, oldest first.

    Of groups of 200 judged labels; the oldest labels that do not fill a group are left out.
    """
    judged = ~np.isnan(columns["true_iou"])
    groups = int(judged.sum()) // GROUP_LABELS
    start = int(judged.sum()) - groups * GROUP_LABELS
    quality, ious, steps = (
        columns[name][judged][start:].reshape(groups, GROUP_LABELS)
        for name in ("mask_quality", "true_iou", "step")
    )
    found = [rank_correlation(q, t) for q, t in zip(quality, ious, strict=True)]
    return steps[:, 0], np.array(found, np.float64)


def _window(newest: Sequence[StepSummary]) -> Sequence[StepSummary]:
    """The newest steps that together hold at most WINDOW_LABELS labels, and at least one step."""
    total = 0
    for count, summary in enumerate(reversed(newest)):
        total += summary.candidates
        if total > WINDOW_LABELS and count > 0:
            return newest[-count:]
    return newest


def standing_alerts(store: Store) -> dict[str, list[Alert]]:
    """By run id, the alarms that were raised and are not over; runs without any are absent."""
    told = events_by_run(store, (RAISED, OVER))
    standing = {run_id: list(_standing(rows).values()) for run_id, rows in told.items()}
    return {run_id: alerts for run_id, alerts in standing.items() if alerts}


class Watch:
    """Looks at a run while it is recorded; alarms that begin or end become events and log lines."""

    def __init__(self, store: Store, run_id: str, say: Say) -> None:
        """`say` hears one sentence per alarm that begins; alarms of before a resume still stand."""
        self._store = store
        self._run_id = run_id
        self._say = say
        self._standing = _standing(events(store, run_id))

    def __call__(self) -> None:
        """Look now. Called between transactions, by the thread that records."""
        now = {
            (alert.kind, alert.subject): alert for alert in run_alerts(self._store, self._run_id)
        }
        for key, alert in now.items():
            if key not in self._standing:
                self._say(f"alert: {alert.sentence}")
                add_event(self._store, self._run_id, alert.step, RAISED, asdict(alert))
        for key, alert in self._standing.items():
            if key not in now:
                step = get_run(self._store, self._run_id).step
                self._say(f"no longer so: {alert.message}")
                add_event(self._store, self._run_id, step, OVER, asdict(alert))
        self._standing = now


def _standing(rows: Sequence[EventRow]) -> dict[tuple[str, str], Alert]:
    """Alarms by kind and subject after these events."""
    standing: dict[tuple[str, str], Alert] = {}
    for row in rows:
        if row.kind in (RAISED, OVER):
            alert = Alert(**row.payload)
            standing.pop((alert.kind, alert.subject), None)
            if row.kind == RAISED:
                standing[alert.kind, alert.subject] = alert
    return standing
