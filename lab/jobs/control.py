"""What people do to queued and running runs. Each raises ActionRefused where the state forbids it.

Everything here works whether a worker lives or not, and from any process.
"""

from __future__ import annotations

import logging
import platform
from pathlib import Path
from typing import Literal

from sqlalchemy.exc import OperationalError

from lab.config import parse_stored_config
from lab.jobs.devices import need_of
from lab.jobs.line import moved
from lab.jobs.ray_cluster import Cluster
from lab.jobs.ray_jobs import cancel_sent, send_run
from lab.jobs.starting import ask_to_stop, is_gone, kill
from lab.store.errors import ActionRefused
from lab.store.job_queue import (
    Waiting,
    count_cancel,
    end_if_unfinished,
    enqueue,
    held_jobs,
    leave,
    process_of,
    rearrange,
)
from lab.store.queries import RunRow, get_run
from lab.store.run_state import check_allowed
from lab.store.sent_jobs import sent_jobs
from lab.store.store import Store
from lab.store.worker_rows import living_workers

Cancelled = Literal["taken out of the queue", "asked to stop", "killed"]
log = logging.getLogger("seglab.jobs")


def put_in_queue(
    store: Store, run_id: str, *, priority: int = 0, directory: Path | None = None
) -> None:
    """Queue a run that was written but not started. `directory`: where to start it, default here.

    Raises:
        ActionRefused: it is in the queue already, or somebody records it.
        ConfigError: the queue cannot give it the device it asks for.
    """
    needs = need_of(parse_stored_config(get_run(store, run_id).config, run_id))
    enqueue(store, run_id, needs=needs, directory=directory or Path.cwd(), priority=priority)


def cancel(store: Store, run_id: str, *, at_once: bool = False) -> Cancelled:
    """A waiting run leaves the queue; a running one saves a checkpoint and stops; asked a second
    time, or `at_once`, it is killed."""
    for job in sent_jobs(store, run_id):
        return cancel_sent(store, job, at_once=at_once)
    if at_once and get_run(store, run_id).status != "queued":
        return _kill(store, run_id)
    if leave(store, run_id):
        return "taken out of the queue"
    if get_run(store, run_id).status == "queued":
        count_cancel(store, run_id)
        end_if_unfinished(store, run_id, "stopped", "taken back before it began")
        return "taken out of the queue"
    if count_cancel(store, run_id) > 1:
        return _kill(store, run_id)
    process = process_of(store, run_id)
    if process is not None and not _has_worker(store, run_id):
        ask_to_stop(process)
    return "asked to stop"


def resume(
    store: Store, run_id: str, *, priority: int | None = None, cluster: Cluster | None = None
) -> None:
    """Queue a run again that was stopped, failed or lost: on from its newest checkpoint.

    `cluster`: send it there instead; `retry` does so too.
    """
    _queue_again(store, get_run(store, run_id), "resume", priority, cluster)


def retry(
    store: Store,
    run_id: str,
    *,
    from_start: bool = False,
    priority: int | None = None,
    cluster: Cluster | None = None,
) -> None:
    """A new attempt of a run: from its newest checkpoint, or from where it first began.

    Live changes of its past are made again at their steps either way.
    """
    row = get_run(store, run_id)
    check_allowed(run_id, row.status, "retry")
    if from_start:
        _forget_checkpoints(store, row)
    _queue_again(store, row, "retry", priority, cluster)


def move(
    store: Store,
    run_id: str,
    *,
    priority: int | None = None,
    before: str | None = None,
    to: Literal["front", "back"] | None = None,
) -> None:
    """Give a waiting run another place in the queue; see lab.jobs.line.moved."""
    check_allowed(run_id, get_run(store, run_id).status, "move")

    def change(line: list[Waiting]) -> list[Waiting]:
        return moved(line, run_id, priority=priority, before=before, to=to)

    rearrange(store, change)


def _has_worker(store: Store, run_id: str) -> bool:
    """Whether a living worker holds the run: then it passes the cancel on, and nobody else does."""
    here = platform.node()
    living = {row.worker for row in living_workers(store)}
    return any(job.run_id == run_id and job.worker in living for job in held_jobs(store, here))


def _kill(store: Store, run_id: str) -> Cancelled:
    check_allowed(run_id, get_run(store, run_id).status, "cancel")
    try:
        count_cancel(store, run_id, times=2)
    except OperationalError:
        log.warning("run %s: the store is locked; killed without a note", run_id)
    process = process_of(store, run_id)
    if process is not None and kill(process) and is_gone(process):
        end_if_unfinished(store, run_id, "stopped", "killed on request")
    return "killed"


def _queue_again(
    store: Store,
    row: RunRow,
    action: Literal["resume", "retry"],
    priority: int | None,
    cluster: Cluster | None,
) -> None:
    process = process_of(store, row.run_id)
    if process is not None and row.status in ("failed", "stopped"):
        is_gone(process)
    if cluster is not None:
        send_run(store, cluster, row.run_id, action=action)
        return
    enqueue(
        store,
        row.run_id,
        needs=need_of(parse_stored_config(row.config, row.run_id)),
        directory=Path.cwd(),
        priority=priority,
        action=action,
    )


def _forget_checkpoints(store: Store, row: RunRow) -> None:
    """Remove the run's own checkpoints; that of its parent, where it began, stays."""
    directory = store.run_directory(row.run_id) / "checkpoints"
    files = sorted(directory.glob("step-*.pt"))
    first = None if row.parent_step is None else f"step-{row.parent_step:08d}.pt"
    if first is not None and first not in {file.name for file in files}:
        raise ActionRefused(
            f"run {row.run_id}: the checkpoint it was forked from is not kept any more; "
            "retry it from its newest one, or fork again"
        )
    for file in files:
        if file.name != first:
            file.unlink(missing_ok=True)
