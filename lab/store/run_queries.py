"""Questions about runs as a whole: which there are, how they do, where they come from."""

from __future__ import annotations

import time
from collections.abc import Sequence

from sqlalchemy import Connection, Row, Select, case, func, select

from lab.datasets.records import Category
from lab.store.errors import RunNotFound
from lab.store.jsonable import number
from lab.store.lately import kept_lately
from lab.store.rows import Lately, RunOrigin, RunRow
from lab.store.run_facts import facts_of, runs_with_facts
from lab.store.run_state import derive_state, steps_done
from lab.store.store import Store
from lab.store.tables import evaluations, origins, pulses, runs

MAX_CANDIDATES = 8
"""Runs named in the message of RunNotFound."""


def list_runs(store: Store) -> list[RunRow]:
    """Every run, newest first."""
    with store.reading() as connection:
        return _run_rows(connection, runs_with_facts())


def get_run(store: Store, key: str) -> RunRow:
    """The run that `key` means: a full id, "last", a unique name, or a unique start of an id.

    Raises:
        RunNotFound: none or several match; the message lists them.
    """
    with store.reading() as connection:
        run_id = _resolve(connection, key)
        return _run_rows(connection, runs_with_facts().where(runs.c.run_id == run_id))[0]


def run_origin(store: Store, run_id: str) -> RunOrigin:
    """Command, commit, uncommitted changes and package versions of a run."""
    query = (
        select(origins, pulses.c.pid)
        .join(runs, runs.c.run == origins.c.run)
        .outerjoin(pulses, pulses.c.run == origins.c.run)
        .where(runs.c.run_id == run_id)
    )
    with store.reading() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        raise RunNotFound(f"run {run_id!r}: not in this store")
    return RunOrigin(
        command=tuple(row.command),
        machine=row.machine,
        git_commit=row.git_commit,
        git_diff=row.git_diff,
        versions=row.versions,
        pid=row.pid,
    )


def _resolve(connection: Connection, key: str) -> str:
    known = connection.execute(select(runs.c.run_id, runs.c.name).order_by(runs.c.run.desc())).all()
    if not known:
        raise RunNotFound(f"run {key!r}: this store has no runs")
    ids = [run_id for run_id, _ in known]
    if key in ids:
        return key
    if key == "last":
        return ids[0]
    matches = [run_id for run_id, name in known if name == key]
    matches = matches or [run_id for run_id in ids if key and run_id.startswith(key)]
    if len(matches) == 1:
        return matches[0]
    shown = [(run_id, name) for run_id, name in known if not matches or run_id in matches]
    listed = ", ".join(f"{run_id} ({name})" for run_id, name in shown[:MAX_CANDIDATES])
    more = f" and {len(shown) - MAX_CANDIDATES} more" if len(shown) > MAX_CANDIDATES else ""
    what = f"{len(matches)} runs match" if matches else "no such run; there are"
    raise RunNotFound(f"run {key!r}: {what}: {listed}{more}")


def _run_rows(connection: Connection, query: Select) -> list[RunRow]:
    found = connection.execute(query).all()
    numbers = [row.run for row in found]
    best = _best_evaluations(connection, numbers)
    lately = kept_lately(connection, numbers)
    now = time.time()
    return [_run_row(row, best.get(row.run), lately.get(row.run), now) for row in found]


def _best_evaluations(
    connection: Connection, numbers: Sequence[int]
) -> dict[int, tuple[float, str]]:
    """run -> (best AP on a split other than "train", model): the teacher's where there is one.

    The earliest wins a tie.
    """
    teacher_first = case((evaluations.c.model == "teacher", 0), else_=1)
    rank = func.row_number().over(
        partition_by=evaluations.c.run,
        order_by=(teacher_first, evaluations.c.ap.desc(), evaluations.c.step),
    )
    ranked = (
        select(evaluations.c.run, evaluations.c.ap, evaluations.c.model, rank.label("rank"))
        .where(
            evaluations.c.run.in_(numbers),
            evaluations.c.ap.is_not(None),
            evaluations.c.split != "train",
        )
        .subquery()
    )
    query = select(ranked.c.run, ranked.c.ap, ranked.c.model).where(ranked.c.rank == 1)
    return {run: (ap, model) for run, ap, model in connection.execute(query)}


def _run_row(row: Row, best: tuple[float, str] | None, lately: Lately | None, now: float) -> RunRow:
    return RunRow(
        run_id=row.run_id,
        name=row.name,
        method=row.method,
        host=row.host,
        dataset=row.dataset,
        status=derive_state(facts_of(row, now)),
        step=row.step,
        done=steps_done(row.step, row.parent_step, row.max_steps),
        max_steps=row.max_steps,
        created=row.created,
        started=row.started,
        finished=row.finished,
        seconds_per_step=_seconds_per_step(row),
        parent_run_id=row.parent_run_id,
        parent_step=row.parent_step,
        config=row.config,
        categories=tuple(Category(**category) for category in row.categories),
        best_ap=number(best[0] if best else None),
        best_ap_model=best[1] if best else None,
        lately=lately,
        error=row.error,
        train_dataset_id=row.train_dataset_id,
        val_dataset_id=row.val_dataset_id,
    )


def _seconds_per_step(row: Row) -> float:
    if row.step_time is None or row.first_time is None or row.step <= row.first_step:
        return float("nan")
    return (row.step_time - row.first_time) / (row.step - row.first_step)
