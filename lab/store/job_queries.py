"""Questions about the queue."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Row

from lab.store.job_parents import awaits_its_parent
from lab.store.job_queue import waiting_line
from lab.store.run_facts import facts_of, runs_with_facts
from lab.store.run_state import State, derive_state, steps_done
from lab.store.store import Store
from lab.store.tables import jobs

OF_THE_QUEUE = ("priority", "needs", "queued", "attempt", "worker", "slot", "taken", "exit_code")


@dataclass(frozen=True, slots=True)
class JobRow:
    """A run that went through the queue, as a table of jobs shows it. Times are Unix seconds."""

    run_id: str
    name: str
    state: State
    place: int | None
    """In the queue, the next to start is 1; None when it does not wait."""
    step: int | None
    """The last step done, counted from 0."""
    done: int
    """Steps behind it, those before its fork included."""
    max_steps: int
    error: str | None
    priority: int
    """Higher goes first."""
    needs: str
    """"cpu", "cuda", or "any" of them."""
    queued: float
    attempt: int
    """How often a worker has taken it."""
    worker: int | None
    slot: str | None
    """Where it runs, or ran last."""
    taken: float | None
    exit_code: int | None
    """Of its last process; negative = a signal; None = not ended, or nobody saw it end."""
    waits_for: str | None
    """RUN@STEP: a checkpoint that it forks from and that is still to come; None = for no other
    run."""


def list_jobs(store: Store) -> list[JobRow]:
    """Those that wait, in their order; then those that go, then those that have ended, newest
    first."""
    now = time.time()
    extra = [jobs.c[name].label(f"queue_{name}") for name in OF_THE_QUEUE]
    extra.append(awaits_its_parent().label("awaits"))
    query = runs_with_facts().add_columns(*extra).where(jobs.c.run.is_not(None))
    with store.reading() as connection:
        places = {one.run_id: n for n, one in enumerate(waiting_line(connection), start=1)}
        found = [
            JobRow(
                row.run_id,
                row.name,
                derive_state(facts_of(row, now)),
                places.get(row.run_id),
                row.step,
                steps_done(row.step, row.parent_step, row.max_steps),
                row.max_steps,
                row.error,
                *(row._mapping[f"queue_{name}"] for name in OF_THE_QUEUE),
                waits_for=_waits_for(row, places),
            )
            for row in connection.execute(query)
        ]
    return sorted(found, key=_rank)


def _waits_for(row: Row, places: Mapping[str, int]) -> str | None:
    is_waiting = row.run_id in places and row.awaits
    return f"{row.parent_run_id}@{row.parent_step}" if is_waiting else None


def _rank(job: JobRow) -> tuple[int, float]:
    if job.place is not None:
        return 0, job.place
    is_going = job.state in ("queued", "starting", "running", "stopping")
    return (1 if is_going else 2), -(job.taken or job.queued)
