"""Which process records a run, and whether it still lives."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import psutil

STALE_AFTER = 30.0
"""Seconds without a heartbeat after which a vanished process makes its run stale."""
SAME_START = 2.0
"""Start times of one process may differ by this much when the clock was adjusted, seconds."""


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process, told apart from any later one that gets the same number."""

    machine: str
    pid: int
    started: float
    boot_id: str

    def is_same(self, other: ProcessIdentity) -> bool:
        return (self.machine, self.boot_id, self.pid) == (
            other.machine,
            other.boot_id,
            other.pid,
        ) and abs(self.started - other.started) < SAME_START


def this_process() -> ProcessIdentity:
    return ProcessIdentity(
        machine=platform.node(),
        pid=os.getpid(),
        started=psutil.Process().create_time(),
        boot_id=boot_id(),
    )


def boot_id() -> str:
    """Changes when the machine restarts."""
    linux = Path("/proc/sys/kernel/random/boot_id")
    return linux.read_text().strip() if linux.exists() else f"{psutil.boot_time():.0f}"


def is_alive(process: ProcessIdentity) -> bool:
    """Whether that very process runs on this machine now; False for one of another machine."""
    if process.machine != platform.node() or process.boot_id != boot_id():
        return False
    try:
        found = psutil.Process(process.pid)
        is_same = abs(found.create_time() - process.started) < SAME_START
        return is_same and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
