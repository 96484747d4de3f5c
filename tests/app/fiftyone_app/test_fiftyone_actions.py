"""What FiftyOne's buttons do in the lab."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from app.fiftyone.actions import changes_of, relaunch, remember_selection, rules_of
from app.fiftyone.numbers import kept_by, kept_by_run
from app.launch import LaunchError
from lab.config import ConfigError
from lab.store.queries import events, get_run
from lab.store.recorder import StoreRecorder
from lab.store.store import Store
from tests.app.commands.conftest import record_by_hand


@pytest.fixture
def recorded(store: Store) -> str:
    """Finished with both thresholds at 0.8, a checkpoint at step 10 of 20."""
    return record_by_hand(store)


def test_the_sliders_are_the_thresholds_of_the_run(store: Store, recorded: str):
    rules = rules_of(store.root, recorded)

    assert [(one.key, one.value) for one in rules.sliders] == [
        ("method.class_threshold", 0.8),
        ("method.mask_threshold", 0.8),
    ]
    assert rules.steps == (10,)


def test_a_fork_has_the_thresholds_that_were_set(store: Store, recorded: str):
    rules = rules_of(store.root, recorded)
    changes = changes_of(rules, {"class_quality": 0.6, "mask_quality": 0.7})

    child = get_run(store, relaunch(store.root, recorded, changes, "fork", with_worker=False))

    assert child.config["method"]["class_threshold"] == 0.6
    assert child.config["method"]["mask_threshold"] == 0.7
    assert (child.parent_run_id, child.parent_step) == (recorded, 10)
    assert child.status == "queued"


def test_a_new_run_has_them_too_and_no_parent(store: Store, recorded: str):
    changes = {"method.mask_threshold": 0.5}

    child = get_run(store, relaunch(store.root, recorded, changes, "new", with_worker=False))

    assert child.config["method"]["mask_threshold"] == 0.5
    assert child.parent_run_id is None


def test_a_threshold_that_cannot_be_is_refused_by_name(store: Store, recorded: str):
    with pytest.raises(ConfigError, match="mask_threshold"):
        relaunch(store.root, recorded, {"method.mask_threshold": 1.5}, "new", with_worker=False)


def test_a_run_whose_checkpoints_are_gone_cannot_be_forked(store: Store, recorded: str):
    for file in (store.run_directory(recorded) / "checkpoints").iterdir():
        file.unlink()

    with pytest.raises(LaunchError, match="no checkpoint"):
        relaunch(store.root, recorded, {}, "fork", with_worker=False)


def test_the_end_of_a_finished_run_is_no_place_to_fork(store: Store, recorded: str):
    """Nothing would be left to train after step 20 of 20: the fork goes on from step 10."""
    directory = store.run_directory(recorded) / "checkpoints"
    (directory / "step-00000020.pt").write_bytes(b"")
    with StoreRecorder(store, recorded) as recorder:
        recorder.checkpoint(20, directory / "step-00000020.pt")

    assert rules_of(store.root, recorded).steps == (10,)
    child = get_run(store, relaunch(store.root, recorded, {}, "fork", with_worker=False))
    assert child.parent_step == 10


def test_a_selection_is_remembered_once_each_in_order(store: Store, recorded: str):
    remember_selection(store.root, recorded, [5, 3, 5], " odd cats ")

    (event,) = [one for one in events(store, recorded) if one.kind == "selection"]
    assert event.payload == {"name": "odd cats", "label_ids": [3, 5], "from": "fiftyone"}


@pytest.mark.parametrize(("ids", "name"), [([], "cats"), ([1], "  ")])
def test_an_empty_selection_or_name_is_refused(
    store: Store, recorded: str, ids: list[int], name: str
):
    with pytest.raises(ValueError, match="select"):
        remember_selection(Path(store.root), recorded, ids, name)


LABELS = {
    "kind": np.array(["Cor", "BG", "Cor", "unknown"], dtype=object),
    "kept": np.array([True, True, False, False]),
    "area": np.array([9.0, 9.0, 9.0, 2.0]),
    "mask_quality": np.array([0.9, 0.5, 0.7, 0.9]),
}


def test_other_thresholds_let_in_and_throw_out():
    """Of four: the second leaves, the third enters, the fourth is too small."""
    kept = kept_by(LABELS, {"mask_quality": 0.7}, min_area=2)

    assert (kept.labels, kept.enters, kept.leaves) == (2, 1, 1)
    assert kept.precision == 1.0


def test_what_the_run_kept_is_counted_as_it_was():
    kept = kept_by_run(LABELS)

    assert (kept.labels, kept.kinds["Cor"], kept.kinds["BG"]) == (2, 1, 1)
    assert kept.precision == 0.5


def test_keeping_nothing_has_no_precision():
    assert math.isnan(kept_by(LABELS, {"mask_quality": 1.0}, min_area=0).precision)
