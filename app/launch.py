"""Starting runs: written into the store first, from nothing or from another run's checkpoint."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.config import RunConfig
from lab.store.queries import RunRow, checkpoints, get_run
from lab.store.runs import create_run
from lab.store.store import Store


class LaunchError(ValueError):
    """A run that cannot be started like this; the message says what there is instead."""


@dataclass(frozen=True, slots=True)
class ForkPoint:
    """A checkpoint of a run that another run starts from."""

    run: RunRow
    step: int
    checkpoint: Path


def start_run(
    store: Store, config: RunConfig, *, command: Sequence[str], fork: ForkPoint | None = None
) -> str:
    """Write a queued run, with its parent and the parent's checkpoint; return its id."""
    if fork is None:
        return create_run(store, config, command=command)
    if fork.step >= config.schedule.max_steps:
        raise LaunchError(
            f"the fork starts at step {fork.step}, but schedule.max_steps is "
            f"{config.schedule.max_steps}: nothing is left to train"
        )
    run_id = create_run(
        store, config, command=command, parent_run_id=fork.run.run_id, parent_step=fork.step
    )
    share_checkpoint(store, run_id, fork)
    return run_id


def share_checkpoint(store: Store, run_id: str, fork: ForkPoint) -> None:
    """Give a run the checkpoint it starts from; harmless when it has it, or a newer one."""
    directory = store.run_directory(run_id) / "checkpoints"
    if not any(directory.glob("step-*.pt")):
        share_file(fork.checkpoint, directory)


def find_fork_point(store: Store, text: str) -> ForkPoint:
    """ "RUN@STEP" -> the checkpoint of that run after that step.

    Raises:
        LaunchError: malformed, or no such checkpoint (the message lists those there are).
        RunNotFound: no such run.
    """
    key, separator, step = text.rpartition("@")
    if not separator or not key or not step.isdecimal():
        raise LaunchError(f"fork {text!r}: expected RUN@STEP, such as last@2000")
    run = get_run(store, key)
    files = {one.step: one.path for one in checkpoints(store, run.run_id) if one.exists}
    if int(step) not in files:
        there = ", ".join(map(str, sorted(files))) or "none"
        raise LaunchError(
            f"fork {text!r}: run {run.run_id} has no checkpoint at step {step}; it has: {there}"
        )
    return ForkPoint(run, int(step), files[int(step)])


def share_file(source: Path, directory: Path) -> None:
    """A second name for the same file where the disk can do that, else a copy."""
    directory.mkdir(parents=True, exist_ok=True)
    target = directory / source.name
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
