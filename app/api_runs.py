"""/lab/runs: the list of runs, one run, and what is new in it since last asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from app.answers import answer
from app.axes import axis_names, default_axes
from app.label_scores import scores_of
from app.questions import Question, Whole
from app.thresholds import (
    PAPER_CLASS_THRESHOLD,
    PAPER_MASK_THRESHOLD,
    config_in_effect,
    corrects_classes,
    own_thresholds,
    threshold_fields,
    thresholds_of,
)
from lab.analysis.watch import run_alerts, standing_alerts
from lab.datasets.records import ErrorKind, LabelSource
from lab.store.errors import StoreMissing
from lab.store.queries import (
    RunRow,
    StepSummary,
    checkpoints,
    evaluations,
    events,
    get_run,
    label_steps,
    list_runs,
    recorded_scores,
    scalar_names,
    scalar_series,
    step_summaries,
)
from lab.store.run_state import ACTIONS
from lab.store.store import Store

LOG_TAIL_BYTES = 16_384
MAX_POINTS = 1_000


class StepsQuestion(Question):
    """Query parameters of the recorded steps: those after `since`."""

    since: Whole = -1


class LiveQuestion(Question):
    """Query parameters of what Live does not have yet."""

    since: Whole = -1
    """Scalars with a larger step only."""
    since_label: Whole = -1
    """Label summaries with a larger step only."""
    since_event: Whole = 0
    """Events with a larger id only."""
    names: list[str] | None = None
    """Scalars; None = all that are curves here (losses, rate, time, machine)."""


def router(root: Path) -> APIRouter:
    """The routes over the store in `root`; each request opens it read-only and closes it."""
    routes = APIRouter(prefix="/lab")

    @routes.get("/runs")
    def runs(request: Request, _: Annotated[Question, Query()]) -> Response:
        return answer(request, overview(root))

    @routes.get("/runs/{key}")
    def run(request: Request, key: str, _: Annotated[Question, Query()]) -> Response:
        with Store.open(root, read_only=True) as store:
            return answer(request, entry_now(store, get_run(store, key)))

    @routes.get("/runs/{key}/steps")
    def steps(request: Request, key: str, question: Annotated[StepsQuestion, Query()]) -> Response:
        with Store.open(root, read_only=True) as store:
            row = get_run(store, key)
            recorded = label_steps(store, row.run_id, LabelSource.PSEUDO)
            new = recorded[recorded > question.since]
            entry = entry_now(store, row)
            return answer(request, {"run": entry, "steps": new, "total": len(recorded)})

    @routes.get("/runs/{key}/live")
    def live(request: Request, key: str, question: Annotated[LiveQuestion, Query()]) -> Response:
        with Store.open(root, read_only=True) as store:
            row = get_run(store, key)
            news = run_news(store, row, question)
            return answer(request, news | {"log": log_tail(store.run_directory(row.run_id))})

    return routes


def overview(root: Path) -> dict[str, Any]:
    """All runs, newest first; `exists` is False while there is no store in `root`."""
    try:
        opened = Store.open(root, read_only=True)
    except StoreMissing:
        return {"root": str(root.absolute()), "exists": False, "runs": []}
    with opened as store:
        alerts = standing_alerts(store)
        rows = [run_entry(row) | {"alerts": alerts.get(row.run_id, [])} for row in list_runs(store)]
    rows.sort(key=lambda row: row["created"], reverse=True)
    return {"root": str(root.absolute()), "exists": True, "runs": rows}


def run_entry(row: RunRow) -> dict[str, Any]:
    """A run as the browser sees it: the row, and how it was launched to keep pseudo-labels."""
    entry = {item.name: getattr(row, item.name) for item in fields(row)}
    paper = {"class_quality": PAPER_CLASS_THRESHOLD, "mask_quality": PAPER_MASK_THRESHOLD}
    return entry | {
        "thresholds": thresholds_of(row.config),
        "paper": paper,
        "actions": sorted(ACTIONS[row.status]),
    }


def entry_now(store: Store, row: RunRow) -> dict[str, Any]:
    """The same with the thresholds in effect, and the scores that its labels have."""
    config = config_in_effect(store, row)
    recorded = recorded_scores(store, row.run_id)
    return run_entry(row) | {
        "thresholds": thresholds_of(config),
        "scores": score_entries(recorded, config),
        "axes": default_axes(recorded),
        "corrects": corrects_classes(config),
    }


def score_entries(recorded: Sequence[str], config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The scores of a run in words; `key` is where its config has a threshold on one, or None."""
    fields, bars = threshold_fields(config), own_thresholds(config)
    axes = axis_names(recorded) if recorded else ()
    return [
        {
            "name": score.name,
            "words": score.words,
            "short": score.short,
            "about": score.about,
            "is_axis": score.name in axes,
            "is_share": score.is_share,
            "key": f"method.{fields[score.name]}" if score.name in fields else None,
            "threshold": bars.get(score.name, 0.0),
        }
        for score in scores_of({*recorded, *axes})
    ]


def run_news(store: Store, row: RunRow, question: LiveQuestion) -> dict[str, Any]:
    """What the Live page does not have yet."""
    wanted = question.names
    if wanted is None:
        wanted = live_scalars(scalar_names(store, row.run_id))
    series = scalar_series(
        store, row.run_id, wanted, since_step=question.since, max_points=MAX_POINTS
    )
    summaries = step_summaries(
        store, row.run_id, LabelSource.PSEUDO, since_step=question.since_label
    )
    return {
        "run": entry_now(store, row),
        "series": series,
        "summaries": [summary_entry(summary) for summary in summaries],
        "evaluations": evaluations(store, row.run_id),
        "events": events(store, row.run_id, since_id=question.since_event),
        "alerts": run_alerts(store, row.run_id),
        "checkpoints": [checkpoint.step for checkpoint in checkpoints(store, row.run_id)],
    }


def live_scalars(names: Sequence[str]) -> list[str]:
    """The scalars that Live draws."""
    return [name for name in names if name.startswith(("loss/", "sys/", "time/", "lr", "train/"))]


def summary_entry(summary: StepSummary) -> dict[str, Any]:
    """One step's label counts; error kinds by lower-case name."""
    return {
        "step": summary.step,
        "images": summary.images,
        "candidates": summary.candidates,
        "kept": summary.kept,
        "right": summary.kept_kinds[ErrorKind.COR],
        "truths": summary.truths,
        "found": summary.found,
        "kinds": {kind.name.lower(): count for kind, count in summary.kept_kinds.items()},
    }


def log_tail(directory: Path) -> str:
    """The last lines of a run's log; empty while there is none."""
    path = directory / "log.txt"
    if not path.is_file():
        return ""
    with path.open("rb") as log:
        size = log.seek(0, 2)
        log.seek(max(0, size - LOG_TAIL_BYTES))
        text = log.read().decode("utf-8", errors="replace")
    return text if size <= LOG_TAIL_BYTES else text.partition("\n")[2]
