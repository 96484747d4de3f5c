"""What FiftyOne's buttons do in the lab: look at thresholds, re-launch, hand labels back.

These run in the App's server, so they open the store, change it and close it; training happens in
a worker's process. Nothing here knows FiftyOne.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from app.label_scores import BY_NAME
from app.launch import LaunchError, queue_fork, queue_like
from app.selections import SELECTION
from app.thresholds import config_in_effect, min_area_of, threshold_fields
from lab.store.queries import RunRow, checkpoints, get_run
from lab.store.runs import add_event
from lab.store.store import Store

How = Literal["fork", "new"]
COMMAND = ("fiftyone", "relaunch")


@dataclass(frozen=True, slots=True)
class Slider:
    """A threshold that a run has."""

    column: str
    """The score it is on."""
    words: str
    key: str
    """Where it is in the config."""
    value: float
    """What it is now."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How a run keeps labels, and where it could go on."""

    sliders: tuple[Slider, ...]
    min_area: float
    steps: tuple[int, ...]
    """Of its checkpoints after which something is left to train, the newest last."""


def rules_of(root: Path, run_id: str) -> Rules:
    """The thresholds in effect; none for a method without any."""
    with Store.open(root, read_only=True) as store:
        run = get_run(store, run_id)
        config = config_in_effect(store, run)
        steps = fork_steps(store, run)
    method = config["method"]
    fields = threshold_fields(config)
    if not fields and "coupled_threshold" in method:
        fields = {"score": "coupled_threshold"}
    sliders = tuple(
        Slider(column, BY_NAME[column].words, f"method.{field}", float(method[field]))
        for column, field in fields.items()
    )
    return Rules(sliders, min_area_of(config), steps)


def fork_steps(store: Store, run: RunRow) -> tuple[int, ...]:
    """Where a run can be forked, ascending: at a checkpoint that is not its end."""
    there = (one.step for one in checkpoints(store, run.run_id) if one.exists)
    return tuple(sorted(step for step in there if step < run.max_steps))


def changes_of(rules: Rules, bars: Mapping[str, float]) -> dict[str, float]:
    """Thresholds by score -> by key of the config."""
    return {one.key: float(bars[one.column]) for one in rules.sliders if one.column in bars}


def relaunch(
    root: Path,
    run_id: str,
    changes: Mapping[str, Any],
    how: How,
    *,
    step: int | None = None,
    with_worker: bool = True,
) -> str:
    """Queue a run with other thresholds; returns its id.

    Args:
        how: "fork" goes on from a checkpoint, "new" starts from nothing.
        step: of the checkpoint; None = the newest that leaves something to train.

    Raises:
        LaunchError: there is no such checkpoint, or nothing is left to train.
        ConfigError: a value that cannot be.
    """
    with Store.open(root) as store:
        if how == "new":
            return queue_like(store, run_id, changes, command=COMMAND, with_worker=with_worker)
        if step is None:
            there = fork_steps(store, get_run(store, run_id))
            if not there:
                raise LaunchError(
                    f"run {run_id}: it has no checkpoint to go on from before its last step"
                )
            step = there[-1]
        where = f"{run_id}@{step}"
        return queue_fork(store, where, changes, command=COMMAND, with_worker=with_worker)


def remember_selection(root: Path, run_id: str, label_ids: Sequence[int], name: str) -> int:
    """Write down which labels somebody picked out, as an event of the run; returns its id.

    Raises:
        ValueError: none was picked, or the selection has no name.
    """
    if not label_ids:
        raise ValueError("no label is selected")
    if not name.strip():
        raise ValueError("a selection needs a name")
    payload = {"name": name.strip(), "label_ids": sorted(set(label_ids)), "from": "fiftyone"}
    with Store.open(root) as store:
        return add_event(store, run_id, None, SELECTION, payload)
