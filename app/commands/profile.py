"""`seglab profile`: where the time and the memory of a training step go."""

from __future__ import annotations

import json as json_format
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from app.commands.options import Json, Overrides, StoreRoot
from app.commands.terminal import CommandFailed, WrongUse, number, percent, say, say_json, say_table
from app.engine_process import capture, profile_command
from app.launch import find_fork_point
from lab.config import RunConfig, load_run_config, parse_override
from lab.jobs.forks import share_file
from lab.store.database import A_FILE, VARIABLE
from lab.store.runs import create_run
from lab.store.store import Store, default_root

BAR = 30
"""Characters of a bar that stands for a whole step."""
BAD_INPUT = 2
"""The engine's exit code when it could not use what it was given."""


def profile(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A TOML file.")],
    overrides: Overrides = None,
    steps: Annotated[int, typer.Option(min=1, help="How many steps are measured.")] = 30,
    fork: Annotated[
        str | None,
        typer.Option(
            metavar="RUN@STEP",
            help="Start from that checkpoint: a trained teacher finds more than an untrained one.",
        ),
    ] = None,
    store_root: StoreRoot = None,
    json: Json = False,
) -> None:
    """Train a few steps of CONFIG as after its burn-in, and say what they spent their time on.

    Nothing of it stays, but a generated dataset is kept in the store.
    """
    described = load_run_config(config, dict(parse_override(text) for text in overrides or []))
    home = (store_root or default_root()).expanduser()
    checkpoint = None
    if fork is not None:
        with Store.open(home, read_only=True) as store:
            checkpoint = find_fork_point(store, fork).checkpoint
    with tempfile.TemporaryDirectory(prefix="seglab-profile-") as directory:
        run_id = _write_run(Path(directory), described, checkpoint, home / "datasets")
        command = profile_command(Path(directory), run_id, steps)
        code, text = capture(command, {VARIABLE: A_FILE})
    if code == BAD_INPUT:
        raise WrongUse(f"{config}: the engine cannot use it")
    if code != 0:
        raise CommandFailed(f"the engine could not profile {config} (exit code {code})")
    answer: dict[str, Any] = json_format.loads(text)
    if json:
        say_json(answer)
        return
    _say_profile(config, answer)


def _write_run(root: Path, config: RunConfig, checkpoint: Path | None, datasets: Path) -> str:
    """A run in a store of its own, which shares its generated datasets with others; its id."""
    with Store.open(root, url=A_FILE) as store:
        run_id = create_run(store, config, command=sys.argv)
        if checkpoint is not None:
            share_file(checkpoint, store.run_directory(run_id) / "checkpoints")
    datasets.mkdir(parents=True, exist_ok=True)
    (root / "datasets").symlink_to(datasets.resolve(), target_is_directory=True)
    return run_id


def _say_profile(config: Path, answer: Mapping[str, Any]) -> None:
    how = f"{answer['device']}, {_count(answer['threads'], 'thread')}"
    steps = _count(answer["steps"], "step")
    say(f"{config}: {answer['method']} on {answer['host']}, {how}, {steps}")
    rows = [
        (
            part["section"],
            "█" * round(BAR * part["share"]),
            number(part["median_ms"]),
            percent(part["share"]),
        )
        for part in answer["sections"]
    ]
    rows.append(("step", "", number(answer["step_ms"]), percent(1)))
    say_table(("part", "", "median ms", "of all time"), rows, words=2)
    say(_speed(answer))
    if answer["kept_per_image"] == 0:
        say("No pseudo-label was kept: with --fork RUN@STEP a trained teacher is measured.")


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" + "s" * (number != 1)


def _speed(answer: Mapping[str, Any]) -> str:
    parts = [f"{number(answer['images_per_second'])} images/s"]
    if answer["candidates_per_image"] is not None:
        kept, found = number(answer["kept_per_image"]), number(answer["candidates_per_image"])
        parts.append(f"{kept} of {found} candidates per image kept")
    parts.append(f"peak memory {number(answer['peak_rss_mb'], 0)} MiB")
    if answer["peak_cuda_mb"] is not None:
        parts.append(f"on the GPU {number(answer['peak_cuda_mb'], 0)} MiB")
    return ", ".join(parts)
