"""The real engine, started by a worker: with its attempt, its log, and a cancel that saves."""

from __future__ import annotations

import time
from collections.abc import Callable

from app.launch import queue_run
from lab.jobs.control import cancel, resume
from lab.jobs.devices import slots_of
from lab.jobs.log import log_file, tail
from lab.jobs.worker import Worker
from lab.store.job_queries import list_jobs
from lab.store.queries import checkpoints, get_run
from lab.store.store import Store
from tests.integration.conftest import SUPERVISED, tiny_config


def test_a_queued_run_is_trained_stopped_with_a_checkpoint_and_goes_on(opened: Store):
    config = tiny_config(SUPERVISED, max_steps=25, checkpoint_every=10_000)
    run_id = queue_run(opened, config, command=["test"], with_worker=False)
    worker = Worker(opened, slots_of([], 1))

    turn_until(worker, lambda: (get_run(opened, run_id).step or 0) >= 2)
    assert cancel(opened, run_id) == "asked to stop"
    turn_until(worker, lambda: list_jobs(opened)[0].exit_code is not None)
    (saved,) = checkpoints(opened, run_id)
    assert (get_run(opened, run_id).status, list_jobs(opened)[0].exit_code) == ("stopped", 0)
    assert 2 < saved.step < 25

    resume(opened, run_id)
    turn_until(worker, lambda: get_run(opened, run_id).status == "finished")
    assert list_jobs(opened)[0].attempt == 2
    assert f"training from step {saved.step} of 25" in tail(log_file(opened, run_id), 100)


def turn_until(worker: Worker, what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 250
    while not what():
        worker.turn()
        assert time.monotonic() < deadline, "nothing happened in time"
        time.sleep(0.05)
