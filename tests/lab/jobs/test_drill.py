"""Workers and trainers killed at random moments, again and again: nothing lost, nothing twice."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from subprocess import Popen

import pytest

from lab.jobs.control import retry
from lab.jobs.starting import kill
from lab.store.job_queries import list_jobs
from lab.store.job_queue import held_jobs
from lab.store.processes import this_process
from lab.store.queries import get_run, scalar_series
from lab.store.store import Store
from tests.lab.jobs.conftest import queued, starts, wait_until

STEPS = 100
KILLS = 20


@pytest.mark.slow
def test_twenty_kills_of_workers_and_trainers(
    store: Store, start_worker: Callable[[int], Popen[bytes]]
):
    chance = random.Random(0)
    run_ids = [queued(store, f"run {number}", steps=STEPS) for number in range(6)]
    worker = start_worker(2)
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.2, 2.0))
        trainers = [
            job.process
            for job in held_jobs(store, this_process().machine)
            if job.stage == "started"
        ]
        if trainers and chance.random() < 0.6:
            kill(chance.choice(trainers))
        else:
            worker.kill()
            worker.wait()
        worker = worker if worker.poll() is None else start_worker(2)
        retry_failed(store)

    def all_done() -> bool:
        retry_failed(store)
        return all(get_run(store, run_id).status == "finished" for run_id in run_ids)

    if worker.poll() is not None:
        start_worker(2)
    wait_until(all_done)
    for run_id in run_ids:
        losses = scalar_series(store, run_id, ["loss/total"])["loss/total"]
        assert losses.steps.tolist() == list(range(STEPS))
        assert len(set(starts(store, run_id))) == len(starts(store, run_id)), "an attempt twice"


def retry_failed(store: Store) -> None:
    for job in list_jobs(store):
        if job.state in ("failed", "stale"):
            retry(store, job.run_id)
