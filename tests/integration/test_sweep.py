"""A sweep with the real engine: shared burn-ins, half done and gone on with, a run that fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.cli import main
from app.sweep import tasks_of, train_sweep
from app.sweep_plan import PlannedRun, plan_sweep
from lab.config.sweep import load_sweep
from lab.store.queries import list_runs
from lab.store.store import Store

BASE = """
dataset = { source = "shapes", num_train = 8, num_val = 2, image_size = 64 }
split = { labeled_fraction = 0.5 }
view = { crop_size = 64, eval_size = 64 }
host = { name = "condinst", width = 8 }
schedule = { max_steps = 4, labeled_batch = 1, unlabeled_batch = 1, device = "cpu", eval_every = 0 }
record = { min_class_quality = 0.0, probe_images = 0 }
"""
SWEEP = """
base = "base.toml"
burn_in = { run = "supervised", step = 2 }
[[run]]
name = "supervised"
[[run]]
name = "single"
set = { method.name = "guided_distillation", method.class_threshold = 0.0 }
[[run]]
name = "broken"
set = { method.name = "pl_dc", method.clip.pretrained = "nowhere.pt" }
"""


def write(directory: Path) -> Path:
    (directory / "base.toml").write_text(BASE, encoding="utf-8")
    path = directory / "sweep.toml"
    path.write_text(SWEEP, encoding="utf-8")
    return path


def train(store: Store, plan: list[PlannedRun]) -> list[str]:
    """Names of the runs that are not finished afterwards."""
    failed = train_sweep(store, plan, slots=2, command=[], look=lambda _: None)
    return [one.name for one in failed]


def test_a_sweep_goes_on_where_it_stopped_and_a_failure_stops_nobody(
    tmp_path: Path, store: Store, capsys: pytest.CaptureFixture[str]
):
    path = write(tmp_path)
    sweep = load_sweep(path)
    half = plan_sweep(sweep, only=["supervised"])

    assert train(store, half) == []
    first = {row.run_id: row for row in list_runs(store)}
    assert len(first) == 2
    assert all(task.is_done for task in tasks_of(store, half))

    assert main(["sweep", str(path), "--store", str(store.root), "--slots", "2", "--json"]) == 1

    captured = capsys.readouterr()
    report: dict[str, Any] = json.loads(captured.out)
    rows = {row.run_id: row for row in list_runs(store)}
    burn_in = next(row for row in first.values() if row.parent_run_id is None)
    forks = [row for row in rows.values() if row.parent_run_id is not None]
    assert len(rows) == 4
    assert {row.run_id: row.finished for row in first.values()}.items() <= {
        run_id: row.finished for run_id, row in rows.items()
    }.items(), "what was finished was not touched"
    assert {(row.parent_run_id, row.parent_step) for row in forks} == {(burn_in.run_id, 2)}
    assert [line["seeds"] for line in report["lines"]] == [[0], [0], []]
    assert [one["name"] for one in report["failed"]] == ["sweep: broken, seed 0"]
    assert "nowhere.pt" in Path(report["failed"][0]["log"]).read_text(encoding="utf-8")
    assert "sweep: broken, seed 0" in captured.err

    assert main(["sweep", str(path), "--store", str(store.root), "--table"]) == 0
    assert "0 of 1" in capsys.readouterr().out
    assert len(list_runs(store)) == 4
