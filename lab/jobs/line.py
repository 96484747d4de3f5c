"""The order of the queue, as a pure function."""

from __future__ import annotations

from typing import Literal

from lab.store.errors import ActionRefused
from lab.store.job_queue import Waiting


def moved(
    line: list[Waiting],
    run_id: str,
    *,
    priority: int | None = None,
    before: str | None = None,
    to: Literal["front", "back"] | None = None,
) -> list[Waiting]:
    """The line with one run elsewhere; the others keep their order and priorities.

    A run that is put before another, or to the front or back of all, takes the priority of its new
    neighbour; one that gets a priority goes to the end of those that have it.

    Args:
        line: who waits, the next first: priorities never rise.

    Raises:
        ActionRefused: the run, or the one it is to stand before, does not wait.
        ValueError: not exactly one place was said.
    """
    if sum(place is not None for place in (priority, before, to)) != 1:
        raise ValueError("say one of: a priority, before which run, to the front or to the back")
    others = [one for one in line if one.run_id != run_id]
    if len(others) == len(line):
        raise ActionRefused(f"run {run_id}: does not wait in the queue")
    if priority is not None:
        index = sum(one.priority >= priority for one in others)
        return _inserted(others, index, Waiting(run_id, priority))
    if not others and before is None:
        return line
    index = 0 if to == "front" else len(others)
    if before is not None:
        index = _place_of(others, before)
    neighbour = others[min(index, len(others) - 1)]
    return _inserted(others, index, Waiting(run_id, neighbour.priority))


def _place_of(line: list[Waiting], run_id: str) -> int:
    for index, one in enumerate(line):
        if one.run_id == run_id:
            return index
    raise ActionRefused(f"run {run_id}: does not wait in the queue")


def _inserted(line: list[Waiting], index: int, one: Waiting) -> list[Waiting]:
    return [*line[:index], one, *line[index:]]
