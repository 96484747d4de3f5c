"""/lab/runs/{run}/what-if and /moving: what other thresholds would keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, HTTPException, Query, Request, Response
from pydantic import Field

from app.answers import answer
from app.axes import (
    Axes,
    Columns,
    Points,
    bars_elsewhere,
    choose_axes,
    passes_all,
    place,
)
from app.candidates import count_truths, truth_numbers
from app.label_entries import label_entries, rows_by_id
from app.questions import Question, Span, Whole
from app.thresholds import config_in_effect, min_area_of
from app.window import StepWindow, choose_window
from lab.analysis.groups import count_groups, size_groups
from lab.analysis.iou_sums import IouSums
from lab.analysis.recognition import SIZES
from lab.analysis.threshold_grid import grid, passes
from lab.analysis.what_if import CoupledHistogram, IntegralHistogram
from lab.datasets.records import BoolArray, ErrorKind, FloatArray, IntArray, LabelSource
from lab.store.queries import (
    LabelFilter,
    get_run,
    label_columns,
    label_steps,
    recorded_scores,
)
from lab.store.rows import RunRow
from lab.store.store import Store

COUNTED = ("kind", "duplicate", "gt_id", "step")
"""What is counted of the labels in the plane, besides their place."""
IOU_DIGITS = 4
"""Of sums of IoU on the wire."""

Quality = Annotated[float, Field(ge=0.0, le=1.0)]


class WindowQuestion(Question):
    """Query parameters: which labels the answer is about."""

    it: Whole | None = None
    span: Span = 100
    cls: Whole | None = None
    x: str | None = None
    """The score across the plane; None = the run's usual one."""
    y: str | None = None


class RulesQuestion(WindowQuestion):
    """Query parameters: from one rule to another, each a pair of thresholds or a coupled one."""

    from_x: Quality = 0.0
    from_y: Quality = 0.0
    to_x: Quality = 0.0
    to_y: Quality = 0.0
    from_coupled: Quality | None = None
    to_coupled: Quality | None = None


class MovingQuestion(RulesQuestion):
    """Query parameters: the same, and how many labels to show of each side."""

    size: Annotated[int, Field(ge=1, le=60)] = 12


def router(root: Path) -> APIRouter:
    """The routes over the store in `root`; each request opens it read-only and closes it."""
    routes = APIRouter(prefix="/lab")

    @routes.get("/runs/{key}/what-if")
    def what_if(
        request: Request, key: str, question: Annotated[WindowQuestion, Query()]
    ) -> Response:
        with Store.open(root, read_only=True) as store:
            return answer(request, planes(store, get_run(store, key), question))

    @routes.get("/runs/{key}/moving")
    def moving(
        request: Request, key: str, question: Annotated[MovingQuestion, Query()]
    ) -> Response:
        with Store.open(root, read_only=True) as store:
            return answer(request, movers(store, get_run(store, key), question))

    @routes.get("/runs/{key}/groups")
    def groups(request: Request, key: str, question: Annotated[RulesQuestion, Query()]) -> Response:
        with Store.open(root, read_only=True) as store:
            return answer(request, kept_of_groups(store, get_run(store, key), question))

    return routes


def planes(store: Store, run: RunRow, question: WindowQuestion) -> dict[str, Any]:
    """Cumulative counts over both thresholds and over the product, for the browser.

    `truths` is None when one class is asked for: how many truths of one class the views showed is
    not recorded. Recall is then a share of the truths that any candidate finds. `ious` holds sums
    of true IoU and how many they are of, in runs whose masks were made from boxes; else None.
    """
    window, recorded = window_of(store, run, question), recorded_scores(store, run.run_id)
    axes = axes_of(recorded, question)
    if window is None:
        return {"window": None, "labels": 0}
    own = ("target_iou",) if "target_iou" in recorded else ()
    labels = labels_of(store, run, window, question.cls, axes, (*COUNTED, *own))
    kinds = labels.columns["kind"].astype(np.int64)
    truths = truth_numbers(labels.columns["step"], labels.columns["gt_id"])
    known = None
    if question.cls is None:
        known = count_truths(store, run.run_id, window.first, window.last)
    duplicates = labels.columns["duplicate"].astype(np.bool_)
    shared = (kinds, duplicates, known or 0, truths, labels.columns.get("target_iou"))
    at = labels.points
    pair = IntegralHistogram.build(at.x, at.y, *shared)
    coupled = CoupledHistogram.build(at.product, *shared)
    return {
        "window": window,
        "labels": len(kinds),
        "truths": known,
        "axes": axes,
        "grid": grid().astype(np.float64).round(2),
        "planes": [kind.name.lower() for kind in ErrorKind] + ["found"],
        "pair": pair.cumulative.ravel(),
        "coupled": coupled.cumulative.ravel(),
        "ious": iou_entry(pair.ious, coupled.ious),
    }


def iou_entry(pair: IouSums | None, coupled: IouSums | None) -> dict[str, Any] | None:
    if pair is None or coupled is None:
        return None
    return {
        "pair": pair.cumulative.round(IOU_DIGITS).ravel(),
        "coupled": coupled.cumulative.round(IOU_DIGITS).ravel(),
    }


def window_of(store: Store, run: RunRow, question: WindowQuestion) -> StepWindow | None:
    steps = label_steps(store, run.run_id, LabelSource.PSEUDO)
    return choose_window(steps, question.it, question.span)


def axes_of(recorded: Sequence[str], question: WindowQuestion) -> Axes:
    """Raises HTTPException 422 for a score that the run has not."""
    try:
        return choose_axes(recorded, question.x, question.y)
    except ValueError as error:
        raise HTTPException(422, str(error)) from None


@dataclass(frozen=True, slots=True)
class PlaneLabels:
    """The labels of a window that thresholds on two scores can let in or keep out."""

    points: Points
    columns: Columns

    def __len__(self) -> int:
        return len(self.points.x)


def labels_of(
    store: Store,
    run: RunRow,
    window: StepWindow,
    label: int | None,
    axes: Axes,
    names: Sequence[str],
) -> PlaneLabels:
    """The window's labels in the plane; masks too small, or dropped by another rule, are not."""
    wanted = LabelFilter(
        source=LabelSource.PSEUDO, first_step=window.first, last_step=window.last, label=label
    )
    bars = bars_elsewhere(config_in_effect(store, run), axes)
    needed = ("area", *axes.columns, *bars, *names)
    columns = label_columns(store, run.run_id, wanted, tuple(dict.fromkeys(needed)))
    fits = (columns["area"] > min_area_of(run.config)) & passes_all(columns, bars)
    if not fits.all():
        columns = {name: column[fits] for name, column in columns.items()}
    return PlaneLabels(place(columns, axes), columns)


def movers(store: Store, run: RunRow, question: MovingQuestion) -> dict[str, Any]:
    """How many labels would enter and leave, and a fair sample of each with masks."""
    window = window_of(store, run, question)
    axes = axes_of(recorded_scores(store, run.run_id), question)
    if window is None:
        return {"enter": {"total": 0, "rows": []}, "leave": {"total": 0, "rows": []}, "images": {}}
    labels = labels_of(store, run, window, question.cls, axes, ("label_id",))
    sides: dict[str, Any] = {}
    images: dict[int, Any] = {}
    for name, chosen in zip(("enter", "leave"), moved(labels.points, question), strict=True):
        places = even_sample(labels.points.product, chosen, question.size)
        ids = labels.columns["label_id"][places].tolist()
        rows = rows_by_id(store, run.run_id, LabelSource.PSEUDO, ids)
        entries, shown = label_entries(store, run.run_id, rows)
        sides[name] = {"total": int(chosen.sum()), "rows": entries}
        images |= shown
    return sides | {"images": images}


def moved(at: Points, question: RulesQuestion) -> tuple[BoolArray, BoolArray]:
    """(N,) which enter, (N,) which leave."""
    old, new = kept_by_both(at, question)
    return new & ~old, old & ~new


def kept_of_groups(store: Store, run: RunRow, question: RulesQuestion) -> dict[str, Any]:
    """By size of the mask and by class: how many labels there are, and both rules would keep."""
    window = window_of(store, run, question)
    axes = axes_of(recorded_scores(store, run.run_id), question)
    if window is None:
        return {"sizes": [], "classes": []}
    labels = labels_of(store, run, window, question.cls, axes, ("kind", "label"))
    chosen = (np.ones(len(labels), np.bool_), *kept_by_both(labels.points, question))
    sizes, classes = size_groups(labels.columns["area"]), labels.columns["label"].astype(np.int64)
    num_classes = int(classes.max(initial=-1)) + 1
    return {
        "sizes": group_entries(labels, sizes, chosen, [name for name, _, _ in SIZES]),
        "classes": group_entries(labels, classes, chosen, range(num_classes)),
    }


def group_entries(
    labels: PlaneLabels,
    groups: IntArray,
    chosen: Sequence[BoolArray],
    names: Sequence[str] | Sequence[int],
) -> list[dict[str, Any]]:
    """The groups that have labels: of all of them, the old rule's and the new rule's, counts."""
    kinds = labels.columns["kind"]
    counts = [count_groups(groups, kinds, one, len(names)) for one in chosen]
    return [
        {"name": name}
        | {
            whose: {"labels": one.labels[at], "judged": one.judged[at], "right": one.right[at]}
            for whose, one in zip(("all", "before", "after"), counts, strict=True)
        }
        for at, name in enumerate(names)
        if counts[0].labels[at] > 0
    ]


def kept_by_both(at: Points, question: RulesQuestion) -> tuple[BoolArray, BoolArray]:
    """(N,) which the old rule keeps, (N,) which the new one keeps."""
    old = kept_by(at, question.from_x, question.from_y, question.from_coupled)
    new = kept_by(at, question.to_x, question.to_y, question.to_coupled)
    return old, new


def kept_by(at: Points, x_threshold: float, y_threshold: float, coupled: float | None) -> BoolArray:
    """(N,) which a rule keeps: the coupled one if there is one, else the pair."""
    if coupled is not None:
        return at.product >= np.float32(coupled)
    return passes(at.x, at.y, x_threshold, y_threshold)


def even_sample(score: FloatArray, chosen: BoolArray, size: int) -> IntArray:
    """Places of at most `size` chosen labels, evenly from the highest score to the lowest."""
    places = np.flatnonzero(chosen)
    ordered = places[np.argsort(-score[places], kind="stable")]
    return ordered[np.linspace(0, len(ordered) - 1, min(size, len(ordered)), dtype=np.int64)]
