"""The life of a run: created, claimed by a process, rewound, finished, deleted."""

from __future__ import annotations

import platform
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, delete, func, insert, select, true, update

from lab.config import CocoConfig, RunConfig
from lab.datasets.records import Category, Dataset, LabelSource
from lab.store.dataset_rows import register_dataset
from lab.store.errors import RunNotFound, StoreError
from lab.store.jsonable import jsonable
from lab.store.processes import ProcessIdentity, is_going, this_process
from lab.store.provenance import commit_of, package_versions
from lab.store.run_state import FinalStatus
from lab.store.store import Store
from lab.store.tables import (
    asks,
    checkpoints,
    evaluations,
    events,
    jobs,
    label_masks,
    label_sets,
    labels,
    latest_scalars,
    origins,
    pulses,
    runs,
    scalars,
    step_summaries,
)

APPLIED = "applied"
"""Kind of the event of a change that was applied live."""
OF_A_RUN = (
    *(scalars, latest_scalars, evaluations, checkpoints, events, pulses, origins),
    *(jobs, asks),
)
"""Tables whose rows go with their run, besides its labels."""
ID_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"
"""Without i, l, o and u: nobody mistypes them."""


@dataclass(frozen=True, slots=True)
class RunDescription:
    """What a new run is called and trains."""

    name: str
    method: str
    host: str
    """The network, not the machine."""
    dataset: str
    max_steps: int
    seed: int
    config: Mapping[str, Any]


def create_run(
    store: Store,
    config: RunConfig,
    *,
    command: Sequence[str] = (),
    parent_run_id: str | None = None,
    parent_step: int | None = None,
) -> str:
    """Write a new queued run, with where it comes from, and return its id.

    Ids sort by the time of creation, such as "20261121-031502-k3f9".

    Raises:
        RunNotFound: the parent is not in this store.
    """
    description = RunDescription(
        name=config.name,
        method=config.method.name,
        host=config.host.name,
        dataset=_dataset_name(config),
        max_steps=config.schedule.max_steps,
        seed=config.seed,
        config=config.model_dump(mode="json"),
    )
    return write_run(
        store, description, command=command, parent_run_id=parent_run_id, parent_step=parent_step
    )


def write_run(
    store: Store,
    description: RunDescription,
    *,
    command: Sequence[str] = (),
    parent_run_id: str | None = None,
    parent_step: int | None = None,
) -> str:
    """As `create_run`, of a run that need not be the engine's."""
    now = time.time()
    commit = commit_of(Path.cwd())
    with store.writing() as connection:
        if parent_run_id is not None:
            run_number(connection, parent_run_id)
        run_id = _free_run_id(connection, now)
        new = insert(runs).values(
            run_id=run_id,
            name=description.name,
            method=description.method,
            host=description.host,
            dataset=description.dataset,
            max_steps=description.max_steps,
            seed=description.seed,
            config=jsonable(description.config),
            status="queued",
            created=now,
            categories=[],
            parent_run_id=parent_run_id,
            parent_step=parent_step,
        )
        connection.execute(
            insert(origins).values(
                run=connection.execute(new.returning(runs.c.run)).scalar_one(),
                command=list(command),
                machine=platform.node(),
                git_commit=commit.commit,
                git_diff=commit.diff,
                versions=package_versions(),
            )
        )
    return run_id


def claim_run(store: Store, run_id: str, attempt: int | None = None) -> None:
    """This process records the run from now on: it is running. Claiming again is harmless.

    Args:
        attempt: of the job, where a worker started this process; a run that is claimed without
            leaves the queue.

    Raises:
        StoreError: another living process records it, or another attempt has taken its place.
    """
    now = time.time()
    me = this_process()
    with store.writing() as connection:
        run = run_number(connection, run_id)
        owner = _owner(connection, run)
        status = connection.scalar(select(runs.c.status).where(runs.c.run == run))
        if owner is not None and status == "running":
            if owner.is_same(me):
                return
            if _lives(connection, run, owner):
                raise StoreError(f"run {run_id}: process {owner.pid} is recording it already")
        _take_turn(connection, run, run_id, attempt)
        reached = connection.scalar(select(pulses.c.step).where(pulses.c.run == run))
        connection.execute(delete(pulses).where(pulses.c.run == run))
        connection.execute(
            insert(pulses).values(
                run=run,
                step=reached,
                machine=me.machine,
                pid=me.pid,
                process_started=me.started,
                boot_id=me.boot_id,
                heartbeat=now,
            )
        )
        connection.execute(
            update(runs)
            .where(runs.c.run == run)
            .values(
                status="running",
                started=func.coalesce(runs.c.started, now),
                finished=None,
                error=None,
            )
        )


def _take_turn(connection: Connection, run: int, run_id: str, attempt: int | None) -> None:
    """Leave the queue, or be the attempt that the queue has started.

    A worker that was killed before it could note whom it had started leaves a process behind of
    which the next worker knows nothing: its number is too old then, and it has to go.
    """
    job = connection.execute(
        select(jobs.c.stage, jobs.c.attempt).where(jobs.c.run == run)
    ).one_or_none()
    if attempt is not None:
        if job is None or job.stage not in ("claimed", "started", "sent") or job.attempt != attempt:
            raise StoreError(f"run {run_id}: attempt {attempt} is no longer wanted")
    elif job is not None and job.stage in ("waiting", "sent", "over"):
        connection.execute(update(jobs).where(jobs.c.run == run).values(stage="over", cancels=0))


def beat(store: Store, run_id: str, step: int | None) -> None:
    """Say that the run lives and where it is; None = before the first step."""
    with store.writing() as connection:
        write_beat(connection, run_number(connection, run_id), step, time.time())


def write_beat(connection: Connection, run: int, step: int | None, now: float) -> None:
    """As `beat`, inside the caller's transaction."""
    values: dict[str, Any] = {"heartbeat": now}
    if step is not None:
        values |= {
            "step": step,
            "step_time": now,
            "first_step": func.coalesce(pulses.c.first_step, step),
            "first_time": func.coalesce(pulses.c.first_time, now),
        }
    connection.execute(update(pulses).where(pulses.c.run == run).values(values))


def finish_run(store: Store, run_id: str, status: FinalStatus, error: str | None = None) -> None:
    """The run has ended. The last call wins."""
    with store.writing() as connection:
        run = run_number(connection, run_id)
        connection.execute(
            update(runs)
            .where(runs.c.run == run)
            .values(status=status, error=error, finished=time.time())
        )


def set_categories(store: Store, run_id: str, categories: Sequence[Category]) -> None:
    """The classes of the run; a label's class is an index into them."""
    with store.writing() as connection:
        _write_categories(connection, run_number(connection, run_id), categories)


def attach_datasets(store: Store, run_id: str, train: Dataset, val: Dataset) -> None:
    """Register both datasets and make them the run's; its classes are those of `train`.

    `train` carries the truth of the unlabelled images too: it is for analysis, which happens
    here, never for a loss.
    """
    train_id = register_dataset(store, train)
    val_id = register_dataset(store, val)
    with store.writing() as connection:
        run = run_number(connection, run_id)
        _write_categories(connection, run, train.categories)
        connection.execute(
            update(runs)
            .where(runs.c.run == run)
            .values(train_dataset_id=train_id, val_dataset_id=val_id)
        )


def add_event(
    store: Store, run_id: str, step: int | None, kind: str, payload: Mapping[str, Any]
) -> int:
    """Remember that something happened to the run; returns the event's id."""
    with store.writing() as connection:
        run = run_number(connection, run_id)
        new = insert(events).values(
            run=run, step=step, kind=kind, payload=jsonable(payload), created=time.time()
        )
        return connection.execute(new.returning(events.c.event_id)).scalar_one()


def rewind_run(store: Store, run_id: str, step: int) -> None:
    """Forget what a run that resumes after `step` steps will record again.

    What happens in a step (scalars, pseudo-labels) goes from `step` on. What is looked at when
    so many steps are done (evaluations, probe images, checkpoints, events) stays at `step`
    itself: it was recorded before the checkpoint that the run resumes from. Changes that were
    applied live stay altogether: the run makes them again at their steps.
    """
    with store.writing() as connection:
        run = run_number(connection, run_id)
        for source in LabelSource:
            is_probe = source is not LabelSource.PSEUDO
            _delete_labels(connection, run, source, step + 1 if is_probe else step)
        connection.execute(delete(scalars).where(scalars.c.run == run, scalars.c.step >= step))
        for table in (evaluations, checkpoints, events):
            later = (table.c.run == run, table.c.step > step)
            is_kept = events.c.kind != APPLIED if table is events else true()
            connection.execute(delete(table).where(*later, is_kept))
        _rebuild_latest(connection, run, step)
        connection.execute(
            update(pulses)
            .where(pulses.c.run == run, pulses.c.step >= step - 1)
            .values(
                step=step - 1 if step else None, step_time=None, first_step=None, first_time=None
            )
        )


def delete_run(store: Store, run_id: str) -> None:
    """Delete the run's rows and its directory. Its datasets stay, for other runs.

    Raises:
        StoreError: a living process records it.
    """
    with store.writing() as connection:
        run = run_number(connection, run_id)
        _refuse_if_alive(connection, run, run_id)
        for source in LabelSource:
            _delete_labels(connection, run, source, 0)
        for table in OF_A_RUN:
            connection.execute(delete(table).where(table.c.run == run))
        connection.execute(delete(runs).where(runs.c.run == run))
    directory = store.run_directory(run_id)
    if directory.exists():
        shutil.rmtree(directory)


def run_number(connection: Connection, run_id: str) -> int:
    """The narrow integer that stands for a run inside the store.

    Raises:
        RunNotFound: there is no such run.
    """
    run = connection.scalar(select(runs.c.run).where(runs.c.run_id == run_id))
    if run is None:
        raise RunNotFound(f"run {run_id!r}: not in this store")
    return run


def _free_run_id(connection: Connection, now: float) -> str:
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d-%H%M%S")
    while True:
        run_id = f"{stamp}-{''.join(secrets.choice(ID_LETTERS) for _ in range(4))}"
        if connection.scalar(select(runs.c.run).where(runs.c.run_id == run_id)) is None:
            return run_id


def _dataset_name(config: RunConfig) -> str:
    if isinstance(config.dataset, CocoConfig):
        return config.dataset.train_json.stem
    return config.dataset.source


def _write_categories(connection: Connection, run: int, categories: Sequence[Category]) -> None:
    values = [asdict(category) for category in categories]
    connection.execute(update(runs).where(runs.c.run == run).values(categories=values))


def _owner(connection: Connection, run: int) -> ProcessIdentity | None:
    row = connection.execute(
        select(pulses.c.machine, pulses.c.pid, pulses.c.process_started, pulses.c.boot_id).where(
            pulses.c.run == run
        )
    ).one_or_none()
    return None if row is None else ProcessIdentity(*row)


def _lives(connection: Connection, run: int, owner: ProcessIdentity) -> bool:
    """Whether the process that records a run still does; one we cannot see by its heartbeat."""
    heartbeat = connection.scalar(select(pulses.c.heartbeat).where(pulses.c.run == run)) or 0.0
    return is_going(owner, heartbeat, time.time())


def _refuse_if_alive(connection: Connection, run: int, run_id: str) -> None:
    status = connection.scalar(select(runs.c.status).where(runs.c.run == run))
    owner = _owner(connection, run)
    if status != "running" or owner is None:
        return
    if not owner.is_same(this_process()) and _lives(connection, run, owner):
        raise StoreError(f"run {run_id}: process {owner.pid} is recording it; stop it first")


def _delete_labels(connection: Connection, run: int, source: LabelSource, first: int) -> None:
    """Labels of one source from step `first` on; by source, because the index begins with it."""

    def doomed(table: Table) -> tuple[ColumnElement[bool], ...]:
        return (table.c.run == run, table.c.source == int(source), table.c.step >= first)

    ids = select(labels.c.label_id).where(*doomed(labels))
    connection.execute(delete(label_masks).where(label_masks.c.label_id.in_(ids)))
    for table in (labels, label_sets, step_summaries):
        connection.execute(delete(table).where(*doomed(table)))


def _rebuild_latest(connection: Connection, run: int, first_step: int) -> None:
    """The newest remaining value of every scalar that just lost its newest."""
    lost = (latest_scalars.c.run == run, latest_scalars.c.step >= first_step)
    names = connection.scalars(select(latest_scalars.c.name_id).where(*lost)).all()
    connection.execute(delete(latest_scalars).where(*lost))
    for name_id in names:
        newest = (
            select(scalars.c.run, scalars.c.name_id, scalars.c.step, scalars.c.value)
            .where(scalars.c.run == run, scalars.c.name_id == name_id)
            .order_by(scalars.c.step.desc())
            .limit(1)
        )
        connection.execute(
            insert(latest_scalars).from_select(["run", "name_id", "step", "value"], newest)
        )
