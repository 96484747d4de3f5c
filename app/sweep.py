"""Training a sweep: what the store already has is not trained again, what stopped goes on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.launch import ForkPoint, LaunchError, find_fork_point, share_checkpoint, start_run
from app.sweep_plan import PlannedRun, identity
from app.worker_slots import Look, run_in_slots
from lab.config import ConfigError, RunConfig, parse_run_config
from lab.store.queries import RunRow, list_runs, run_origin
from lab.store.store import Store

Parent = tuple[str, int] | None
"""Run id and step that a run was forked from."""
USEFULNESS = {"finished": 0, "running": 1}
"""Of equal runs the one that is furthest is taken, and of these the oldest."""


@dataclass(frozen=True, slots=True)
class Task:
    """A run that a sweep needs, and what the store has of it."""

    config: RunConfig
    burn_in: RunConfig | None
    row: RunRow | None
    """None = not begun."""

    @property
    def is_done(self) -> bool:
        return self.row is not None and self.row.status == "finished"

    @property
    def first_step(self) -> int:
        return 0 if self.burn_in is None else self.burn_in.schedule.max_steps

    @property
    def steps_left(self) -> int:
        if self.is_done:
            return 0
        return self.config.schedule.max_steps - steps_behind(self.row, self.first_step)


@dataclass(frozen=True, slots=True)
class Failure:
    """A run of the sweep that did not finish."""

    name: str
    run_id: str | None
    reason: str
    log: Path | None


class Shelf:
    """Runs of a store, found by what they train and where they started."""

    def __init__(self, runs: Sequence[RunRow]) -> None:
        self._rows: dict[tuple[str, Parent], list[RunRow]] = defaultdict(list)
        for row in runs:
            key = _identity_of(row)
            if key is not None:
                self._rows[key, _parent_of(row)].append(row)

    def find(self, config: RunConfig, burn_in: RunConfig | None = None) -> RunRow | None:
        """The run with this config (its name aside), from nothing or from a burn-in of that one."""
        parent: Parent = None
        if burn_in is not None:
            first = self.find(burn_in)
            if first is None:
                return None
            parent = (first.run_id, burn_in.schedule.max_steps)
        rows = self._rows.get((identity(config), parent), [])
        return min(rows, key=lambda row: (USEFULNESS.get(row.status, 2), row.run_id), default=None)


def tasks_of(store: Store | None, plan: Sequence[PlannedRun]) -> list[Task]:
    """What has to be trained, each once: the burn-ins, then the runs in the plan's order."""
    shelf = Shelf([] if store is None else list_runs(store))
    wanted: dict[tuple[str, str | None], tuple[RunConfig, RunConfig | None]] = {}
    for run in plan:
        if run.burn_in is not None:
            wanted.setdefault((identity(run.burn_in), None), (run.burn_in, None))
    for run in plan:
        start = None if run.burn_in is None else identity(run.burn_in)
        wanted.setdefault((identity(run.config), start), (run.config, run.burn_in))
    return [
        Task(config, burn_in, shelf.find(config, burn_in)) for config, burn_in in wanted.values()
    ]


def train_sweep(
    store: Store, plan: Sequence[PlannedRun], *, slots: int, command: Sequence[str], look: Look
) -> list[Failure]:
    """Train what is missing, `slots` runs at a time; a run that fails does not stop the others.

    Raises:
        LaunchError: another process trains a run of this sweep at the moment.
    """
    tasks = tasks_of(store, plan)
    refuse_if_running(store, tasks)
    training = _Training(store, tasks, command)
    training.run(slots, look)
    return unfinished(store, plan, training.obstacles)


def unfinished(
    store: Store, plan: Sequence[PlannedRun], obstacles: Mapping[str, str] | None = None
) -> list[Failure]:
    """What is not finished of a sweep, and why.

    Args:
        obstacles: why nothing could be forked from a burn-in, by its identity.
    """
    left = [task for task in tasks_of(store, plan) if not task.is_done]
    return [_failure(store, task, obstacles or {}) for task in left]


def refuse_if_running(store: Store, tasks: Sequence[Task]) -> None:
    """Two processes must not train one run.

    Raises:
        LaunchError: naming the runs and who trains them.
    """
    rows = [task.row for task in tasks if task.row is not None and task.row.status == "running"]
    if rows:
        listed = ", ".join(
            f"{row.name} ({row.run_id}, process {run_origin(store, row.run_id).pid})"
            for row in rows
        )
        raise LaunchError(
            f"being trained by another process already: {listed}; wait for it, or stop it"
        )


def steps_behind(row: RunRow | None, first_step: int) -> int:
    """Steps a run needs not train any more, those before its fork included."""
    if row is None or row.step is None:
        return first_step
    return max(first_step, min(row.step + 1, row.max_steps))


class _Training:
    """Starts runs as soon as what they fork from is there."""

    def __init__(self, store: Store, tasks: Sequence[Task], command: Sequence[str]) -> None:
        self.store = store
        self.tasks = tasks
        self.command = command
        self.obstacles: dict[str, str] = {}
        """Why nothing could be forked from a burn-in, by its identity."""

    def run(self, slots: int, look: Look) -> None:
        ready: list[str] = []
        for task in self.tasks:
            if not task.is_done and task.burn_in is None:
                ready.append(self._begin(task, None))
        for task in self.tasks:
            if task.is_done and task.burn_in is None and task.row is not None:
                ready += self._forks_of(task.config, task.row.run_id)
        run_in_slots(self.store, ready, slots=slots, look=look, then=self._then, keep_going=True)

    def _then(self, row: RunRow) -> list[str]:
        if row.status != "finished" or row.parent_run_id is not None:
            return []
        return self._forks_of(parse_run_config(row.config), row.run_id)

    def _forks_of(self, burn_in: RunConfig, run_id: str) -> list[str]:
        key = identity(burn_in)
        waiting = [
            task
            for task in self.tasks
            if not task.is_done and task.burn_in is not None and identity(task.burn_in) == key
        ]
        if not waiting:
            return []
        try:
            fork = find_fork_point(self.store, f"{run_id}@{burn_in.schedule.max_steps}")
        except LaunchError as error:
            self.obstacles[key] = str(error)
            return []
        return [self._begin(task, fork) for task in waiting]

    def _begin(self, task: Task, fork: ForkPoint | None) -> str:
        """The id of a queued or stopped run of the task."""
        if task.row is None:
            return start_run(self.store, task.config, command=self.command, fork=fork)
        if fork is not None:
            share_checkpoint(self.store, task.row.run_id, fork)
        return task.row.run_id


def _identity_of(row: RunRow) -> str | None:
    """None for a run of another version, whose config means nothing now."""
    try:
        return identity(parse_run_config(row.config))
    except ConfigError:
        return None


def _parent_of(row: RunRow) -> Parent:
    if row.parent_run_id is None or row.parent_step is None:
        return None
    return row.parent_run_id, row.parent_step


def _failure(store: Store, task: Task, obstacles: Mapping[str, str]) -> Failure:
    if task.row is None:
        start = "" if task.burn_in is None else identity(task.burn_in)
        reason = obstacles.get(start, "never began: its burn-in did not finish")
        return Failure(task.config.name, None, reason, None)
    reason = task.row.error or task.row.status
    log = store.run_directory(task.row.run_id) / "output.txt"
    return Failure(task.config.name, task.row.run_id, reason, log)
