"""Objects that no kept label finds count as missed, whatever the store still has of the labels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.fiftyone.database import Address
from app.fiftyone.request import build_request
from lab.analysis.judge import build_judge
from lab.datasets.records import Dataset, LabelSource
from lab.store.queries import get_run, label_masks, list_runs
from lab.store.recorder import StoreRecorder
from lab.store.retention import MaskPolicy, carry_out, plan_retention
from lab.store.runs import attach_datasets, create_run
from lab.store.store import Store
from tests.factories import example_config, guesses, painted_dataset

pytestmark = pytest.mark.fiftyone

SIDE = 64
LEFT_HALF = (0.0, 0.0, 32.0, 64.0)
STEPS = ({1: LEFT_HALF, 2: None}, {1: None, 3: LEFT_HALF}, {3: None}, {4: LEFT_HALF}, {5: None})
"""What was seen of which images: the newest labels of images 1 and 3 are those of all of them."""
NEWEST = {2: 0, 1: 1, 3: 2, 4: 3, 5: 4}


@dataclass(frozen=True, slots=True)
class Counted:
    """What the recorder counted in the newest labels of all images."""

    run_id: str
    truths: int
    missed: int


def record(store: Store) -> Counted:
    """STEPS of five images; the fifth has no object."""
    painted = painted_dataset(store.root / "pictures", "painted", 5, SIDE, 1)
    empty = replace(painted.images[4], annotations=())
    train = Dataset("painted", painted.categories, (*painted.images[:4], empty))
    run_id = create_run(store, example_config("halves", "pl_dc", len(STEPS)))
    attach_datasets(store, run_id, train, train)
    rng = np.random.default_rng(5)
    judge = build_judge(train)
    truths = missed = 0
    with StoreRecorder(store, run_id, judge=judge) as recorder:
        for step, seen in enumerate(STEPS):
            for image_id, visible in seen.items():
                found = guesses(rng, painted.images[image_id - 1], LabelSource.PSEUDO, 0.5)
                labels = judge(replace(found, visible=visible))
                recorder.pseudo_labels(step, [labels])
                if NEWEST[image_id] == step:
                    truths += labels.num_truths or 0
                    missed += labels.missed or 0
        recorder.finish("finished")
    return Counted(run_id, truths, missed)


@pytest.fixture
def counted(store: Store) -> Counted:
    return record(store)


@pytest.fixture(params=["all masks", "masks of the last step"])
def dataset(request: pytest.FixtureRequest, store: Store, counted: Counted, mongo: Address) -> Any:
    """The newest labels of each image, before and after the store let masks go."""
    if request.param != "all masks":
        carry_out(store, plan_retention(store, list_runs(store), MaskPolicy(keep_every=None)))
    from app.fiftyone.showing import show

    shown = show(store, build_request(store.root, get_run(store, counted.run_id)))[1]
    ids = shown.values("latest.detections.label_id", unwind=True)
    assert (len(label_masks(store, ids)) == len(ids)) == (request.param == "all masks")
    return shown


def test_missed_are_those_that_the_store_counts(dataset: Any, counted: Counted):
    missed = dataset.load_saved_view("latest: Missed")

    verdicts = dataset.count_values("ground_truth.detections.eval_latest")
    assert missed.count("ground_truth.detections") == counted.missed > 0
    assert (verdicts["tp"], verdicts["fn"]) == (counted.truths - counted.missed, counted.missed)


def test_fiftyones_recall_and_precision_are_those_of_the_store(dataset: Any, counted: Counted):
    found = counted.truths - counted.missed
    kept = dataset.count_values("latest.detections.kept")[True]

    metrics = dataset.load_evaluation_results("eval_latest").metrics()

    assert metrics["recall"] == pytest.approx(found / counted.truths)
    assert metrics["precision"] == pytest.approx(found / kept)
    assert metrics["support"] == counted.truths


def test_without_some_masks_nobody_says_an_ap(
    request: pytest.FixtureRequest, dataset: Any, counted: Counted
):
    results = dataset.load_evaluation_results("eval_latest")

    all_there = request.node.callspec.params["dataset"] == "all masks"
    assert hasattr(results, "mAP") == all_there
    assert results.config.compute_mAP == all_there


def test_every_kept_label_on_an_image_without_objects_is_wrong(dataset: Any):
    empty = dataset.match({"image_id": 5}).first()

    kept = [one for one in empty.latest.detections if one.kept]
    assert empty.eval_latest_fp == len(kept)
    assert all(one.eval_latest == "fp" and one.kind == "BG" for one in kept)


def test_labels_that_nobody_judged_miss_nothing_once_their_masks_are_gone(
    store: Store, mongo: Address, tmp_path: Path
):
    train = painted_dataset(tmp_path / "pictures", "painted", 2, SIDE, 1)
    run_id = create_run(store, example_config("unjudged", "pl_dc", 2))
    attach_datasets(store, run_id, train, train)
    rng = np.random.default_rng(5)
    with StoreRecorder(store, run_id) as recorder:
        for step, image in enumerate(train.images):
            recorder.pseudo_labels(step, [guesses(rng, image, LabelSource.PSEUDO, 0.5)])
        recorder.finish("finished")
    carry_out(store, plan_retention(store, list_runs(store), MaskPolicy(keep_every=None)))
    from app.fiftyone.showing import show

    shown = show(store, build_request(store.root, get_run(store, run_id)))[1]

    first = shown.match({"image_id": 1}).first()
    assert first.eval_latest_fn == 0
    assert all(one.eval_latest is None for one in first.ground_truth.detections)
