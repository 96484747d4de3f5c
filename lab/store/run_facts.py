"""What the store and the machine know about a run: the facts its state is derived from."""

from __future__ import annotations

import platform
import time

from sqlalchemy import Connection, Row, Select, select

from lab.store.processes import ProcessIdentity, sight
from lab.store.run_state import RunFacts, State, derive_state
from lab.store.tables import jobs, pulses, runs

FEW_SECONDS = 2.0
"""Two processes of a machine may read its clock in another order than they are asked."""
OF_A_JOB = ("stage", "cancels", "taken", "machine", "pid", "process_started", "boot_id")


def runs_with_facts() -> Select:
    """Every run, newest first, with its pulse and, as job_..., what its job says."""
    pulse_columns = [column for column in pulses.columns if column.name != "run"]
    job_columns = [jobs.c[name].label(f"job_{name}") for name in OF_A_JOB]
    return (
        select(runs, *pulse_columns, *job_columns)
        .outerjoin(pulses, pulses.c.run == runs.c.run)
        .outerjoin(jobs, jobs.c.run == runs.c.run)
        .order_by(runs.c.run.desc())
    )


def facts_of(row: Row, now: float) -> RunFacts:
    """Of a row of `runs_with_facts`; asks the machine only about runs that should be going."""
    process, last_sign = None, None
    if row.status == "running":
        process, last_sign = recorder_of(row), row.heartbeat
    elif row.status == "queued" and row.job_stage in ("claimed", "started"):
        process, last_sign = starter_of(row), row.job_taken
    return RunFacts(
        stored=row.status,
        stage=row.job_stage,
        silent_for=_silence(last_sign, process, now),
        process_lives=None if process is None else sight(process),
        cancelled=bool(row.job_cancels),
    )


def _silence(last_sign: float | None, process: ProcessIdentity | None, now: float) -> float | None:
    """Seconds since a sign of life; None = there is none that counts.

    A sign from the future of our own clock was given before somebody set the clock back; who lives
    gives another within seconds.
    """
    if last_sign is None:
        return None
    silence = now - last_sign
    is_ours = process is not None and process.machine == platform.node()
    return None if is_ours and silence < -FEW_SECONDS else silence


def state_of(connection: Connection, run: int) -> State:
    """The state of one run, as this transaction sees it."""
    row = connection.execute(runs_with_facts().where(runs.c.run == run)).one()
    return derive_state(facts_of(row, time.time()))


def recorder_of(row: Row) -> ProcessIdentity | None:
    """The process that records the run, or recorded it last."""
    if row.pid is None:
        return None
    return ProcessIdentity(row.machine, row.pid, row.process_started, row.boot_id)


def starter_of(row: Row) -> ProcessIdentity | None:
    """The engine's process, or while there is none yet, the worker's."""
    if row.job_pid is None:
        return None
    return ProcessIdentity(row.job_machine, row.job_pid, row.job_process_started, row.job_boot_id)
