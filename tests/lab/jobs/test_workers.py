"""Workers and real processes: nothing starts twice, nothing that is killed is lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from subprocess import Popen

from lab.jobs.control import cancel, resume
from lab.jobs.worker import Worker
from lab.store.job_queries import list_jobs
from lab.store.job_queue import held_jobs, process_of
from lab.store.processes import ProcessIdentity, this_process
from lab.store.queries import checkpoints, get_run, scalar_series
from lab.store.store import Store
from tests.lab.jobs.conftest import (
    queued,
    starts,
    turn_until,
    turn_until_state,
    wait_until,
)

StartWorker = Callable[[int], Popen[bytes]]


def test_two_worker_processes_start_every_run_exactly_once(store: Store, start_worker: StartWorker):
    run_ids = [queued(store, f"run {number}") for number in range(4)]

    workers = [start_worker(2) for _ in range(2)]
    wait_until(lambda: all(get_run(store, one).status == "finished" for one in run_ids))

    assert [worker.wait(timeout=30) for worker in workers] == [0, 0], "idle, they leave"
    assert [starts(store, run_id) for run_id in run_ids] == 4 * [[1]]
    assert {job.slot for job in list_jobs(store)} <= {"cpu:0", "cpu:1"}, "of the machine, not each"
    assert {job.exit_code for job in list_jobs(store)} == {0}


def test_a_killed_worker_leaves_its_run_going_and_the_next_one_adopts_it(
    store: Store, start_worker: StartWorker
):
    run_id = queued(store, "long", steps=50_000)
    first = start_worker(1)
    wait_until(lambda: get_run(store, run_id).status == "running")
    first.kill()
    first.wait()

    second = start_worker(1)
    wait_until(lambda: list_jobs(store)[0].worker == 2)
    assert get_run(store, run_id).status == "running"
    cancel(store, run_id)
    wait_until(lambda: get_run(store, run_id).status == "stopped")

    assert second.wait(timeout=30) == 0
    assert starts(store, run_id) == [1]
    assert list_jobs(store)[0].exit_code is None, "nobody was there to see it"


def test_a_killed_trainer_is_a_failed_run_that_says_so_and_frees_its_slot(
    store: Store, worker: Worker
):
    victim, next_one = queued(store, "victim", steps=50_000), queued(store, "next")
    turn_until_state(worker, store, victim, "running")
    os.kill(the_process(store, victim).pid, signal.SIGKILL)

    turn_until_state(worker, store, next_one, "finished")
    run = get_run(store, victim)
    assert (run.status, run.error) == ("failed", "its process was ended by SIGKILL")


def test_a_cancelled_run_saves_stops_and_goes_on_from_there(store: Store, worker: Worker):
    run_id = queued(store, "cancelled", steps=100)
    turn_until(worker, lambda: (get_run(store, run_id).step or 0) >= 3)

    assert cancel(store, run_id) == "asked to stop"
    turn_until_state(worker, store, run_id, "stopped")
    (saved,) = checkpoints(store, run_id)
    assert 3 < saved.step < 100

    resume(store, run_id)
    turn_until_state(worker, store, run_id, "finished")
    losses = scalar_series(store, run_id, ["loss/total"])["loss/total"]
    assert losses.steps.tolist() == list(range(100)), "no step twice, none missing"
    assert starts(store, run_id) == [1, 2]


def test_asked_a_second_time_it_is_killed(store: Store, worker: Worker):
    run_id = queued(store, "stubborn", steps=50_000)
    turn_until(worker, lambda: (get_run(store, run_id).step or 0) >= 3)

    assert cancel(store, run_id) == "asked to stop"
    assert get_run(store, run_id).status == "stopping"
    assert cancel(store, run_id) == "killed"
    run = get_run(store, run_id)
    assert (run.status, run.error) == ("stopped", "killed on request")
    turn_until(worker, lambda: held_jobs(store, this_process().machine) == [])
    assert list_jobs(store)[0].exit_code == -signal.SIGKILL


def the_process(store: Store, run_id: str) -> ProcessIdentity:
    process = process_of(store, run_id)
    assert process is not None
    return process
