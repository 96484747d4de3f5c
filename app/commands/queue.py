"""`seglab queue` and `seglab apply`: runs that start by themselves, and change."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from app.commands.options import (
    Json,
    Launcher,
    LauncherName,
    Overrides,
    Priority,
    RayAddress,
    RunKey,
    StoreRoot,
    cluster_of,
)
from app.commands.terminal import CommandFailed, WrongUse, note, say, say_json
from app.commands.train import config_of_parent
from app.launch import find_fork_point, queue_like, queue_run
from lab.config import load_run_config, parse_override
from lab.jobs.background import ensure_worker
from lab.jobs.live import apply_live
from lab.store.asks import AskRow
from lab.store.job_queries import list_jobs
from lab.store.queries import get_run
from lab.store.store import Store

Author = Annotated[
    str | None, typer.Option(help="Who asks, for the record.  [default: name@machine]")
]


def queue(  # noqa: PLR0913 - every option is one
    config: Annotated[
        Path | None, typer.Argument(metavar="CONFIG", help="A TOML file, see experiments/.")
    ] = None,
    overrides: Overrides = None,
    name: Annotated[str | None, typer.Option(help="What to call the run.")] = None,
    priority: Annotated[int, Priority] = 0,
    fork: Annotated[
        str | None,
        typer.Option(
            metavar="RUN@STEP",
            help="Start from that run's checkpoint; without CONFIG, with its config.",
        ),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="From nothing, with the values that run has now."),
    ] = None,
    worker: Annotated[
        bool, typer.Option(help="Start a worker in the background if this machine has none.")
    ] = True,
    launcher: LauncherName = Launcher.LOCAL,
    ray_address: RayAddress = None,
    store_root: StoreRoot = None,
    json: Json = False,
) -> None:
    """Put what CONFIG describes into the queue; it trains as soon as a slot is free."""
    changes = dict(parse_override(text) for text in overrides or [])
    if name is not None:
        changes["name"] = name
    if like is not None and (config is not None or fork is not None):
        raise WrongUse("--like is the config: it takes neither CONFIG nor --fork")
    if fork is None and config is None and like is None:
        raise WrongUse("say what to train: CONFIG, --fork RUN@STEP or --like RUN")
    described = None if config is None else load_run_config(config, changes)
    cluster = cluster_of(launcher, ray_address)
    with Store.open(store_root) as store:
        how: dict[str, Any] = {"command": sys.argv, "priority": priority, "with_worker": False}
        how["cluster"] = cluster
        if like is not None:
            run_id = queue_like(store, like, changes, **how)
        else:
            point = None if fork is None else find_fork_point(store, fork)
            wanted = described or config_of_parent(store, point, changes)
            run_id = queue_run(store, wanted, fork=point, **how)
        started = ensure_worker(store) if worker and cluster is None else None
        (job,) = [one for one in list_jobs(store) if one.run_id == run_id]
        note(f"run {run_id} in {store.root}")
        if started is not None:
            note(f"worker started as process {started}; it says so in {store.root / 'worker.log'}")
        if json:
            say_json(job)
        else:
            say(f"{run_id}  {job.state}" + (f", place {job.place}" if job.place else ""))


def apply(
    run: RunKey,
    values: Annotated[
        list[str],
        typer.Argument(metavar="KEY=VALUE...", help="Such as mask_threshold=0.8."),
    ],
    author: Author = None,
    timeout: Annotated[
        float, typer.Option(min=0.0, help="Seconds to wait for the run's answer.")
    ] = 30.0,
    store_root: StoreRoot = None,
    json: Json = False,
) -> None:
    """Change thresholds of a running run before its next step.

    Exit code 1 when the run refuses, or has not answered in time (it makes the change later).
    """
    changes = dict(parse_override(text) for text in values)
    with Store.open(store_root) as store:
        run_id = get_run(store, run).run_id
        answer = apply_live(store, run_id, changes, author=author, timeout=timeout)
    if json:
        say_json(answer)
    elif answer.answer == "applied":
        say(f"applied before step {answer.step}: {_in_words(answer)}")
    if answer.answer == "refused":
        raise CommandFailed(f"run {run_id} refused: {answer.reason}")
    if answer.answer is None:
        raise CommandFailed(
            f"run {run_id} has not answered within {timeout:g} s; it makes the change when it gets "
            "to its next step"
        )


def _in_words(answer: AskRow) -> str:
    return ", ".join(f"{key} = {value}" for key, value in answer.changes.items())
