"""Workers that start queued runs: who there is, and who has gone."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, update

from lab.store.job_parents import awaits_its_parent
from lab.store.processes import ProcessIdentity, is_going
from lab.store.store import Store
from lab.store.tables import jobs, workers


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A process that starts queued runs."""

    worker: int
    process: ProcessIdentity
    heartbeat: float
    started: float
    slots: tuple[str, ...]
    """The places on its machine where a run can go, such as "cpu:0" and "cuda:1"."""


def register_worker(
    store: Store, me: ProcessIdentity, slots: Sequence[str], *, only_one: bool = False
) -> int | None:
    """Become a worker and return its number; those that are gone are forgotten.

    Args:
        only_one: do not, and return None, when this machine has a living one.
    """
    now = time.time()
    with store.writing() as connection:
        for row in _rows(connection):
            if not is_going(row.process, row.heartbeat, now):
                connection.execute(delete(workers).where(workers.c.worker == row.worker))
            elif only_one and row.process.machine == me.machine:
                return None
        new = insert(workers).values(
            machine=me.machine,
            pid=me.pid,
            process_started=me.started,
            boot_id=me.boot_id,
            heartbeat=now,
            started=now,
            slots=list(slots),
        )
        return connection.execute(new.returning(workers.c.worker)).scalar_one()


def living_workers(store: Store) -> list[WorkerRow]:
    """All workers that live; those of other machines are known by their heartbeat alone."""
    now = time.time()
    with store.reading() as connection:
        return [row for row in _rows(connection) if is_going(row.process, row.heartbeat, now)]


def worker_beats(store: Store, worker: int) -> None:
    with store.writing() as connection:
        connection.execute(
            update(workers).where(workers.c.worker == worker).values(heartbeat=time.time())
        )


def worker_leaves(store: Store, worker: int, *, unless_needs: Collection[str] = ()) -> bool:
    """Stop being a worker; but stay, and answer False, while a run needs one of these and could
    start.

    In one transaction, so that a run is queued either before, and seen here, or after, and then
    no worker is found and a new one started.
    """
    with store.writing() as connection:
        waiting = select(func.count()).where(
            jobs.c.stage == "waiting", jobs.c.needs.in_(unless_needs), ~awaits_its_parent()
        )
        if connection.scalar(waiting):
            return False
        connection.execute(delete(workers).where(workers.c.worker == worker))
        return True


def _rows(connection: Connection) -> list[WorkerRow]:
    return [
        WorkerRow(
            row.worker,
            ProcessIdentity(row.machine, row.pid, row.process_started, row.boot_id),
            row.heartbeat,
            row.started,
            tuple(row.slots),
        )
        for row in connection.execute(select(workers).order_by(workers.c.worker))
    ]
