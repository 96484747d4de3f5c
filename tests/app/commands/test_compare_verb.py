"""`seglab compare`: every part of the comparison is printed, for people and for programs."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from app.cli import main
from lab.store.recorder import StoreRecorder
from lab.store.runs import create_run
from lab.store.store import Store
from tests.app.commands.conftest import CONFIG, labels_of, record_by_hand


def test_the_verb_prints_every_part(store: Store, capsys: pytest.CaptureFixture[str]):
    hand = record_by_hand(store)
    strict = replace(labels_of(1), kept=np.array([True, False, False, False]))
    config = CONFIG.model_copy(update={"name": "strict", "seed": 5})
    other = create_run(store, config)
    with StoreRecorder(store, other) as recorder:
        recorder.pseudo_labels(8, [strict])
    root = ["--store", str(store.root)]

    assert main(["compare", hand, "strict", *root]) == 0
    told = capsys.readouterr().out
    assert main(["compare", hand, "strict", *root, "--json"]) == 0
    tree = json.loads(capsys.readouterr().out)

    for part in (
        *("config", "seed", "by-hand", "strict", "teacher", "30.0", "50.0", "AP of a class"),
        *("pseudo-labels, all steps", "1 kept by both", "only by-hand", "dog"),
    ):
        assert part in told, part
    assert tree["config"] == {"seed": [0, 5]}
    assert tree["runs"][0]["scores"]["teacher"]["best"]["AP"] == 30.0
    assert tree["labels"][0]["only"][0]["kinds"] == {"sim": 1}


def test_the_verb_wants_two_different_runs(
    store: Store, recorded: str, capsys: pytest.CaptureFixture[str]
):
    run_id = recorded

    for runs in ([run_id], [run_id, "last"]):
        assert main(["compare", *runs, "--store", str(store.root)]) == 2
        assert "two different runs" in capsys.readouterr().err


def test_runs_of_different_steps_are_said_to_be_so(
    store: Store, capsys: pytest.CaptureFixture[str]
):
    hand = record_by_hand(store)
    other = create_run(store, CONFIG.model_copy(update={"name": "fork"}))
    with StoreRecorder(store, other) as recorder:
        recorder.pseudo_labels(8, [labels_of(1)])
        recorder.pseudo_labels(11, [labels_of(1)])
    root = ["--store", str(store.root)]

    assert main(["compare", hand, "fork", *root]) == 0
    apart = capsys.readouterr().out
    assert main(["compare", hand, "fork", "--from", "8", "--to", "8", *root]) == 0
    alike = capsys.readouterr().out

    assert "8-11" in apart and "not the same steps of each run" in apart
    assert "8-8" in alike and "not the same steps" not in alike
