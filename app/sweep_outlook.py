"""How far a sweep is, and how long the rest takes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan

from app.sweep import Task
from lab.store.queries import RunRow


@dataclass(frozen=True, slots=True)
class Outlook:
    """Progress in steps. A step of one method may cost several of another, hence `seconds`."""

    runs: int
    done: int
    steps: int
    steps_left: int
    seconds_left: float
    """NaN while no speed has been measured."""


def outlook(tasks: Sequence[Task], rows: Mapping[str, RunRow], slots: int) -> Outlook:
    """Where the tasks are.

    Args:
        rows: the newest rows by run id, where there are newer ones than the tasks'.
    """
    now = [_at(task, rows) for task in tasks]
    left: dict[str, int] = defaultdict(int)
    for task in now:
        left[task.config.method.name] += task.steps_left
    return Outlook(
        runs=len(now),
        done=sum(task.is_done for task in now),
        steps=sum(task.config.schedule.max_steps - task.first_step for task in now),
        steps_left=sum(left.values()),
        seconds_left=seconds_left(left, speeds(task.row for task in now), slots),
    )


def seconds_left(steps: Mapping[str, int], speed: Mapping[str, float], slots: int) -> float:
    """Time for so many steps of each method, shared evenly by the slots.

    A method that has not been timed yet counts like the slowest that has.
    """
    if not any(steps.values()):
        return 0.0
    if not speed:
        return nan
    slowest = max(speed.values())
    return sum(count * speed.get(method, slowest) for method, count in steps.items()) / slots


def speeds(rows: Iterable[RunRow | None]) -> dict[str, float]:
    """Mean measured seconds per step by method."""
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row is not None and not isnan(row.seconds_per_step):
            found[row.method].append(row.seconds_per_step)
    return {method: sum(values) / len(values) for method, values in found.items()}


def _at(task: Task, rows: Mapping[str, RunRow]) -> Task:
    """The task as it is now. One that had no run when it was listed has one of its name."""
    if task.row is not None:
        return replace(task, row=rows.get(task.row.run_id, task.row))
    begun = (row for row in rows.values() if row.name == task.config.name)
    return replace(task, row=next(begun, None))
