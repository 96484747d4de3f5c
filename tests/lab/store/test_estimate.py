"""What a run will take, against what recorded runs took."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.config import CocoConfig, RunConfig, ShapesConfig, parse_run_config
from lab.datasets.coco_file import DatasetError
from lab.datasets.sizes import DatasetSize, dataset_size
from lab.store.estimate import (
    candidates_per_image,
    checkpoint_bytes,
    estimate_run,
    num_checkpoints,
    recorded_sets,
)
from lab.store.recorder import StoreRecorder
from lab.store.run_bytes import run_bytes
from lab.store.runs import create_run
from lab.store.store import Store
from tests.factories import pseudo_labels

SIZE = DatasetSize(1000, 100, 5.0, 20.0)
TRAINED = {
    "name": "trained",
    "dataset": {"source": "shapes", "num_train": 1200, "num_val": 200, "image_size": 128},
    "host": {"name": "condinst", "preset": "tiny", "width": 24, "max_instances": 16},
    "method": {"name": "pl_dc", "burn_in_steps": 1000},
    "schedule": {
        **{"max_steps": 3000, "labeled_batch": 4, "unlabeled_batch": 4},
        **{"eval_every": 500, "checkpoint_every": 500, "keep_checkpoints": 20},
    },
    "record": {"every": 4, "keep": 10},
}
"""A PL-DC run on the shapes, trained to its end on a CPU."""
TOOK = {
    "labels": 20_880,
    "masks": 237_568,
    "scores": 3_760_128 + 548_864 + 401_408 + 2_039_808 + 40_960,
    "curves": 933_888,
    "checkpoints": 6 * 33_484_317,
    "predictions": 1_283_856 + 1_253_355,
    "dataset": 245_760 + 24_576 + 679_936 + 90_112,
}
"""What it then took: labels, bytes of its tables and indexes by dbstat, bytes of its files."""


def config(tree: dict[str, Any]) -> RunConfig:
    return parse_run_config(tree)


@pytest.mark.parametrize("kind", TOOK)
def test_a_run_that_was_trained_took_what_was_foretold_within_a_factor_of_two(kind: str):
    trained = config(TRAINED)

    foretold = estimate_run(trained, dataset_size(trained.dataset))

    assert 0.5 < getattr(foretold, kind) / TOOK[kind] < 2


def test_rows_take_what_is_counted_for_them(file_store: Store):
    """SQLite's own book of pages against the constants, on 4,000 labels."""
    store = file_store
    run_id = create_run(store, RunConfig())
    made = [pseudo_labels(10, image_id=image) for image in range(4)]
    with StoreRecorder(store, run_id, keep_every=2) as recorder:
        for step in range(100):
            recorder.pseudo_labels(step, made)
            recorder.scalars(step, {f"loss/{index}": 1 / 3 for index in range(20)})

    with sqlite3.connect(store.name) as plain:
        pages = dict(plain.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name").fetchall())
    scores = (
        *("labels", "labels_of_a_step", "labels_of_an_image"),
        *("label_sets", "sqlite_autoindex_label_sets_1"),
    )
    counted = run_bytes(store, run_id)
    assert counted.scores == pytest.approx(sum(pages[name] for name in scores), rel=0.25)
    assert counted.masks == pytest.approx(pages["label_masks"], rel=0.25)
    assert counted.curves == pytest.approx(pages["scalars"], rel=0.25)


def test_a_supervised_run_records_probes_alone():
    supervised = config({"method": {"name": "supervised"}, "record": {"probe_images": 0}})

    estimate = estimate_run(supervised, SIZE)

    assert (estimate.labels, estimate.masks, estimate.scores) == (0, 0, 0)
    assert estimate.curves > 0


def test_labels_are_counted_by_hand():
    tree = {
        "method": {"name": "pl_dc", "burn_in_steps": 100},
        "schedule": {"max_steps": 300, "unlabeled_batch": 8},
        "record": {"every": 2, "keep": 5, "probe_images": 0},
    }

    # 200 steps, every 2nd recorded: 100 x 8 images; of these every 5th keeps masks.
    assert recorded_sets(config(tree)) == (800, 160)
    # 5 truths x 2.4 candidates.
    assert candidates_per_image(config(tree), SIZE) == 12
    assert estimate_run(config(tree), SIZE).labels == 9600


def test_rarer_recording_and_fewer_masks_take_less():
    base = {"name": "pl_dc", "burn_in_steps": 0}
    every, rare = (
        estimate_run(config({"method": base, "record": {"every": n, "keep": n}}), SIZE)
        for n in (1, 10)
    )

    assert every.scores > 5 * rare.scores
    assert every.masks > 20 * rare.masks
    assert every.curves == rare.curves


def test_a_host_proposes_no_more_than_its_maximum():
    crowded = replace(SIZE, instances_per_image=500.0)

    assert candidates_per_image(config({}), crowded) == 100


def test_checkpoints_are_counted_by_what_stays():
    schedule = {"max_steps": 1000, "checkpoint_every": 300, "keep_checkpoints": 9}
    tree = {"host": {"name": "condinst", "preset": "r50"}, "schedule": schedule}

    assert num_checkpoints(config(tree)) == 4
    assert checkpoint_bytes(config(tree)) == pytest.approx(34e6 * 16.2)


def coco(directory: Path, images: int, areas: list[float]) -> CocoConfig:
    path = directory / "instances.json"
    annotations = [{"id": index, "area": area} for index, area in enumerate(areas, start=1)]
    path.write_text(json.dumps({"images": [{}] * images, "annotations": annotations}))
    return CocoConfig(
        source="coco", train_json=path, train_images=directory, val_json=path, val_images=directory
    )


def test_a_small_json_is_counted(tmp_path: Path):
    assert dataset_size(coco(tmp_path, 2, [100.0, 400.0, 900.0])) == DatasetSize(2, 2, 1.5, 20.0)


def test_a_large_json_is_guessed_from_its_size(tmp_path: Path):
    config = coco(tmp_path, 1, [])
    with config.train_json.open("ab") as file:
        file.truncate(3_800 * 20_000)

    assert dataset_size(config).train_images == 20_000


def test_a_file_that_is_missing_or_no_json_is_named(tmp_path: Path):
    config = coco(tmp_path, 1, [])
    config.val_json.write_text("[")
    with pytest.raises(DatasetError, match=r"instances\.json: is no COCO file"):
        dataset_size(config)

    config.val_json.unlink()
    with pytest.raises(DatasetError, match=r"instances\.json"):
        dataset_size(config)


def test_shapes_are_known_without_looking():
    assert dataset_size(ShapesConfig(num_train=10, num_val=5, image_size=100)) == DatasetSize(
        10, 5, 4.5, 18.0
    )
