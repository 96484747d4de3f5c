"""Two to four runs side by side: configs, scores, curves, and the images that all of them saw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.api_runs import entry_now, summary_entry
from app.wishes import flat
from lab.analysis.compare import config_differences, kept_labels, model_scores
from lab.config import FOREIGN, flatten, parse_run_config
from lab.datasets.records import LabelSource
from lab.store.asks import applied_changes
from lab.store.lately import LATELY_STEPS
from lab.store.pair_queries import Place, recorded_places
from lab.store.queries import (
    RunRow,
    evaluations,
    image_record,
    last_summaries,
    scalar_names,
    scalar_series,
    step_summaries,
)
from lab.store.store import Store

MOST_RUNS = 4
MAX_POINTS = 600
"""Of a curve."""
SOURCES = (LabelSource.PROBE_TEACHER, LabelSource.PSEUDO)
"""Probe images are the same in runs alike and predicted at the same steps: they come first."""


def side_by_side(store: Store, rows: Sequence[RunRow]) -> dict[str, Any]:
    """What the runs are and how good lately; `differences` is what differs of `config`."""
    configs = [flat_stored(row) for row in rows]
    keys = dict.fromkeys(key for config in configs for key in config)
    return {
        "runs": [entry_now(store, row) for row in rows],
        "differences": config_differences([row.config for row in rows]),
        "config": {key: [config.get(key) for config in configs] for key in keys},
        "applied": [applied_changes(store, row.run_id) for row in rows],
        "scores": [model_scores(evaluations(store, row.run_id)) for row in rows],
        "kept": [kept_labels(last_summaries(store, row.run_id, LATELY_STEPS)) for row in rows],
    }


def flat_stored(row: RunRow) -> dict[str, Any]:
    """The config by dotted key, with today's defaults where it is one of ours."""
    return flatten(row.config) if FOREIGN in row.config else flat(parse_run_config(row.config))


def curves(store: Store, rows: Sequence[RunRow], name: str) -> dict[str, Any]:
    """One scalar, the evaluations and the label counts of every run; `names` are all scalars."""
    names = sorted({one for row in rows for one in scalar_names(store, row.run_id)})
    return {"names": names, "runs": [_curves_of(store, row, name) for row in rows]}


def _curves_of(store: Store, row: RunRow, name: str) -> dict[str, Any]:
    series = scalar_series(store, row.run_id, [name], max_points=MAX_POINTS)
    rows = [one for one in evaluations(store, row.run_id) if one.split != "train"]
    return {
        "run_id": row.run_id,
        "series": series.get(name),
        "evaluations": [
            {"step": one.step, "model": one.model, "metrics": one.metrics} for one in rows
        ],
        "summaries": [summary_entry(one) for one in step_summaries(store, row.run_id)],
    }


def shared_images(store: Store, rows: Sequence[RunRow], most: int) -> dict[str, Any]:
    """Images of which every run has labels, each with the steps of every run, oldest first."""
    for source in SOURCES:
        places = [recorded_places(store, row.run_id, source) for row in rows]
        steps = [_steps_by_image(found) for found in places]
        common = set.intersection(*(set(one) for one in steps)) if steps else set()
        images = [
            {"id": image_id, "name": name, "steps": [one[image_id] for one in steps]}
            for image_id in sorted(common)[:most]
            if (name := _common_name(store, rows, image_id)) is not None
        ]
        if images:
            return {"source": int(source), "images": images}
    return {"source": int(LabelSource.PSEUDO), "images": []}


def _steps_by_image(places: Sequence[Place]) -> dict[int, list[int]]:
    steps: dict[int, list[int]] = {}
    for place in reversed(places):
        steps.setdefault(place.image_id, []).append(place.step)
    return steps


def _common_name(store: Store, rows: Sequence[RunRow], image_id: int) -> str | None:
    """The file's name, or None when the number means another picture in another run."""
    paths = {image_record(store, row.run_id, image_id).path for row in rows}
    return next(iter(paths)).name if len(paths) == 1 else None
