"""Starting runs: written into the store first, from nothing or from another run's checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.config import RunConfig, flatten, parse_run_config, with_overrides
from lab.jobs.background import ensure_worker
from lab.jobs.control import put_in_queue
from lab.jobs.devices import need_of
from lab.jobs.forks import share_file
from lab.jobs.ray_cluster import Cluster
from lab.jobs.ray_jobs import resources_of, send_run
from lab.store.asks import config_at
from lab.store.job_queue import end_if_unfinished
from lab.store.queries import RunRow, checkpoints, get_run
from lab.store.runs import add_event, create_run
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
    _refuse_without_steps(config, fork.step)
    run_id = create_run(
        store, config, command=command, parent_run_id=fork.run.run_id, parent_step=fork.step
    )
    try:
        share_checkpoint(store, run_id, fork)
    except OSError as error:  # its parent has just removed it for a newer one
        reason = f"the checkpoint of step {fork.step} cannot be taken over: {error}"
        end_if_unfinished(store, run_id, "failed", reason)
        raise LaunchError(f"run {run_id}: {reason}") from None
    _note_fork(store, run_id, fork.run.run_id, fork.step, config)
    return run_id


def queue_run(
    store: Store,
    config: RunConfig,
    *,
    command: Sequence[str],
    fork: ForkPoint | None = None,
    priority: int = 0,
    with_worker: bool = True,
    cluster: Cluster | None = None,
) -> str:
    """Write a run and put it into the queue; return its id. It starts when a slot is free.

    Args:
        with_worker: start a worker in the background if this machine has none.
        cluster: send it there instead.

    Raises:
        LaunchError: nothing is left to train from the fork on, or its checkpoint is gone.
        ConfigError: the queue cannot give it the device it asks for.
    """
    if cluster is not None:
        resources_of(config, cluster)
        run_id = start_run(store, config, command=command, fork=fork)
        send_run(store, cluster, run_id)
        return run_id
    need_of(config)
    run_id = start_run(store, config, command=command, fork=fork)
    put_in_queue(store, run_id, priority=priority)
    if with_worker:
        ensure_worker(store)
    return run_id


def queue_after(
    store: Store,
    config: RunConfig,
    parent_run_id: str,
    step: int,
    *,
    command: Sequence[str],
    priority: int = 0,
) -> str:
    """Queue a fork of a run that may not have got so far; return its id.

    It waits in the queue until its parent has written the checkpoint of that step. No worker is
    started here.

    Raises:
        LaunchError: nothing is left to train from there on.
        ConfigError: the queue cannot give it the device it asks for.
    """
    need_of(config)
    _refuse_without_steps(config, step)
    run_id = create_run(
        store, config, command=command, parent_run_id=parent_run_id, parent_step=step
    )
    _note_fork(store, run_id, parent_run_id, step, config)
    put_in_queue(store, run_id, priority=priority)
    return run_id


def config_of_fork(store: Store, point: ForkPoint, changes: Mapping[str, Any]) -> RunConfig:
    """What the parent really used in the step it is forked at, with changes by dotted key."""
    used = config_at(store, point.run.run_id, point.step)
    tree = with_overrides(used.model_dump(mode="json"), changes)
    return parse_run_config(tree, f"config of run {point.run.run_id}")


def queue_fork(
    store: Store,
    run_at_step: str,
    changes: Mapping[str, Any],
    *,
    command: Sequence[str],
    priority: int = 0,
    with_worker: bool = True,
) -> str:
    """Queue a run that goes on from "RUN@STEP" with changed values; return its id.

    Raises:
        LaunchError: no such checkpoint, or nothing left to train.
        ConfigError: a value that cannot be.
    """
    point = find_fork_point(store, run_at_step)
    config = config_of_fork(store, point, changes)
    return queue_run(
        store, config, command=command, fork=point, priority=priority, with_worker=with_worker
    )


def queue_like(
    store: Store,
    run_key: str,
    changes: Mapping[str, Any],
    *,
    command: Sequence[str],
    priority: int = 0,
    with_worker: bool = True,
    cluster: Cluster | None = None,
) -> str:
    """Queue a new run, from nothing, with the values another run has now and some changed."""
    like = get_run(store, run_key)
    used = config_at(store, like.run_id)
    tree = with_overrides(used.model_dump(mode="json"), changes)
    config = parse_run_config(tree, f"config of run {like.run_id}")
    run_id = queue_run(
        store, config, command=command, priority=priority, with_worker=with_worker, cluster=cluster
    )
    payload = {"like": like.run_id, "changes": differences(used, config)}
    add_event(store, run_id, 0, "launched", payload)
    return run_id


def differences(old: RunConfig, new: RunConfig) -> dict[str, dict[str, Any]]:
    """Dotted key -> {"old", "new"} of what differs; None where a table has no such key."""
    before, after = (flatten(one.model_dump(mode="json")) for one in (old, new))
    return {
        key: {"old": before.get(key), "new": after.get(key)}
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    }


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


def _refuse_without_steps(config: RunConfig, first_step: int) -> None:
    if first_step >= config.schedule.max_steps:
        raise LaunchError(
            f"the fork starts at step {first_step}, but schedule.max_steps is "
            f"{config.schedule.max_steps}: nothing is left to train"
        )


def _note_fork(store: Store, run_id: str, parent: str, step: int, config: RunConfig) -> None:
    changes = differences(config_at(store, parent, step), config)
    payload = {"parent": parent, "step": step, "changes": changes}
    add_event(store, run_id, step, "forked", payload)
