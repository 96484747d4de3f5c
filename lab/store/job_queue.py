"""The queue: jobs go in, workers take them out. One row per run, changed in short transactions."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, func, insert, select, update

from lab.store.errors import ActionRefused
from lab.store.job_parents import awaits_its_parent
from lab.store.processes import ProcessIdentity, is_alive
from lab.store.run_facts import state_of
from lab.store.run_state import Action, FinalStatus, Stage, check_allowed, verdict
from lab.store.runs import run_number
from lab.store.store import Store
from lab.store.tables import jobs, pulses, runs

HELD = ("claimed", "started")
"""Stages of a job that a worker answers for."""
IN_LINE = (jobs.c.priority.desc(), jobs.c.position, jobs.c.run)
"""Who comes first: the highest priority, then who stands further in front."""


@dataclass(frozen=True, slots=True)
class HeldJob:
    """A job in a worker's hands."""

    run_id: str
    attempt: int
    """Counts the starts of this run, from 1. A process of an older one may not record any more."""
    slot: str
    stage: Stage
    worker: int
    process: ProcessIdentity
    """The engine's; the worker's own while the stage is "claimed"."""
    cancels: int
    """How often it was asked to stop."""
    directory: Path
    """Where to start it."""


class Waiting(NamedTuple):
    """A run in the queue."""

    run_id: str
    priority: int


def enqueue(
    store: Store,
    run_id: str,
    *,
    needs: str,
    directory: Path,
    priority: int | None = None,
    action: Action | None = None,
    sent_to: str | None = None,
) -> None:
    """Put a run at the end of its priority's line.

    Args:
        needs: the device it can run on: "cpu", "cuda" or "any".
        directory: where to start it.
        priority: None = the one it had before, or 0.
        action: what puts an older run back into the queue; its state has to allow it.
        sent_to: the cluster that starts it instead of our workers (lab/store/sent_jobs.py).

    Raises:
        ActionRefused: the run is in the queue already, or its state does not allow the action.
    """
    with store.writing() as connection:
        run = run_number(connection, run_id)
        if action is not None:
            check_allowed(run_id, state_of(connection, run), action)
        _refuse_unless_idle(connection, run, run_id)
        last = connection.scalar(select(func.max(jobs.c.position))) or 0
        before = connection.scalar(select(jobs.c.priority).where(jobs.c.run == run))
        values = {
            **{"stage": "waiting", "position": last + 1, "cancels": 0, "queued": time.time()},
            **{"priority": (before or 0) if priority is None else priority},
            **{"needs": needs, "directory": str(directory)},
            **dict.fromkeys(("worker", "slot", "taken", "machine", "pid", "exit_code")),
        }
        _write_job(connection, run, values)
        if sent_to is not None:
            sent = {"stage": "sent", "slot": "ray", "machine": sent_to, "taken": time.time()}
            attempt = {"attempt": jobs.c.attempt + 1}
            connection.execute(update(jobs).where(jobs.c.run == run).values(sent | attempt))
        connection.execute(
            update(runs).where(runs.c.run == run).values(status="queued", error=None, finished=None)
        )


def leave(store: Store, run_id: str) -> bool:
    """Take a waiting run out of the queue; False when it does not wait (any more)."""
    with store.writing() as connection:
        run = run_number(connection, run_id)
        left = update(jobs).where(jobs.c.run == run, jobs.c.stage == "waiting")
        if connection.execute(left.values(stage="over", cancels=1)).rowcount == 0:
            return False
        write_end(connection, run, "stopped", "taken out of the queue")
        return True


def claim_next(
    store: Store, worker: int, me: ProcessIdentity, slot: str, serves: Collection[str]
) -> HeldJob | None:
    """Take the first waiting job that the slot serves, in one statement; None when there is none.

    A fork whose parent has not got so far is passed over. Two workers never get the same job, and
    a slot of a machine never holds two.
    """
    first = (
        select(jobs.c.run)
        .where(jobs.c.stage == "waiting", jobs.c.needs.in_(serves), ~awaits_its_parent())
        .order_by(*IN_LINE)
        .limit(1)
        .scalar_subquery()
    )
    others = jobs.alias()
    is_busy = (
        select(others.c.run)
        .where(others.c.stage.in_(HELD), others.c.machine == me.machine, others.c.slot == slot)
        .exists()
    )
    claim = (
        update(jobs)
        .where(jobs.c.run == first, jobs.c.stage == "waiting", ~is_busy)
        .values(
            stage="claimed",
            attempt=jobs.c.attempt + 1,
            worker=worker,
            slot=slot,
            taken=time.time(),
            **_process_values(me),
        )
        .returning(jobs.c.run)
    )
    with store.writing() as connection:
        run = connection.scalar(claim)
        return None if run is None else _held(connection, jobs.c.run == run)[0]


def mark_started(store: Store, job: HeldJob, process: ProcessIdentity) -> HeldJob:
    """The engine's process of a claimed job exists; the answer knows of a cancel meanwhile."""
    started = update(jobs).where(*_is(job)).values(stage="started", **_process_values(process))
    with store.writing() as connection:
        cancels = connection.scalar(started.returning(jobs.c.cancels))
    return replace(job, stage="started", process=process, cancels=cancels or 0)


def held_jobs(store: Store, machine: str) -> list[HeldJob]:
    """The jobs that workers of a machine hold, living workers or dead ones."""
    with store.reading() as connection:
        return _held(connection, jobs.c.machine == machine, jobs.c.stage.in_(HELD))


def adopt(store: Store, job: HeldJob, worker: int) -> HeldJob | None:
    """Take over a started job from a dead worker; None when another one was quicker."""
    with store.writing() as connection:
        taken = update(jobs).where(*_is(job), jobs.c.stage == "started")
        if connection.execute(taken.values(worker=worker)).rowcount == 0:
            return None
    return replace(job, worker=worker)


def recover_claim(store: Store, job: HeldJob, worker: int) -> None:
    """A worker died between claiming and starting: back into the line, or on if it did start.

    The process it may have started has claimed the run by now, or finds that its attempt is over.
    """
    with store.writing() as connection:
        mine = update(jobs).where(*_is(job), jobs.c.stage == "claimed")
        run = run_number(connection, job.run_id)
        recorder = _recorder(connection, run)
        if recorder is not None and is_alive(recorder):
            values = {"stage": "started", "worker": worker, **_process_values(recorder)}
        else:
            values = {"stage": "waiting", "worker": None, "slot": None, "machine": None}
        connection.execute(mine.values(**values))


def close_job(
    store: Store, job: HeldJob, exit_code: int | None, problem: str | None = None
) -> None:
    """The job's process has ended, or could not be started.

    What the engine did not say itself about the end of the run is derived (`verdict`), or is a
    failure because of the problem.
    """
    with store.writing() as connection:
        row = connection.execute(
            select(jobs.c.run, jobs.c.cancels, runs.c.status)
            .join(runs, runs.c.run == jobs.c.run)
            .where(*_is(job))
        ).one_or_none()
        if row is None:
            return  # it has changed hands
        connection.execute(
            update(jobs).where(jobs.c.run == row.run).values(stage="over", exit_code=exit_code)
        )
        recorder = _recorder(connection, row.run)
        if recorder is not None and is_alive(recorder):
            return  # somebody trains it by hand
        ended = verdict(exit_code, began=row.status == "running", cancels=row.cancels)
        write_end(connection, row.run, *(("failed", problem) if problem else ended))


def count_cancel(store: Store, run_id: str, times: int = 1) -> int:
    """Note that the run was asked to stop; how often that makes it."""
    with store.writing() as connection:
        run = run_number(connection, run_id)
        check_allowed(run_id, state_of(connection, run), "cancel")
        counted = update(jobs).where(jobs.c.run == run).values(cancels=jobs.c.cancels + times)
        cancels = connection.scalar(counted.returning(jobs.c.cancels))
        if cancels is None:  # it never was in the queue
            values = {"stage": "over", "priority": 0, "position": 0, "needs": "any"}
            now = {"queued": time.time(), "directory": "", "cancels": times}
            _write_job(connection, run, values | now)
        return cancels or times


def process_of(store: Store, run_id: str) -> ProcessIdentity | None:
    """The process that records the run or is about to; None when none has been started."""
    with store.reading() as connection:
        run = run_number(connection, run_id)
        recorder = _recorder(connection, run)
        if recorder is not None:
            return recorder
        started = _held(connection, jobs.c.run == run, jobs.c.stage == "started")
    return started[0].process if started else None


def end_if_unfinished(store: Store, run_id: str, status: FinalStatus, reason: str) -> None:
    """Say how a run ended, unless it has said so itself."""
    with store.writing() as connection:
        write_end(connection, run_number(connection, run_id), status, reason)


def rearrange(store: Store, change: Callable[[list[Waiting]], list[Waiting]]) -> None:
    """Put the waiting runs into another order: all of them in, the next first; all of them out."""
    with store.writing() as connection:
        line = waiting_line(connection)
        for position, (run_id, priority) in enumerate(change(line)):
            run = run_number(connection, run_id)
            connection.execute(
                update(jobs).where(jobs.c.run == run).values(position=position, priority=priority)
            )


def needs_waiting(store: Store) -> set[str]:
    """What the runs need that could start now; asked often, so it writes nothing."""
    could_start = (jobs.c.stage == "waiting", ~awaits_its_parent())
    query = select(jobs.c.needs).where(*could_start).distinct()
    with store.reading() as connection:
        return set(connection.scalars(query))


def waiting_line(connection: Connection) -> list[Waiting]:
    """Who waits, the next first."""
    found = connection.execute(
        select(runs.c.run_id, jobs.c.priority)
        .join(runs, runs.c.run == jobs.c.run)
        .where(jobs.c.stage == "waiting")
        .order_by(*IN_LINE)
    )
    return [Waiting(*row) for row in found]


def _write_job(connection: Connection, run: int, values: Mapping[str, Any]) -> None:
    changed = connection.execute(update(jobs).where(jobs.c.run == run).values(**values))
    if changed.rowcount == 0:
        connection.execute(insert(jobs).values(run=run, attempt=0, **values))


def write_end(connection: Connection, run: int, status: FinalStatus, reason: str) -> None:
    """How a run ended, inside the caller's transaction, unless it has said so itself."""
    connection.execute(
        update(runs)
        .where(runs.c.run == run, runs.c.status.in_(("queued", "running")))
        .values(status=status, error=reason, finished=time.time())
    )


def recorder_lives(connection: Connection, run: int) -> bool:
    """Whether the process that records the run runs on this machine now."""
    recorder = _recorder(connection, run)
    return recorder is not None and is_alive(recorder)


def _refuse_unless_idle(connection: Connection, run: int, run_id: str) -> None:
    stage = connection.scalar(select(jobs.c.stage).where(jobs.c.run == run))
    recorder = _recorder(connection, run)
    if stage == "waiting":
        raise ActionRefused(f"run {run_id}: is in the queue already")
    status = connection.scalar(select(runs.c.status).where(runs.c.run == run))
    if stage == "sent" and status == "queued":
        raise ActionRefused(f"run {run_id}: was sent to a cluster already")
    if recorder is not None and is_alive(recorder):
        raise ActionRefused(f"run {run_id}: process {recorder.pid} is still recording it")
    for job in _held(connection, jobs.c.run == run, jobs.c.stage.in_(HELD)):
        if is_alive(job.process):
            raise ActionRefused(f"run {run_id}: process {job.process.pid} has not ended yet")


def _held(connection: Connection, *where: ColumnElement[bool]) -> list[HeldJob]:
    columns = (jobs.c.attempt, jobs.c.slot, jobs.c.stage, jobs.c.worker)
    process = (jobs.c.machine, jobs.c.pid, jobs.c.process_started, jobs.c.boot_id)
    found = connection.execute(
        select(runs.c.run_id, *columns, *process, jobs.c.cancels, jobs.c.directory)
        .join(runs, runs.c.run == jobs.c.run)
        .where(*where)
    )
    return [
        HeldJob(
            *row[:5], process=ProcessIdentity(*row[5:9]), cancels=row[9], directory=Path(row[10])
        )
        for row in found
    ]


def _is(job: HeldJob) -> tuple[ColumnElement[bool], ...]:
    """The job, unless it has changed hands since."""
    run = select(runs.c.run).where(runs.c.run_id == job.run_id).scalar_subquery()
    return (jobs.c.run == run, jobs.c.attempt == job.attempt, jobs.c.worker == job.worker)


def _process_values(process: ProcessIdentity) -> dict[str, Any]:
    return {
        "machine": process.machine,
        "pid": process.pid,
        "process_started": process.started,
        "boot_id": process.boot_id,
    }


def _recorder(connection: Connection, run: int) -> ProcessIdentity | None:
    """The process that records the run now by its own account."""
    row = connection.execute(
        select(pulses.c.machine, pulses.c.pid, pulses.c.process_started, pulses.c.boot_id)
        .join(runs, runs.c.run == pulses.c.run)
        .where(pulses.c.run == run, runs.c.status == "running")
    ).one_or_none()
    return None if row is None else ProcessIdentity(*row)
