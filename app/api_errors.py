"""/lab/runs/{run}/errors and /errors/history: what is wrong with labels, where and since when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, HTTPException, Query, Request, Response
from numpy.typing import NDArray

from app.answers import answer
from app.axes import axis_names, default_axes
from app.questions import Question, Span, Whole
from app.window import StepWindow, choose_window
from lab.analysis.breakdown import (
    FATES,
    Stretch,
    confused_classes,
    count_fates,
    even_places,
    honesty_over_time,
    stretch_of,
    stretches,
)
from lab.analysis.mask_quality import FusionGain, own_true_ious, paired_gain
from lab.analysis.quality import calibration, rank_correlation
from lab.datasets.records import ErrorKind, LabelSource
from lab.store.queries import (
    LabelFilter,
    get_run,
    label_columns,
    label_steps,
    recorded_scores,
    step_summaries,
    true_labels,
)
from lab.store.rows import RunRow
from lab.store.store import Store

Columns = Mapping[str, NDArray[Any]]

MOST_LABELS = 2_000_000
"""So many are read into memory for one answer; a longer window begins later."""
MOST_STRETCHES = 40
MOST_CLASSES = 24
"""In the matrix of classes."""
MOST_POINTS = 400
EVERY_STEP = 2**31
BACKGROUND = -1
NEEDED = ("label_id", "step", "image_id", "label", "kind", "gt_id", "duplicate", "true_iou")


class HistoryQuestion(Question):
    """Query parameters: whose errors over the whole run, and the score that should know them."""

    cls: Whole | None = None
    of: Literal["kept", "dropped", "all"] = "kept"
    score: str | None = None
    """None = the one that the run's method trusts its masks by."""


class ErrorsQuestion(HistoryQuestion):
    """The same of a window of steps."""

    it: Whole | None = None
    span: Span = 100


@dataclass(frozen=True, slots=True)
class Judged:
    """Labels of some steps, in order of steps. `quality` and `true_ious` are (N,)."""

    columns: Columns
    quality: NDArray[np.floating]
    true_ious: NDArray[np.floating]


def router(root: Path) -> APIRouter:
    """The routes over the store in `root`; each request opens it read-only and closes it."""
    routes = APIRouter(prefix="/lab")

    @routes.get("/runs/{key}/errors")
    def errors(
        request: Request, key: str, question: Annotated[ErrorsQuestion, Query()]
    ) -> Response:
        with Store.open(root, read_only=True) as store:
            return answer(request, errors_of(store, get_run(store, key), question))

    @routes.get("/runs/{key}/errors/history")
    def history(
        request: Request, key: str, question: Annotated[HistoryQuestion, Query()]
    ) -> Response:
        with Store.open(root, read_only=True) as store:
            return answer(request, history_of(store, get_run(store, key), question))

    return routes


def errors_of(store: Store, run: RunRow, question: ErrorsQuestion) -> dict[str, Any]:
    """Kinds of error per class, class against class, and a score against the true IoU."""
    steps = label_steps(store, run.run_id, LabelSource.PSEUDO)
    window = choose_window(steps, question.it, question.span)
    score, names = score_of(store, run, question.score)
    if window is None:
        return {"window": None, "labels": 0, "score": score, "scores": names}
    window = readable(store, run.run_id, window)
    found = judged_labels(store, run.run_id, window, question, score)
    return {
        "window": window,
        "labels": len(found.quality),
        "score": score,
        "scores": names,
        "fates": FATES,
        "classes": class_counts(found.columns, len(run.categories)),
        "confusion": confusion(store, run, found.columns),
        "missed": missed_truths(store, run.run_id, window, question),
        "honesty": honesty(found),
        "fusion": fusion(found),
    }


def history_of(store: Store, run: RunRow, question: HistoryQuestion) -> dict[str, Any]:
    """The same over the whole run, in at most 40 stretches of equally many recorded steps."""
    steps = label_steps(store, run.run_id, LabelSource.PSEUDO)
    score, names = score_of(store, run, question.score)
    if len(steps) == 0:
        return {"stretches": [], "fates": FATES, "score": score, "scores": names, "first": None}
    window = readable(store, run.run_id, StepWindow(int(steps[0]), int(steps[-1])))
    found = judged_labels(store, run.run_id, window, question, score)
    parts = stretches(steps[steps >= window.first], MOST_STRETCHES)
    return {
        "stretches": stretch_entries(found, parts),
        "fates": FATES,
        "score": score,
        "scores": names,
        "first": None if window.first <= steps[0] else window.first,
    }


def score_of(store: Store, run: RunRow, wanted: str | None) -> tuple[str, tuple[str, ...]]:
    """The score in question and all there are to choose from.

    Raises:
        HTTPException: 422, naming a score that the run has not.
    """
    recorded = recorded_scores(store, run.run_id)
    names = axis_names(recorded)
    if wanted is None:
        wanted = "mask_score" if "mask_score" in names else default_axes(recorded).y
    if wanted not in names:
        raise HTTPException(
            422, f"score={wanted}: this run has no such score; it has {', '.join(names)}"
        )
    return wanted, names


def readable(store: Store, run_id: str, window: StepWindow, most: int = MOST_LABELS) -> StepWindow:
    """The end of the window that holds at most `most` labels, and at least its last step."""
    counted = step_summaries(store, run_id, since_step=window.first - 1, max_points=EVERY_STEP)
    counted = [one for one in counted if one.step <= window.last]
    total, first = 0, window.last
    for one in reversed(counted):
        total += one.candidates
        if total > most and one.step < window.last:
            return StepWindow(first, window.last)
        first = one.step
    return window


def judged_labels(
    store: Store, run_id: str, window: StepWindow, question: HistoryQuestion, score: str
) -> Judged:
    """The labels of a window that somebody asks about."""
    wanted = LabelFilter(
        first_step=window.first,
        last_step=window.last,
        label=question.cls,
        kept={"kept": True, "dropped": False, "all": None}[question.of],
    )
    boxed = "target_iou" in recorded_scores(store, run_id)
    own = ("target_id", "target_iou", "single_iou") if boxed else ()
    columns = label_columns(store, run_id, wanted, (*NEEDED, *own, score))
    ious = own_true_ious(columns) if boxed else columns["true_iou"]
    return Judged(columns, columns[score], ious)


def class_counts(columns: Columns, num_classes: int) -> list[dict[str, Any]]:
    """Labels by predicted class and fate, the largest class first; classes without labels go."""
    counts = count_fates(columns["kind"], columns["duplicate"], columns["label"], num_classes)
    totals = counts.sum(axis=1)
    order = np.argsort(-totals, kind="stable")
    return [{"label": int(label), "counts": counts[label]} for label in order if totals[label] > 0]


def confusion(store: Store, run: RunRow, columns: Columns) -> dict[str, Any]:
    """Which class is taken for which, of the labels whose truth is known."""
    true = true_labels(store, run.run_id, columns)
    known = true >= BACKGROUND
    found = confused_classes(
        columns["label"][known], true[known], len(run.categories), MOST_CLASSES
    )
    return {
        "labels": found.labels,
        "counts": found.counts,
        "totals": found.totals,
        "hidden": found.hidden,
    }


def missed_truths(
    store: Store, run_id: str, window: StepWindow, question: ErrorsQuestion
) -> dict[str, int] | None:
    """True objects that the teacher's views showed, and those that a kept label gets right.

    None for one class or for dropped labels: only the sum over all classes is recorded.
    """
    if question.cls is not None or question.of != "kept":
        return None
    counted = step_summaries(store, run_id, since_step=window.first - 1, max_points=EVERY_STEP)
    inside = [one for one in counted if one.step <= window.last]
    return {
        "truths": sum(one.truths for one in inside),
        "found": sum(one.found for one in inside),
    }


def honesty(found: Judged) -> dict[str, Any]:
    """Does the score say how well masks fit: bins, rank correlation, and some labels as points."""
    bins = calibration(found.quality, found.true_ious)
    known = ~(np.isnan(found.quality) | np.isnan(found.true_ious))
    places = even_places(found.quality, known, MOST_POINTS)
    return {
        "labels": int(known.sum()),
        "correlation": rank_correlation(found.quality, found.true_ious),
        "error": bins.error,
        "bins": {
            "edges": bins.edges.round(6),
            "counts": bins.counts,
            "mean_quality": bins.mean_quality,
            "mean_iou": bins.mean_iou,
        },
        "points": point_entries(found, places),
    }


def fusion(found: Judged) -> FusionGain | None:
    """What fusing several masks into one gained; None where nothing was fused."""
    single_ious = found.columns.get("single_iou")
    gain = None if single_ious is None else paired_gain(found.true_ious, single_ious)
    return gain if gain is not None and gain.masks else None


def point_entries(found: Judged, places: NDArray[np.integer]) -> dict[str, Any]:
    """Some labels as columns, enough to draw and to open each."""
    columns = found.columns
    names = ("label_id", "image_id", "step", "label")
    return {name: columns[name][places] for name in names} | {
        "quality": found.quality[places],
        "true_iou": found.true_ious[places],
        "kind": [ErrorKind(kind).name.lower() for kind in columns["kind"][places].tolist()],
    }


def stretch_entries(found: Judged, parts: Sequence[Stretch]) -> list[dict[str, Any]]:
    """Fates of the labels of each stretch, and how honest their score was."""
    places = stretch_of(found.columns["step"], list(parts))
    counts = count_fates(found.columns["kind"], found.columns["duplicate"], places, len(parts))
    told = honesty_over_time(found.quality, found.true_ious, places, len(parts))
    return [
        {"first": part.first, "last": part.last, "counts": row, "honesty": one}
        for part, row, one in zip(parts, counts, told, strict=True)
    ]
