"""`train`: what is refused before a run exists, and what a fork takes from its parent."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.cli import main
from app.commands.train import foretell, resumable, settle
from app.launch import LaunchError, find_fork_point, start_run
from lab.config import parse_run_config, with_overrides
from lab.datasets.coco_file import DatasetError
from lab.store.errors import ActionRefused
from lab.store.queries import get_run, list_runs
from lab.store.recorder import StoreRecorder
from lab.store.store import Store


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "say what to train"),
        (("nowhere.toml",), "nowhere.toml: cannot be read"),
        (("bad.toml",), "schedule.max_step = 5: unknown key"),
        (("good.toml", "-o", "seed"), "expected key=value"),
        (("good.toml", "-o", "schedule.max_steps=0"), "schedule.max_steps = 0"),
        (("good.toml", "--resume", "last"), "--resume takes nothing else"),
        (("good.toml", "--fork", "last"), "expected RUN@STEP"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_code_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    sentence: str,
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.toml").write_text('name = "good"\n', encoding="utf-8")
    (tmp_path / "bad.toml").write_text("[schedule]\nmax_step = 5\n", encoding="utf-8")

    assert main(["train", *arguments, "--store", str(tmp_path / "store")]) == 2
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert "Traceback" not in captured.err


def test_a_bad_config_leaves_no_store_behind(tmp_path: Path):
    assert main(["train", "nowhere.toml", "--store", str(tmp_path / "store")]) == 2
    assert not (tmp_path / "store").exists()


def test_a_fork_has_its_parent_s_checkpoint_and_the_changed_value(store: Store, recorded: str):
    point = find_fork_point(store, "by-hand@10")
    changes = {"method.mask_threshold": 0.75, "name": "looser"}
    config = parse_run_config(with_overrides(point.run.config, changes))

    child = get_run(store, start_run(store, config, command=["seglab"], fork=point))

    assert (child.parent_run_id, child.parent_step) == (recorded, 10)
    assert child.config["method"]["mask_threshold"] == 0.75
    assert child.config["method"]["class_threshold"] == 0.8
    inherited = store.run_directory(child.run_id) / "checkpoints" / "step-00000010.pt"
    assert inherited.read_bytes() == b"weights"


def test_a_fork_of_a_step_without_checkpoint_lists_those_there_are(store: Store, recorded: str):
    with pytest.raises(LaunchError, match=re.escape("no checkpoint at step 11; it has: 10")):
        find_fork_point(store, f"{recorded}@11")


def test_a_checkpoint_whose_file_is_gone_is_none(store: Store, recorded: str):
    (store.run_directory(recorded) / "checkpoints" / "step-00000010.pt").unlink()

    with pytest.raises(LaunchError, match="it has: none"):
        find_fork_point(store, f"{recorded}@10")


def test_a_fork_that_has_nothing_left_to_train_is_refused(store: Store, recorded: str):
    point = find_fork_point(store, f"{recorded}@10")
    config = parse_run_config(with_overrides(point.run.config, {"schedule.max_steps": 10}))

    with pytest.raises(LaunchError, match="nothing is left to train"):
        start_run(store, config, command=[], fork=point)
    assert len(list_runs(store)) == 1


def test_what_a_run_will_add_is_told_with_its_parts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    foretell(parse_run_config({"method": {"name": "pl_dc"}}), tmp_path)

    told = capsys.readouterr().err
    assert re.match(r"will add about [\d.]+ GB to the store: scores .* GB, masks .*, curves", told)


def test_missing_data_is_named_before_a_run_exists(tmp_path: Path):
    paths = {
        f"{split}_{kind}": "nowhere" for split in ("train", "val") for kind in ("json", "images")
    }

    with pytest.raises(DatasetError, match=r"^dataset\.train_json = nowhere: No such file"):
        foretell(parse_run_config({"dataset": {"source": "coco", **paths}}), tmp_path)


def test_a_finished_run_is_not_resumed(store: Store):
    run_id = start_run(store, parse_run_config({"name": "a"}), command=["test"])
    with StoreRecorder(store, run_id):
        pass

    with pytest.raises(ActionRefused, match=f"{run_id} is finished: resume is for runs that are"):
        resumable(store, "a")


@pytest.mark.parametrize(("code", "words"), [(-9, "by SIGKILL"), (1, "with exit code 1")])
def test_an_engine_that_never_began_leaves_a_failed_run(
    store: Store, code: int, words: str, capsys: pytest.CaptureFixture[str]
):
    run_id = start_run(store, parse_run_config({"name": "a"}), command=["test"])

    settle(store, run_id, code)

    run = get_run(store, run_id)
    assert run.status == "failed"
    assert run.error == f"the engine was ended {words} before it began"
    assert ("--resume" in capsys.readouterr().err) == (code < 0)
