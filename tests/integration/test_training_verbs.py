"""The verbs that start the real engine: a run, a fork of it, and runs side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.cli import main
from app.launch import start_run
from app.worker_slots import run_in_slots
from lab.config import RunConfig, parse_run_config, with_overrides
from lab.store.queries import RunRow, get_run
from lab.store.store import Store

TINY: dict[str, Any] = {
    "name": "tiny",
    "dataset": {"source": "shapes", "num_train": 8, "num_val": 2, "image_size": 64},
    "split": {"labeled_fraction": 0.5},
    "view": {"crop_size": 64, "eval_size": 64},
    "host": {"name": "condinst", "width": 8},
    "method": {"name": "guided_distillation", "burn_in_steps": 2, "class_threshold": 0.0},
    "schedule": {
        **{"max_steps": 4, "labeled_batch": 1, "unlabeled_batch": 1, "device": "cpu"},
        **{"checkpoint_every": 2, "eval_every": 0},
    },
    "record": {"min_class_quality": 0.0, "probe_images": 0},
}


def tiny(**changes: Any) -> RunConfig:
    dotted = {key.replace("__", "."): value for key, value in changes.items()}
    return parse_run_config(with_overrides(TINY, dotted))


def test_a_run_its_fork_and_its_evaluation(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    config = tmp_path / "tiny.toml"
    config.write_text(_as_toml(TINY), encoding="utf-8")
    root = str(tmp_path / "store")

    assert main(["train", str(config), "--store", root, "--json"]) == 0
    parent = json.loads(capsys.readouterr().out)
    assert (parent["status"], parent["method"]) == ("finished", "guided_distillation")

    forked = ["train", "--fork", "last@2", "-o", "method.class_threshold=0.9", "--name", "child"]
    assert main([*forked, "--store", root, "--json"]) == 0
    child = json.loads(capsys.readouterr().out)
    assert (child["status"], child["parent_step"]) == ("finished", 2)
    assert child["parent_run_id"] == parent["run_id"]
    assert child["config"]["method"]["class_threshold"] == 0.9

    assert main(["evaluate", "child", "--store", root, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["run_id"], answer["step"], answer["model"]) == (child["run_id"], 4, "teacher")


def test_runs_go_side_by_side_and_are_watched_to_the_end(store: Store):
    run_ids = [start_run(store, tiny(seed=seed), command=[]) for seed in (0, 1)]
    seen: list[dict[str, RunRow]] = []

    codes = run_in_slots(store, run_ids, slots=2, look=lambda rows: seen.append(dict(rows)))

    assert codes == dict.fromkeys(run_ids, 0)
    assert [row.status for row in seen[-1].values()] == ["finished", "finished"]


def test_after_a_failure_no_further_run_is_started(store: Store):
    broken = start_run(store, tiny(host__backbone_weights="nowhere.pth"), command=[])
    waiting = start_run(store, tiny(), command=[])

    codes = run_in_slots(store, [broken, waiting], slots=1, look=lambda _: None)

    assert list(codes) == [broken]
    assert codes[broken] != 0
    assert get_run(store, waiting).status == "queued"
    output = (store.run_directory(broken) / "output.txt").read_text(encoding="utf-8")
    assert "nowhere.pth" in output


def _as_toml(tree: dict[str, Any]) -> str:
    """Tables are written inline."""
    lines = [f"{key} = {_value(value)}" for key, value in tree.items()]
    return "\n".join(lines)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(one)}" for key, one in value.items()) + " }"
    return json.dumps(value)
