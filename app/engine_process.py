"""The engine as a process: the app starts it and never imports it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

ENTRY = (sys.executable, "-m", "engine.train")
STDERR = 2
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_command(root: Path, run_id: str) -> list[str]:
    """Train a run of the store, from its newest checkpoint when it has one."""
    return [*ENTRY, "run", "--store", str(root), "--run-id", run_id]


def evaluate_command(
    root: Path, run_id: str, *, step: int | None, model: str | None, out: Path | None
) -> list[str]:
    """Evaluate a checkpoint; the answer is JSON on stdout."""
    optional: dict[str, object | None] = {"--step": step, "--model": model, "--out": out}
    chosen = [
        part for key, value in optional.items() if value is not None for part in (key, str(value))
    ]
    return [*ENTRY, "evaluate", "--store", str(root), "--run-id", run_id, *chosen, "--json"]


def profile_command(root: Path, run_id: str, steps: int) -> list[str]:
    """Measure some training steps of a run; the answer is JSON on stdout."""
    return [*ENTRY, "profile", "--store", str(root), "--run-id", run_id, "--steps", str(steps)]


def clip_report_command(
    root: Path, dataset: str, images: Path | None, options: Mapping[str, object | None]
) -> list[str]:
    """Judge a CLIP on a dataset; the report is JSON on stdout. A list repeats its option."""
    chosen: list[str] = []
    for key, value in options.items():
        for one in value if isinstance(value, list) else [value]:
            chosen += [] if one is None else [f"{key}={one}"]
    where = [] if images is None else [str(images)]
    entry = (sys.executable, "-m", "engine.clip_report")
    return [*entry, "--store", str(root), *chosen, "--", dataset, *where]


def depth_command(
    dataset: str, images: Path | None, options: Mapping[str, object | None]
) -> list[str]:
    """Make the depth maps of a dataset; what was done is JSON on stdout."""
    chosen = [f"{key}={value}" for key, value in options.items() if value is not None]
    where = [] if images is None else [str(images)]
    return [sys.executable, "-m", "engine.depth_maps", *chosen, "--", dataset, *where]


def run_in_foreground(command: Sequence[str], *, all_to_stderr: bool = False) -> int:
    """Run to the end and return the exit code, negative when a signal killed the process.

    The process has a session of its own, so Ctrl-C reaches it exactly once: passed on by us,
    as SIGTERM and SIGHUP are. It then saves a checkpoint and stops by itself.

    Args:
        all_to_stderr: what it writes to stdout goes to our stderr, to keep our stdout for JSON.
    """
    stdout = STDERR if all_to_stderr else None
    with (
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stdout, start_new_session=True
        ) as process,
        _passing_signals_to(process),
    ):
        return process.wait()


def capture(
    command: Sequence[str], environment: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run to the end; the exit code and what was written to stdout. stderr passes through.

    `environment` = variables that differ from ours.
    """
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    return (done.returncode if done.returncode >= 0 else 1), done.stdout


@contextmanager
def _passing_signals_to(process: subprocess.Popen[bytes]) -> Iterator[None]:
    def forward(number: int, _: FrameType | None) -> None:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM if number == signal.SIGHUP else number)

    before = {number: signal.signal(number, forward) for number in FORWARDED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
