"""Forks that are queued before their parent has got so far: they wait, and then take over."""

from __future__ import annotations

import pytest

from lab.jobs.control import cancel, put_in_queue, resume
from lab.jobs.worker import Worker
from lab.store.job_queries import list_jobs
from lab.store.job_queue import claim_next, needs_waiting
from lab.store.processes import this_process
from lab.store.queries import checkpoints, get_run, scalar_series
from lab.store.recorder import StoreRecorder
from lab.store.runs import create_run, delete_run
from lab.store.store import Store
from lab.store.worker_rows import register_worker, worker_leaves
from tests.lab.jobs.conftest import config, queued, turn_until, turn_until_state

ME = this_process()


def fork_of(store: Store, parent: str, step: int, name: str = "fork") -> str:
    run_id = create_run(store, config(name, steps=9), parent_run_id=parent, parent_step=step)
    put_in_queue(store, run_id)
    return run_id


def waits_for(store: Store) -> dict[str, str | None]:
    return {job.name: job.waits_for for job in list_jobs(store)}


def save(store: Store, run_id: str, step: int) -> None:
    """As a training process does that has done so many steps."""
    directory = store.run_directory(run_id) / "checkpoints"
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"step-{step:08d}.pt"
    path.write_bytes(b"weights")
    with StoreRecorder(store, run_id) as recorder:
        recorder.checkpoint(step, path)


def test_a_fork_is_passed_over_until_its_parent_has_the_checkpoint(store: Store):
    parent = create_run(store, config("parent"))
    fork_of(store, parent, 4)
    later = queued(store, "later")

    assert waits_for(store) == {"fork": f"{parent}@4", "later": None}
    job = claim_next(store, 1, ME, "cpu:0", ("any",))
    assert job is not None and job.run_id == later, "it stands behind, and goes first"
    assert claim_next(store, 1, ME, "cpu:1", ("any",)) is None
    assert needs_waiting(store) == set()

    save(store, parent, 3)
    assert needs_waiting(store) == set(), "step 3 is not step 4"
    save(store, parent, 4)

    assert waits_for(store)["fork"] is None
    assert needs_waiting(store) == {"any"}
    job = claim_next(store, 1, ME, "cpu:1", ("any",))
    assert job is not None and get_run(store, job.run_id).name == "fork"


def test_an_idle_worker_does_not_stay_for_a_fork_that_cannot_start(store: Store):
    parent = create_run(store, config("parent"))
    fork_of(store, parent, 4)
    number = register_worker(store, ME, ["cpu:0"])
    assert number is not None

    assert worker_leaves(store, number, unless_needs=("any",)) is True


def test_a_worker_trains_the_parent_then_the_fork_from_its_checkpoint(store: Store, worker: Worker):
    parent = create_run(store, config("parent", steps=500))
    put_in_queue(store, parent)
    turn_until(worker, lambda: (get_run(store, parent).step or 0) >= 3)
    cancel(store, parent)
    turn_until_state(worker, store, parent, "stopped")
    (saved,) = checkpoints(store, parent)

    child = create_run(
        store, config("child", saved.step + 3), parent_run_id=parent, parent_step=saved.step
    )
    put_in_queue(store, child)
    turn_until_state(worker, store, child, "finished")

    losses = scalar_series(store, child, ["loss/total"])["loss/total"]
    assert losses.steps.tolist() == [saved.step, saved.step + 1, saved.step + 2]


@pytest.mark.parametrize("parent_is", ["deleted", "behind, with a checkpoint of the fork's own"])
def test_who_needs_no_parent_any_more_does_not_wait(store: Store, parent_is: str):
    parent = create_run(store, config("parent"))
    fork = fork_of(store, parent, 4)
    if parent_is == "deleted":
        delete_run(store, parent)
    else:
        cancel(store, fork)
        save(store, fork, 6)
        with StoreRecorder(store, fork) as recorder:
            recorder.finish("stopped")
        resume(store, fork)

    assert waits_for(store)["fork"] is None
    assert needs_waiting(store) == {"any"}
