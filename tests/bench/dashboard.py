"""The dashboard as a process of its own, to be asked and to be weighed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil


@dataclass(frozen=True)
class Dashboard:
    """A running `seglab ui` of a store."""

    address: str
    process: psutil.Process
    wall_seconds: float
    """From the start of the process to the whole first page."""
    cpu_seconds: float
    """Processor time of that start."""

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        return cpu_of(self.process)

    def memory(self) -> float:
        """Resident memory in MB."""
        return self.process.memory_info().rss / 1e6


@contextmanager
def dashboard(root: Path) -> Iterator[Dashboard]:
    """`seglab ui` of the store in `root`, from its start to its end."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "app.cli", "ui", "--port", "0", "--store", str(root)]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert child.stdout is not None
    try:
        address = child.stdout.readline().split()[3]
        httpx.get(f"{address}/", timeout=60).raise_for_status()
        process = psutil.Process(child.pid)
        yield Dashboard(address, process, time.perf_counter() - begin, cpu_of(process))
    finally:
        child.terminate()
        child.wait(timeout=30)


def cpu_of(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
