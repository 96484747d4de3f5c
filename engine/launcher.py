"""Starts one process per rank by torchrun's own machinery, and says how they ended."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

import psutil
from torch.distributed.elastic.multiprocessing.errors import (
    ChildFailedError,
    ProcessFailure,
    get_error_handler,
)
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Ended:
    """How the processes of a run ended."""

    code: int
    """0 = all well, 1 = failed, 2 = bad input."""
    reason: str | None = None
    """Of a process that could not say so in the store itself."""


def run_ranks(count: int, threads: int, arguments: Sequence[str]) -> Ended:
    """Run `engine.train` with these arguments in `count` processes of this machine, to the end.

    A signal that this process gets is passed on to all of them, so that they save a checkpoint and
    stop, however long that takes.

    Raises:
        KeyboardInterrupt: by a signal before there were any.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)
    for number in PASSED_ON:
        signal.signal(number, _pass_on)
    try:
        elastic_launch(_on_this_machine(count), sys.executable)("-m", "engine.train", *arguments)
    except ChildFailedError as error:
        return ending_of(error.failures, count)
    return Ended(0)


def ending_of(failures: dict[int, ProcessFailure], count: int) -> Ended:
    """Rank 0 has told the store why it failed, unless it was killed; another rank could not."""
    for rank in sorted(failures, reverse=True):
        code = failures[rank].exitcode
        who = f"process {rank + 1} of {count}"
        if code < 0:
            return Ended(1, f"{who} was ended by {signal.Signals(-code).name}")
        if rank > 0:
            return Ended(1, f"{who}: {_message(failures[rank])}")
    return Ended(failures[0].exitcode)


def leave_word(error: BaseException) -> None:
    """Tell whoever started this rank why it fails."""
    handler: Any = get_error_handler()
    handler.record_exception(error)


def end_with_parent() -> None:
    """End this process at once when the one that started it is gone: nobody could stop it then."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, name="watch parent", daemon=True).start()


def _pass_on(number: int, _: FrameType | None) -> None:
    ranks = psutil.Process().children()
    if not ranks:
        raise KeyboardInterrupt
    for rank in ranks:
        rank.send_signal(signal.SIGTERM if number == signal.SIGHUP else number)


def _on_this_machine(count: int) -> LaunchConfig:
    return LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
        signals_to_handle="SIGQUIT",  # the others are ours
    )


def _message(failure: ProcessFailure) -> str:
    """What it left as its word, in one line."""
    lines = failure.message.strip().splitlines() or [f"exit code {failure.exitcode}"]
    return lines[0]
