"""Two real processes that train together, for tests of what they agree on."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from engine import ranks

PATIENCE = 240.0
"""Seconds."""


def on_two_ranks(directory: Path, function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What the function returns on each of two ranks; an importable one, of what can be pickled."""
    spawn, port = multiprocessing.get_context("spawn"), free_port()
    files = [directory / f"rank-{rank}.pickle" for rank in (0, 1)]
    started = [
        spawn.Process(target=_be_rank, args=(rank, port, file, function, arguments))
        for rank, file in enumerate(files)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join(PATIENCE)
        process.kill()
        process.join()
    assert [process.exitcode for process in started] == [0, 0]
    return [pickle.loads(file.read_bytes()) for file in files]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _be_rank(
    rank: int, port: int, file: Path, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    torch.set_num_threads(1)
    os.environ |= {
        **{"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"},
        **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)},
    }
    with ranks.joined(torch.device("cpu")):
        file.write_bytes(pickle.dumps(function(*arguments)))
