"""`seglab train`: start, resume or fork a run, in the foreground."""

from __future__ import annotations

import shutil
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from app.commands.options import (
    Json,
    Launcher,
    LauncherName,
    Overrides,
    RayAddress,
    StoreRoot,
    cluster_of,
)
from app.commands.terminal import WrongUse, byte_size, complain, note, say_json
from app.engine_process import run_command, run_in_foreground
from app.far_process import train_on_ray
from app.launch import ForkPoint, config_of_fork, find_fork_point, start_run
from lab.config import (
    RunConfig,
    load_run_config,
    parse_override,
    parse_stored_config,
)
from lab.datasets.sizes import dataset_size
from lab.store.estimate import estimate_run
from lab.store.queries import get_run
from lab.store.run_state import check_allowed
from lab.store.runs import finish_run
from lab.store.store import Store


def train(  # noqa: PLR0913 - every option is one
    config: Annotated[
        Path | None, typer.Argument(metavar="CONFIG", help="A TOML file, see experiments/.")
    ] = None,
    overrides: Overrides = None,
    name: Annotated[str | None, typer.Option(help="What to call the run.")] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on with this run instead.")
    ] = None,
    fork: Annotated[
        str | None,
        typer.Option(
            metavar="RUN@STEP",
            help="Start from that run's checkpoint; without CONFIG, with its config.",
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Share every batch: schedule.processes=N."),
    ] = None,
    gpus: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="The same, on N GPUs of this machine."),
    ] = None,
    launcher: LauncherName = Launcher.LOCAL,
    ray_address: RayAddress = None,
    store_root: StoreRoot = None,
    json: Json = False,
) -> None:
    """Train what CONFIG describes; Ctrl-C saves a checkpoint and stops.

    The exit code is the engine's: 0 when the run finished or was stopped, 1 when it failed.
    """
    changes = dict(parse_override(text) for text in overrides or [])
    changes |= shared_among(processes, gpus)
    if name is not None:
        changes["name"] = name
    if resume is not None and (config is not None or changes or fork is not None):
        raise WrongUse("--resume takes nothing else: a resumed run keeps its config")
    if resume is None and fork is None and config is None:
        raise WrongUse("say what to train: CONFIG, --resume RUN or --fork RUN@STEP")
    described = None if config is None else load_run_config(config, changes)
    cluster = cluster_of(launcher, ray_address)
    with Store.open(store_root) as store:
        if resume is not None:
            run_id = resumable(store, resume)
        else:
            point = None if fork is None else find_fork_point(store, fork)
            wanted = described or config_of_parent(store, point, changes)
            foretell(wanted, store.root)
            run_id = start_run(store, wanted, command=sys.argv, fork=point)
        note(f"run {run_id} in {store.root}")
        if cluster is None:
            code = run_in_foreground(run_command(store.root, run_id), all_to_stderr=json)
            settle(store, run_id, code)
        else:
            code = train_on_ray(store, cluster, run_id, note)
        if json:
            say_json(get_run(store, run_id))
    raise typer.Exit(code if code >= 0 else 1)


def resumable(store: Store, key: str) -> str:
    """The id of a run that the engine can train.

    Raises:
        ConfigError: other training code recorded it.
        ActionRefused: it has finished.
    """
    row = get_run(store, key)
    parse_stored_config(row.config, row.run_id)
    if row.status == "finished":
        check_allowed(row.run_id, row.status, "resume")
    return row.run_id


def shared_among(processes: int | None, gpus: int | None) -> dict[str, Any]:
    """What two options say about the schedule, by dotted key."""
    if gpus is None:
        return {} if processes is None else {"schedule.processes": processes}
    if processes is not None:
        raise WrongUse("--processes and --gpus say the same: every GPU gets a process")
    return {"schedule.processes": gpus, "schedule.device": "cuda"}


def settle(store: Store, run_id: str, code: int) -> None:
    """Say how an engine that did not end by itself ended, and how to go on."""
    began = get_run(store, run_id).status != "queued"
    how = f"with exit code {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
    if code != 0 and not began:
        finish_run(store, run_id, "failed", f"the engine was ended {how} before it began")
    if code < 0:
        again = f"seglab train --resume {run_id} goes on from its last checkpoint"
        complain(f"the engine was ended {how}; {again}")


def foretell(config: RunConfig, root: Path) -> None:
    """Say how much the run will add to the store, and when the disk has no room for it.

    Raises:
        DatasetError: a file of the dataset is missing or is no json.
    """
    estimate = estimate_run(config, dataset_size(config.dataset))
    parts = [
        f"{kind} {byte_size(getattr(estimate, kind))}"
        for kind in ("scores", "masks", "curves", "checkpoints")
        if getattr(estimate, kind)
    ]
    note(f"will add about {byte_size(estimate.total)} to the store: {', '.join(parts)}")
    free = shutil.disk_usage(root).free
    if free < estimate.total:
        note(
            f"only {byte_size(free)} are free on its disk: record less (record.every, record.keep) "
            "or make room (seglab gc)"
        )


def config_of_parent(store: Store, point: ForkPoint | None, changes: dict[str, Any]) -> RunConfig:
    """The config of the run that is forked, with changes."""
    if point is None:
        raise WrongUse("a new run needs CONFIG or --fork RUN@STEP")
    return config_of_fork(store, point, changes)
