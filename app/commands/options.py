"""Options that several verbs share, each declared once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from app.commands.terminal import WrongUse
from lab.jobs.ray_cluster import Cluster
from lab.store.errors import StoreTooOld
from lab.store.queries import RunRow, list_runs
from lab.store.store import Store


class Launcher(StrEnum):
    """Who starts the engine."""

    LOCAL = "local"
    RAY = "ray"


StoreRoot = Annotated[
    Path | None,
    typer.Option(
        "--store",
        envvar="SEGLAB_HOME",
        help="Directory of the store; with SEGLAB_STORE, of its files.  [default: ./seglab-data]",
        file_okay=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
RunKey = Annotated[
    str,
    typer.Argument(metavar="RUN", help='Run id, its beginning, a unique name, or "last".'),
]
MOST_STEPS = 2**31 - 1
"""No store holds a higher step."""
FirstStep = Annotated[
    int | None,
    typer.Option(
        "--from", min=0, max=MOST_STEPS, help="First step to look at.  [default: the first]"
    ),
]
LastStep = Annotated[
    int | None,
    typer.Option(
        "--to", min=0, max=MOST_STEPS, help="Last step to look at.  [default: the newest]"
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "-o",
        "--set",
        metavar="KEY=VALUE",
        help="Change one value of the config, such as schedule.max_steps=500. May be repeated.",
    ),
]

MOST_PRIORITY = 1_000_000
Priority = typer.Option(min=-MOST_PRIORITY, max=MOST_PRIORITY, help="Higher goes first.")

LauncherName = Annotated[
    Launcher,
    typer.Option(envvar="SEGLAB_LAUNCHER", help="Where it trains: this machine, or a Ray cluster."),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        envvar="RAY_ADDRESS",
        help="Dashboard of the Ray cluster.  [default: http://127.0.0.1:8265]",
    ),
]


def open_reader(root: Path | None) -> Store:
    """The store, for reading only; one of an older seglab is brought up to date first."""
    try:
        return Store.open(root, read_only=True)
    except StoreTooOld:
        Store.open(root).close()
        return Store.open(root, read_only=True)


def without_labels(store: Store, row: RunRow, where: str) -> str:
    """What to say of a run that has no pseudo-labels there, and which run has some."""
    said = f"run {row.run_id} ({row.name}) has no pseudo-labels in {where}"
    if row.lately is not None:
        return said
    others = (one for one in list_runs(store) if one.lately is not None)
    newest = next(others, None)
    return (
        said if newest is None else f"{said}; the newest that has: {newest.name or newest.run_id}"
    )


def check_window(first: int | None, last: int | None) -> None:
    """Raises WrongUse when the window is empty."""
    if first is not None and last is not None and first > last:
        raise WrongUse(f"--from {first} is after --to {last}")


def window_in_words(first: int | None, last: int | None) -> str:
    if first is None and last is None:
        return "all steps"
    return f"steps {'0' if first is None else first} to {'the newest' if last is None else last}"


def cluster_of(launcher: Launcher, address: str | None) -> Cluster | None:
    """The cluster that runs go to; None = this machine. Raises RayUnavailable."""
    return Cluster.connect(address) if launcher is Launcher.RAY else None
