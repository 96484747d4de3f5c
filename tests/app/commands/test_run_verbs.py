"""`runs`, `show`, `errors` and `what-if` on a run whose every number is known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.cli import main
from lab.analysis.watch import Watch
from lab.store.queries import checkpoints
from lab.store.recorder import StoreRecorder
from lab.store.store import Store
from tests.app.commands.conftest import labels_of
from tests.lab.store.old_stores import DIRECTORY, restore

Captured = pytest.CaptureFixture[str]


def answer(capsys: Captured, store: Store, *arguments: str) -> Any:
    """What a verb prints as JSON."""
    assert main([*arguments, "--store", str(store.root), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def text(capsys: Captured, store: Store, *arguments: str) -> str:
    """What a verb prints for people."""
    assert main([*arguments, "--store", str(store.root)]) == 0
    return capsys.readouterr().out


def test_runs_lists_the_run(store: Store, recorded: str, capsys: Captured):
    [row] = answer(capsys, store, "runs")

    assert (row["run_id"], row["method"], row["status"]) == (recorded, "pl_dc", "finished")
    assert row["best_ap"] == 30.0


def test_runs_of_an_empty_store_says_what_to_do(store: Store, capsys: Captured):
    assert main(["runs", "--store", str(store.root)]) == 0

    captured = capsys.readouterr()
    assert captured.out == ""
    assert "seglab demo" in captured.err


def test_show_says_state_scores_changes_and_files(store: Store, recorded: str, capsys: Captured):
    shown = text(capsys, store, "show", "last")

    assert recorded in shown
    assert "finished" in shown
    assert "4 of 8 candidates kept on 2 images" in shown
    assert "method.class_threshold" in shown
    assert "schedule.max_steps" in shown
    assert "schedule.warmup_steps" not in shown
    assert "log.txt" not in shown, "there is none"


def test_show_knows_a_run_by_its_name(store: Store, recorded: str, capsys: Captured):
    shown = answer(capsys, store, "show", "by-hand")

    assert shown["run"]["run_id"] == recorded
    assert shown["last_summary"]["kept"] == 4
    assert shown["evaluations"][0]["metrics"]["APs"] is None
    assert shown["files"]["newest checkpoint"].endswith("step-00000010.pt")


def test_show_lists_the_files_that_are_there(store: Store, recorded: str, capsys: Captured):
    log = store.run_directory(recorded) / "log.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.touch()
    for one in checkpoints(store, recorded):
        one.path.unlink()

    files = answer(capsys, store, "show", recorded)["files"]

    assert files["log"] == str(log)
    assert files["newest checkpoint"] == "none is here; that of step 10 was the newest"


def test_errors_counts_kept_and_all_labels(store: Store, recorded: str, capsys: Captured):
    found = answer(capsys, store, "errors", recorded)

    # 2 steps x 2 images x (1 Cor + 1 Sim kept; 2 Cor + 1 Sim + 1 BG in all).
    assert found["kept"]["total"] == 8
    assert found["kept"]["kinds"]["cor"] == found["kept"]["kinds"]["sim"] == 4
    assert found["all"]["kinds"] == {
        **{"unknown": 0, "cor": 8, "loc": 0, "sim": 4},
        **{"oth": 0, "bg": 4, "ignored": 0},
    }
    assert found["kept_per_class"]["dog"]["kinds"]["sim"] == 4
    assert found["kept_per_class"]["car"]["total"] == 0


def test_errors_lists_kept_mistakes_alone(store: Store, recorded: str, capsys: Captured):
    worst = answer(capsys, store, "errors", recorded, "--worst", "3")["worst"]

    assert len(worst) == 3
    assert all(one["kept"] and one["kind"] == 3 for one in worst)


def test_errors_in_a_window_sees_its_steps_alone(store: Store, recorded: str, capsys: Captured):
    found = answer(capsys, store, "errors", recorded, "--from", "5", "--to", "8")

    assert found["kept"]["total"] == 4


def test_errors_for_people_names_the_classes(store: Store, recorded: str, capsys: Captured):
    shown = text(capsys, store, "errors", recorded)

    assert "50.0 %" in shown
    assert "dog" in shown


def test_what_if_shows_now_asked_and_best(store: Store, recorded: str, capsys: Captured):
    asked = ("what-if", recorded, "--class-threshold", "0.5", "--mask-threshold", "0.5")
    now, other, best = answer(capsys, store, *asked)["cases"]

    # Per step and image: 4 truths; now 1 Cor + 1 Sim; at (0.5, 0.5) the second Cor joins.
    assert (now["answer"]["kept"], other["answer"]["kept"]) == (8, 12)
    assert now["answer"]["precision"] == 0.5
    assert other["answer"]["precision"] == pytest.approx(2 / 3)
    assert (now["answer"]["recall"], other["answer"]["recall"]) == (0.25, 0.5)
    # Best: mask >= 0.81 drops the Sim and keeps both Cor: precision 1, recall 0.5.
    assert best["answer"]["precision"] == 1.0
    assert best["answer"]["recall"] == 0.5


def test_what_if_keeps_the_run_s_own_value_of_what_is_not_asked(
    store: Store, recorded: str, capsys: Captured
):
    _, other, _ = answer(capsys, store, "what-if", recorded, "--mask-threshold", "0.85")["cases"]

    assert other["rule"] == "class 0.8, mask 0.85"
    assert other["answer"]["kept"] == 4


def test_what_if_takes_thresholds_between_the_grid(store: Store, recorded: str, capsys: Captured):
    _, other, _ = answer(capsys, store, "what-if", recorded, "--class-threshold", "0.925")["cases"]

    assert other["answer"]["kept"] == 4


def test_what_if_answers_for_one_coupled_threshold(store: Store, recorded: str, capsys: Captured):
    _, other, _ = answer(capsys, store, "what-if", recorded, "--coupled", "0.57")["cases"]

    # Products 0.81, 0.76, 0.57, 0.34: three of four pass, the third exactly on the threshold.
    assert other["answer"]["kept"] == 12


def test_what_if_for_people_is_a_table(store: Store, recorded: str, capsys: Captured):
    shown = text(capsys, store, "what-if", recorded, "--coupled", "0.5")

    assert "class x mask 0.5" in shown
    assert "best F1" in shown


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("show", "nobody"), "nobody"),
        (("errors", "last", "--from", "9", "--to", "2"), "--from 9 is after --to 2"),
        (("what-if", "last", "--coupled", "0.5", "--mask-threshold", "0.5"), "stands alone"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_code_2(
    store: Store, recorded: str, capsys: Captured, arguments: tuple[str, ...], sentence: str
):
    assert main([*arguments, "--store", str(store.root)]) == 2

    captured = capsys.readouterr()
    assert sentence in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


@pytest.mark.parametrize("verb", ["errors", "what-if"])
def test_a_window_without_labels_is_a_failure(
    store: Store, recorded: str, capsys: Captured, verb: str
):
    assert main([verb, recorded, "--from", "15", "--store", str(store.root)]) == 1
    assert "in steps 15 to the newest" in capsys.readouterr().err


def test_an_alert_is_a_mark_in_the_list_and_a_sentence_in_the_run(
    store: Store, recorded: str, capsys: Captured
):
    record_silence(store, recorded)

    shown = text(capsys, store, "show", recorded)
    listed = text(capsys, store, "runs")
    [row] = answer(capsys, store, "runs")

    sentence = "no pseudo-label is kept: the unlabelled images teach nothing (since step 11)"
    assert f"alert: {sentence}" in shown
    assert "nothing kept" in listed
    assert {"unsup_zero", "kept_collapse"} <= {one["kind"] for one in row["alerts"]}
    assert answer(capsys, store, "show", recorded)["alerts"] == row["alerts"]


def test_a_list_without_alerts_has_no_column_for_them(
    store: Store, recorded: str, capsys: Captured
):
    assert "alerts" not in text(capsys, store, "runs")
    assert answer(capsys, store, "show", recorded)["alerts"] == []


def record_silence(store: Store, run_id: str) -> None:
    """50 more steps of which nothing is kept, watched."""
    nothing = replace(labels_of(1), kept=np.zeros(4, bool))
    with StoreRecorder(store, run_id, watch=Watch(store, run_id, str)) as recorder:
        for step in range(11, 61):
            recorder.pseudo_labels(step, [nothing])


@pytest.mark.parametrize(
    "path", sorted(DIRECTORY.glob("version-*.sql")), ids=lambda path: path.stem
)
def test_a_store_of_an_older_seglab_is_brought_up_to_date_by_who_looks(
    tmp_path: Path, path: Path, capsys: pytest.CaptureFixture[str]
):
    restore(path, tmp_path)

    assert main(["runs", "--store", str(tmp_path), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) >= 1
