"""A sweep through the queue with the real engine: burn-in, forks behind it, and a failure."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.cli import main
from app.sweep import tasks_of
from app.sweep_plan import plan_sweep
from app.sweep_queue import is_on_its_way, queue_sweep
from lab.config import ConfigError
from lab.config.sweep import load_sweep
from lab.jobs.devices import slots_of
from lab.jobs.worker import Worker
from lab.store.job_queries import list_jobs
from lab.store.queries import get_run, list_runs
from lab.store.store import Store
from tests.integration.test_sweep import BASE, write


def names_and_states(store: Store) -> dict[str, str]:
    return {row.name.partition(", ")[0]: row.status for row in list_runs(store)}


def turn_until(worker: Worker, what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 250
    while not what():
        worker.turn()
        assert time.monotonic() < deadline, "nothing happened in time"
        time.sleep(0.05)


def test_a_queued_sweep_is_trained_by_any_worker_and_goes_on_after_a_failure(
    tmp_path: Path, store: Store, capsys: pytest.CaptureFixture[str]
):
    path = write(tmp_path)
    plan = plan_sweep(load_sweep(path))
    where = ["--store", str(store.root)]

    assert main(["sweep", str(path), "--queue", "--no-worker", "--json", *where]) == 0
    queued: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    assert [one["status"] for one in queued] == 4 * ["queued"]
    assert main(["sweep", str(path), "--queue", "--no-worker", "--json", *where]) == 0
    assert json.loads(capsys.readouterr().out) == queued, "a second time changes nothing"
    burn_in = queued[0]["run_id"]
    waiting = [job.waits_for for job in list_jobs(store)]
    assert waiting == [None, *3 * [f"{burn_in}@2"]]

    worker = Worker(store, slots_of([], 2))
    run_ids = {one["run_id"] for one in queued}
    turn_until(worker, lambda: not is_on_its_way(store, run_ids))

    assert sorted(row.status for row in list_runs(store)) == ["failed", *3 * ["finished"]]
    forks = [get_run(store, one["run_id"]) for one in queued[1:]]
    assert {(fork.parent_run_id, fork.parent_step) for fork in forks} == {(burn_in, 2)}
    assert main(["sweep", str(path), "--table", *where]) == 0
    assert "0 of 1" in capsys.readouterr().out

    queue_sweep(store, plan, command=[], with_worker=False)
    states = [task.row.status if task.row else None for task in tasks_of(store, plan)]
    assert states == ["finished", "finished", "finished", "queued"], "only what failed"


def test_a_fork_of_a_failed_burn_in_waits_and_is_on_its_way_again_with_it(
    tmp_path: Path, store: Store
):
    path = write(tmp_path)
    plan = plan_sweep(load_sweep(path), only=["single"])
    tasks = queue_sweep(store, plan, command=[], with_worker=False)
    run_ids = {task.row.run_id for task in tasks if task.row}
    worker = Worker(store, slots_of([], 1), entry=("false",))
    turn_until(worker, lambda: not is_on_its_way(store, run_ids))
    assert [task.row and task.row.status for task in tasks_of(store, plan)] == ["failed", "queued"]

    queue_sweep(store, plan, command=[], with_worker=False)
    assert is_on_its_way(store, run_ids)
    burn_in = tasks[0].row
    assert burn_in is not None
    assert {job.waits_for for job in list_jobs(store)} == {None, f"{burn_in.run_id}@2"}


def test_nothing_is_queued_when_one_run_asks_for_a_device_the_queue_cannot_give(
    tmp_path: Path, store: Store
):
    path = write(tmp_path)
    (tmp_path / "base.toml").write_text(BASE.replace('"cpu"', '"cuda:1"'), encoding="utf-8")

    with pytest.raises(ConfigError, match="cuda:1"):
        queue_sweep(store, plan_sweep(load_sweep(path)), command=[], with_worker=False)

    assert list_runs(store) == []


def test_waiting_is_for_the_queue(capsys: pytest.CaptureFixture[str]):
    assert main(["sweep", "some.toml", "--wait"]) == 2
    assert "--wait is for --queue" in capsys.readouterr().err
