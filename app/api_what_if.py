"""/lab/runs/{run}/what-if and /moving: what other thresholds would keep."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from numpy.typing import NDArray
from pydantic import Field

from app.answers import answer
from app.candidates import count_truths, truth_numbers
from app.label_entries import label_entries, rows_of
from app.questions import Question, Span, Whole
from app.thresholds import min_area_of
from app.window import StepWindow, choose_window
from lab.analysis.threshold_grid import grid, passes
from lab.analysis.what_if import CoupledHistogram, IntegralHistogram
from lab.datasets.records import BoolArray, ErrorKind, FloatArray, IntArray, LabelSource
from lab.store.queries import (
    LABEL_COLUMNS,
    LabelFilter,
    get_run,
    label_columns,
    label_steps,
)
from lab.store.rows import RunRow
from lab.store.store import Store

Columns = Mapping[str, NDArray[Any]]
COLUMNS = (
    *("class_quality", "mask_quality", "score", "kind", "duplicate"),
    *("gt_id", "area", "step"),
)
QUALITIES = ("class_quality", "mask_quality", "score")

Quality = Annotated[float, Field(ge=0.0, le=1.0)]


class WindowQuestion(Question):
    """Query parameters: which labels the answer is about."""

    it: Whole | None = None
    span: Span = 100
    cls: Whole | None = None


class MovingQuestion(WindowQuestion):
    """Query parameters: from one rule to another, each a pair of thresholds or a coupled one."""

    from_class: Quality = 0.0
    from_mask: Quality = 0.0
    to_class: Quality = 0.0
    to_mask: Quality = 0.0
    from_coupled: Quality | None = None
    to_coupled: Quality | None = None
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

    return routes


def planes(store: Store, run: RunRow, question: WindowQuestion) -> dict[str, Any]:
    """Cumulative counts over both thresholds and over the coupled score, for the browser.

    `truths` is None when one class is asked for: how many truths of one class the views showed is
    not recorded. Recall is then a share of the truths that any candidate finds.
    """
    window = choose_window(
        label_steps(store, run.run_id, LabelSource.PSEUDO), question.it, question.span
    )
    if window is None:
        return {"window": None, "labels": 0}
    labels = columns_of(store, run, window, question.cls, COLUMNS)
    kinds = labels["kind"].astype(np.int64)
    shared = (kinds, labels["duplicate"].astype(np.bool_))
    truths = truth_numbers(labels["step"], labels["gt_id"])
    known = (
        None
        if question.cls is not None
        else count_truths(store, run.run_id, window.first, window.last)
    )
    pair = IntegralHistogram.build(
        labels["class_quality"], labels["mask_quality"], *shared, known or 0, truths
    )
    coupled = CoupledHistogram.build(labels["score"], *shared, known or 0, truths)
    return {
        "window": window,
        "labels": len(kinds),
        "truths": known,
        "grid": grid().astype(np.float64).round(2),
        "planes": [kind.name.lower() for kind in ErrorKind] + ["found"],
        "pair": pair.cumulative.ravel(),
        "coupled": coupled.cumulative.ravel(),
    }


def columns_of(
    store: Store, run: RunRow, window: StepWindow, label: int | None, names: tuple[str, ...]
) -> Columns:
    """The window's labels that a threshold can let in or keep out: masks too small are neither.

    A quality that was never measured counts as 0: no threshold above lets it in.
    """
    wanted = LabelFilter(
        source=LabelSource.PSEUDO, first_step=window.first, last_step=window.last, label=label
    )
    columns = label_columns(store, run.run_id, wanted, names)
    columns |= {name: np.nan_to_num(columns[name]) for name in QUALITIES}
    fits = columns["area"] > min_area_of(run.config)
    return columns if fits.all() else {name: column[fits] for name, column in columns.items()}


def movers(store: Store, run: RunRow, question: MovingQuestion) -> dict[str, Any]:
    """How many labels would enter and leave, and a fair sample of each with masks."""
    window = choose_window(
        label_steps(store, run.run_id, LabelSource.PSEUDO), question.it, question.span
    )
    if window is None:
        return {"enter": {"total": 0, "rows": []}, "leave": {"total": 0, "rows": []}, "images": {}}
    labels = columns_of(store, run, window, question.cls, LABEL_COLUMNS)
    sides: dict[str, Any] = {}
    images: dict[int, Any] = {}
    for name, chosen in zip(("enter", "leave"), moved(labels, question), strict=True):
        rows = rows_of(labels, even_sample(labels["score"], chosen, question.size))
        entries, shown = label_entries(store, run.run_id, rows)
        sides[name] = {"total": int(chosen.sum()), "rows": entries}
        images |= shown
    return sides | {"images": images}


def moved(labels: Columns, question: MovingQuestion) -> tuple[BoolArray, BoolArray]:
    """(N,) which enter, (N,) which leave."""
    old = kept_by(labels, question.from_class, question.from_mask, question.from_coupled)
    new = kept_by(labels, question.to_class, question.to_mask, question.to_coupled)
    return new & ~old, old & ~new


def kept_by(
    labels: Columns, class_threshold: float, mask_threshold: float, coupled: float | None
) -> BoolArray:
    """(N,) which a rule keeps: the coupled one if there is one, else the pair."""
    if coupled is not None:
        return labels["score"] >= np.float32(coupled)
    return passes(labels["class_quality"], labels["mask_quality"], class_threshold, mask_threshold)


def even_sample(score: FloatArray, chosen: BoolArray, size: int) -> IntArray:
    """Places of at most `size` chosen labels, evenly from the highest score to the lowest."""
    places = np.flatnonzero(chosen)
    ordered = places[np.argsort(-score[places], kind="stable")]
    return ordered[np.linspace(0, len(ordered) - 1, min(size, len(ordered)), dtype=np.int64)]
