"""Giving space back: masks that a policy no longer keeps, and what crashes left behind.

Planned first, done second. Scores and curves stay: only masks and leftovers go.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection, text

from lab.datasets.records import LabelSource
from lab.store.row_bytes import mask_bytes
from lab.store.rows import RunRow
from lab.store.run_bytes import RunBytes, count_masks, run_bytes, tree_bytes
from lab.store.run_queries import list_runs
from lab.store.runs import add_event, run_number
from lab.store.store import Store

QUIET_SECONDS = 3600.0
"""A leftover has not been touched for so long: somebody may still be writing a younger one."""
SETS_PER_TRANSACTION = 256
AT_REST = frozenset({"finished", "failed", "stopped", "stale"})


@dataclass(frozen=True, slots=True)
class MaskPolicy:
    """Of the recorded steps, every `keep_every`-th keeps its masks; None = none does.

    The newest recorded step and the probe images always keep theirs.
    """

    keep_every: int | None


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What would happen to one run."""

    run: RunRow
    before: RunBytes
    masks: int
    """Masks that go."""
    freed: int
    """Bytes of them."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """Files that belong to nothing."""

    path: Path
    what: str
    size: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that would go, and the runs that were asked for but are left alone."""

    policy: MaskPolicy | None
    runs: tuple[RunPlan, ...]
    leftovers: tuple[Leftover, ...]
    busy: tuple[RunRow, ...]
    """Runs that are waiting or being recorded."""


def plan_retention(
    store: Store, runs: Sequence[RunRow], policy: MaskPolicy | None, now: float | None = None
) -> Plan:
    """What to remove from these runs, and all leftovers of the store. Changes nothing."""
    resting = [run for run in runs if run.status in AT_REST]
    return Plan(
        policy=policy,
        runs=tuple(_plan_run(store, run, policy) for run in resting),
        leftovers=tuple(find_leftovers(store, time.time() if now is None else now)),
        busy=tuple(run for run in runs if run.status not in AT_REST),
    )


def carry_out(store: Store, plan: Plan) -> None:
    """Remove what was planned, in short transactions, and leave an event in each run it changed."""
    for one in plan.runs:
        if plan.policy is not None and one.masks:
            _remove_masks(store, one, plan.policy)
    known = {run.run_id for run in list_runs(store)}
    for leftover in plan.leftovers:
        if leftover.path.name in known:
            continue  # became a run since
        if leftover.path.is_dir():
            shutil.rmtree(leftover.path, ignore_errors=True)
        else:
            leftover.path.unlink(missing_ok=True)


def find_leftovers(store: Store, now: float) -> Iterator[Leftover]:
    """Directories of no run, unfinished datasets, temporary files: untouched for an hour."""
    runs = list_runs(store)
    known = {run.run_id for run in runs}
    at_rest = [run.run_id for run in runs if run.status in AT_REST]
    places = (
        *((path, "directory of no run") for path in _inside(store.root / "runs", "*", known)),
        *((path, "unfinished dataset") for path in _inside(store.root / "datasets", ".*-*")),
        *((path, "temporary file") for run in at_rest for path in _temporary(store, run)),
        *((path, "temporary file") for path in _inside(store.root, ".*.tmp")),
    )
    for path, what in places:
        if now - last_touched(path) >= QUIET_SECONDS:
            yield Leftover(path, what, tree_bytes(path))


def last_touched(path: Path) -> float:
    """The newest modification time of a file, or of anything in a directory, Unix seconds."""
    below = path.rglob("*") if path.is_dir() else ()
    return max(one.lstat().st_mtime for one in (path, *below))


def _inside(
    directory: Path, pattern: str, but: frozenset[str] | set[str] = frozenset()
) -> list[Path]:
    return sorted(path for path in directory.glob(pattern) if path.name not in but)


def _temporary(store: Store, run_id: str) -> list[Path]:
    return sorted(store.run_directory(run_id).rglob("*.tmp"))


def _plan_run(store: Store, run: RunRow, policy: MaskPolicy | None) -> RunPlan:
    before = run_bytes(store, run.run_id)
    if policy is None:
        return RunPlan(run, before, 0, 0)
    with store.reading() as connection:
        number = run_number(connection, run.run_id)
        condition = _loses_masks(connection, number, run, policy)
        masks, size = count_masks(connection, number, condition)
    return RunPlan(run, before, masks, mask_bytes(masks, size))


def _loses_masks(connection: Connection, run: int, row: RunRow, policy: MaskPolicy) -> str:
    """SQL on label_sets s: the images and steps whose masks go. Made of our own numbers only."""
    source = int(LabelSource.PSEUDO)
    last = (
        "SELECT coalesce(max(step), -1) FROM step_summaries WHERE run = :run AND source = :source"
    )
    newest = connection.execute(text(last), {"run": run, "source": source}).scalar_one()
    condition = f"s.source = {source} AND s.step <> {int(newest)}"
    if policy.keep_every is None:
        return condition
    stride = policy.keep_every * int(row.config.get("record", {}).get("every", 1))
    return f"{condition} AND s.step % {stride} <> 0"


def _remove_masks(store: Store, planned: RunPlan, policy: MaskPolicy) -> None:
    with store.reading() as connection:
        run = run_number(connection, planned.run.run_id)
        condition = _loses_masks(connection, run, planned.run, policy)
        spans = text(
            "SELECT s.first_label_id AS first, s.first_label_id + s.candidates - 1 AS last "
            f"FROM label_sets AS s WHERE s.run = :run AND s.candidates > 0 AND {condition}"
        )
        found = connection.execute(spans, {"run": run}).mappings().all()
    doomed = iter([dict(row) for row in found])
    delete = text("DELETE FROM label_masks WHERE label_id BETWEEN :first AND :last")
    while batch := list(islice(doomed, SETS_PER_TRANSACTION)):
        with store.appending() as connection:
            connection.execute(delete, batch)
    payload = {"keep_every": policy.keep_every, "masks": planned.masks, "bytes": planned.freed}
    add_event(store, planned.run.run_id, None, "masks_removed", payload)
