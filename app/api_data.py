"""/lab/datasets: what the runs of a store learn from and are judged on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from app.answers import answer
from app.dataset_findings import check_command, findings
from app.questions import Question
from lab.analysis.recognition import SIZES
from lab.store.errors import StoreError, StoreMissing
from lab.store.queries import (
    DatasetFacts,
    DatasetRow,
    RunRow,
    dataset_facts,
    list_datasets,
    list_runs,
)
from lab.store.store import Store

BOUNDS = tuple(below for _, _, below in SIZES[:-1])

Known = dict[str, DatasetFacts]
"""By content key: what was counted once stays true, because datasets never change."""


class DataNotFound(StoreError):
    """No such data; the message names it."""


def router(root: Path) -> APIRouter:
    """The routes over the store in `root`; each request opens it read-only and closes it."""
    routes = APIRouter(prefix="/lab/datasets")
    known: Known = {}

    @routes.get("")
    def datasets(request: Request, _: Annotated[Question, Query()]) -> Response:
        try:
            with Store.open(root, read_only=True) as store:
                return answer(request, {"datasets": list_data(store)})
        except StoreMissing:  # the first run makes one
            return answer(request, {"datasets": []})

    @routes.get("/{key}")
    def dataset(request: Request, key: str, _: Annotated[Question, Query()]) -> Response:
        with Store.open(root, read_only=True) as store:
            return answer(request, describe_data(store, key, known))

    return routes


def list_data(store: Store) -> list[dict[str, Any]]:
    """Training and validation images that runs use together, and who does; the newest run first."""
    rows = {row.dataset_id: row for row in list_datasets(store)}
    return [_entry(key, rows, runs) for key, runs in _runs_by_data(store).items()]


def describe_data(store: Store, key: str, known: Known) -> dict[str, Any]:
    """Classes, sizes and findings of training and validation images. Raises: DataNotFound."""
    runs = _runs_by_data(store).get(key)
    if runs is None:
        raise DataNotFound(f"no run of this store uses the data {key!r}")
    rows = {row.dataset_id: row for row in list_datasets(store)}
    train, val = (rows[int(number)] for number in key.split("-"))
    of_train, of_val = (_facts(store, row, known) for row in (train, val))
    return _entry(key, rows, runs) | {
        "train": _part(train, of_train),
        "val": _part(val, of_val),
        "classes": _classes(train, of_train, of_val),
        "findings": findings(train, of_train, val, of_val),
        "check": check_command(runs[0].config),
    }


def _runs_by_data(store: Store) -> dict[str, list[RunRow]]:
    """ "3-4" (training and validation dataset) -> its runs, the newest first."""
    runs = [run for run in list_runs(store) if run.train_dataset_id and run.val_dataset_id]
    by_data: dict[str, list[RunRow]] = {}
    for run in runs:
        by_data.setdefault(f"{run.train_dataset_id}-{run.val_dataset_id}", []).append(run)
    return by_data


def _entry(key: str, rows: dict[int, DatasetRow], runs: Sequence[RunRow]) -> dict[str, Any]:
    train, val = (rows[int(number)] for number in key.split("-"))
    return {
        "key": key,
        "name": train.name,
        "train": {"name": train.name, "images": train.num_images},
        "val": {"name": val.name, "images": val.num_images},
        "runs": [{"run_id": run.run_id, "name": run.name} for run in runs],
        "splits": _splits(train, runs),
    }


def _splits(train: DatasetRow, runs: Sequence[RunRow]) -> list[dict[str, Any]]:
    """Which shares of the training images runs know the labels of, and how many runs each."""
    drawn = Counter(
        (run.config["split"]["labeled_fraction"], run.config["split"]["seed"]) for run in runs
    )
    return [
        {
            "fraction": fraction,
            "seed": seed,
            "images": max(1, round(fraction * train.num_images)),
            "runs": number,
        }
        for (fraction, seed), number in sorted(drawn.items())
    ]


def _facts(store: Store, row: DatasetRow, known: Known) -> DatasetFacts:
    if row.content_key not in known:
        known[row.content_key] = dataset_facts(store, row, BOUNDS)
    return known[row.content_key]


def _part(row: DatasetRow, facts: DatasetFacts) -> dict[str, Any]:
    objects = sum(one.objects for one in facts.classes)
    below = [0, *(sum(one.below[at] for one in facts.classes) for at in range(len(BOUNDS)))]
    edges = [*below, objects]
    return {
        "name": row.name,
        "images": row.num_images,
        "objects": objects,
        "sizes": {
            name: high - low
            for (name, _, _), low, high in zip(SIZES, edges, edges[1:], strict=False)
        },
        "widths": facts.widths,
        "heights": facts.heights,
    }


def _classes(
    train: DatasetRow, of_train: DatasetFacts, of_val: DatasetFacts
) -> list[dict[str, Any]]:
    taught, judged = ({one.label: one for one in of.classes} for of in (of_train, of_val))
    return [
        {
            "label": label,
            "name": category.name,
            "supercategory": category.supercategory,
            "objects": taught[label].objects if label in taught else 0,
            "images": taught[label].images if label in taught else 0,
            "val_objects": judged[label].objects if label in judged else 0,
        }
        for label, category in enumerate(train.categories)
    ]
