"""Jobs that another queue starts: sent to a cluster, whose word about them counts.

Their stage is "sent" until somebody has seen that they ended. `jobs.machine` is the cluster's
address meanwhile, so no worker of a machine takes them for its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select, update

from lab.store.job_queue import recorder_lives, write_end
from lab.store.run_state import FinalStatus
from lab.store.store import Store
from lab.store.tables import jobs, runs


@dataclass(frozen=True, slots=True)
class SentJob:
    """A run that was sent away and has not been seen to end."""

    run_id: str
    attempt: int
    address: str
    """Of the cluster."""
    cancels: int
    began: bool
    """Whether the engine records it."""

    @property
    def name(self) -> str:
        """What the cluster knows it by; another one for every attempt."""
        return f"seglab-{self.run_id}-{self.attempt}"


def sent_jobs(store: Store, run_id: str | None = None) -> list[SentJob]:
    """All of them, or that of one run."""
    query = (
        select(runs.c.run_id, jobs.c.attempt, jobs.c.machine, jobs.c.cancels, runs.c.status)
        .join(runs, runs.c.run == jobs.c.run)
        .where(jobs.c.stage == "sent")
    )
    if run_id is not None:
        query = query.where(runs.c.run_id == run_id)
    with store.reading() as connection:
        return [SentJob(*row[:4], began=row[4] == "running") for row in connection.execute(query)]


def last_sent(store: Store, run_id: str) -> SentJob | None:
    """As it was sent last, ended or not; None when the run never was, or a worker had it since."""
    query = (
        select(runs.c.run_id, jobs.c.attempt, jobs.c.machine, jobs.c.cancels, runs.c.status)
        .join(runs, runs.c.run == jobs.c.run)
        .where(runs.c.run_id == run_id, jobs.c.slot == "ray")
    )
    with store.reading() as connection:
        row = connection.execute(query).one_or_none()
    return None if row is None else SentJob(*row[:4], began=row[4] == "running")


def close_sent(
    store: Store, job: SentJob, status: FinalStatus, reason: str, exit_code: int | None
) -> None:
    """The cluster's job is over. What the engine has said itself about the run's end stays."""
    with store.writing() as connection:
        run = select(runs.c.run).where(runs.c.run_id == job.run_id).scalar_subquery()
        mine = (jobs.c.run == run, jobs.c.attempt == job.attempt, jobs.c.stage == "sent")
        over = update(jobs).where(*mine).values(stage="over", exit_code=exit_code)
        number = connection.scalar(over.returning(jobs.c.run))
        if number is None or recorder_lives(connection, number):
            return  # sent again since, or trained by hand
        write_end(connection, number, status, reason)
