"""A sweep through the queue: its runs are put in, forks behind their burn-in, and any worker trains
them. Nothing has to stay open meanwhile."""

from __future__ import annotations

import time
from collections.abc import Sequence

from app.launch import queue_after, queue_run
from app.sweep import Task, tasks_of
from app.sweep_plan import PlannedRun, identity
from app.worker_slots import Look
from lab.jobs.background import ensure_worker
from lab.jobs.control import put_in_queue, resume
from lab.jobs.devices import need_of
from lab.store.job_queries import list_jobs
from lab.store.queries import list_runs
from lab.store.store import Store

LOOK_SECONDS = 1.0
AGAIN = ("failed", "stopped", "stale")


def queue_sweep(
    store: Store, plan: Sequence[PlannedRun], *, command: Sequence[str], with_worker: bool = True
) -> list[Task]:
    """Put what is neither finished nor on its way into the queue; all runs as they are then.

    Burn-ins come first. A fork waits until its burn-in has written the checkpoint that it starts
    from; what failed or was stopped before goes on from its newest checkpoint.

    Args:
        with_worker: start a worker in the background if this machine has none.

    Raises:
        ConfigError: the queue cannot give a run the device it asks for; none is queued then.
    """
    tasks = tasks_of(store, plan)
    for task in tasks:
        need_of(task.config)
    waiting = {job.run_id for job in list_jobs(store) if job.place is not None}
    burn_ins: dict[str, str] = {}
    for task in tasks:
        run_id = _queue(store, task, burn_ins, waiting, command)
        if task.burn_in is None:
            burn_ins[identity(task.config)] = run_id
    if with_worker:
        ensure_worker(store)
    return tasks_of(store, plan)


def wait_for_sweep(store: Store, plan: Sequence[PlannedRun], look: Look) -> None:
    """Return when nothing of a queued sweep goes on any more, and nothing of it can start."""
    run_ids = {task.row.run_id for task in tasks_of(store, plan) if task.row is not None}
    while True:
        look({row.run_id: row for row in list_runs(store) if row.run_id in run_ids})
        if not is_on_its_way(store, run_ids):
            return
        time.sleep(LOOK_SECONDS)


def is_on_its_way(store: Store, run_ids: set[str]) -> bool:
    """Whether any of the runs trains, or could start: a fork of a failed burn-in cannot."""
    return any(
        job.state in ("starting", "running", "stopping")
        or (job.place is not None and job.waits_for is None)
        for job in list_jobs(store)
        if job.run_id in run_ids
    )


def _queue(
    store: Store,
    task: Task,
    burn_ins: dict[str, str],
    waiting: set[str],
    command: Sequence[str],
) -> str:
    """The id of the task's run, which is in the queue, on its way or finished afterwards."""
    row = task.row
    if row is None:
        if task.burn_in is None:
            return queue_run(store, task.config, command=command, with_worker=False)
        parent = burn_ins[identity(task.burn_in)]
        return queue_after(store, task.config, parent, task.first_step, command=command)
    if row.status in AGAIN:
        resume(store, row.run_id)
    elif row.status == "queued" and row.run_id not in waiting:
        put_in_queue(store, row.run_id)
    return row.run_id
