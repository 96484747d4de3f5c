"""Queued runs of a few steps, and workers that are processes or turned by hand."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.config import RunConfig, parse_run_config
from lab.jobs.control import put_in_queue
from lab.jobs.devices import slots_of
from lab.jobs.worker import Worker
from lab.store.queries import get_run
from lab.store.runs import create_run
from lab.store.store import Store

HERE = Path(__file__).parent
ENTRY = (sys.executable, str(HERE / "small_engine.py"))


def config(name: str, steps: int = 5) -> RunConfig:
    return parse_run_config({"name": name, "schedule": {"max_steps": steps}})


def queued(store: Store, name: str, *, steps: int = 5, priority: int = 0) -> str:
    run_id = create_run(store, config(name, steps))
    put_in_queue(store, run_id, priority=priority)
    return run_id


def wait_until(what: Callable[[], object], seconds: float = 180.0) -> None:
    """Real processes take real time; looked at every 50 ms."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "nothing happened in time"
        time.sleep(0.05)


def turn_until(worker: Worker, what: Callable[[], object]) -> None:
    """Let a worker of this process do its turns until it is so."""
    wait_until(lambda: [worker.turn(), what()][1])


def turn_until_state(worker: Worker, store: Store, run_id: str, state: str) -> None:
    turn_until(worker, lambda: get_run(store, run_id).status == state)


def starts(store: Store, run_id: str) -> list[int]:
    """The attempts that began to train."""
    path = store.run_directory(run_id) / "starts.txt"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


@pytest.fixture
def worker(store: Store) -> Worker:
    """A worker of this process with one slot and the small engine."""
    return Worker(store, slots_of([], 1), entry=ENTRY)


@pytest.fixture
def start_worker(store: Store) -> Iterator[Callable[[int], subprocess.Popen[bytes]]]:
    """Start a worker process with so many slots; what is left is killed in the end."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(slots: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(HERE / "small_worker.py"), str(store.root), str(slots)]
        processes.append(subprocess.Popen(command))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()
