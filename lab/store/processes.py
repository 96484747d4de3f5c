"""Which process records a run, and whether it still lives."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import psutil

from lab.store.run_state import STALE_AFTER

SAME_START = 2.0
"""Start times of one process may differ by this much, seconds."""


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process, told apart from any later one that gets the same number."""

    machine: str
    pid: int
    started: float
    """Seconds from the machine's start to the process's; Unix seconds where /proc does not say."""
    boot_id: str

    def is_same(self, other: ProcessIdentity) -> bool:
        return (self.machine, self.boot_id, self.pid) == (
            other.machine,
            other.boot_id,
            other.pid,
        ) and abs(self.started - other.started) < SAME_START


def this_process() -> ProcessIdentity:
    return identity_of(os.getpid())


def identity_of(pid: int) -> ProcessIdentity:
    """Of a process of this machine that exists, or has ended and was not waited for yet.

    Raises:
        psutil.NoSuchProcess: there is none with this number.
    """
    return ProcessIdentity(platform.node(), pid, _start_of(psutil.Process(pid)), boot_id())


def boot_id() -> str:
    """Changes when the machine restarts, and inside a container: there, numbers of processes are
    of its own."""
    linux = Path("/proc/sys/kernel/random/boot_id")
    if not linux.exists():
        return f"{psutil.boot_time():.0f}"
    return f"{linux.read_text().strip()} {_namespace()}".strip()


def is_alive(process: ProcessIdentity) -> bool:
    """Whether that very process is seen to run on this machine now."""
    return sight(process) is True


def sight(process: ProcessIdentity) -> bool | None:
    """Whether that very process runs now: it does, it has ended, or it cannot be seen from here.

    What runs on another machine, or in another container of this one, cannot be seen.
    """
    boot, _, namespace = boot_id().partition(" ")
    their_boot, _, their_namespace = process.boot_id.partition(" ")
    if process.machine != platform.node():
        return None
    if their_boot != boot:
        return False
    if their_namespace != namespace:
        return None
    try:
        found = psutil.Process(process.pid)
        is_same = abs(_start_of(found) - process.started) < SAME_START
        return is_same and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def is_going(process: ProcessIdentity, heartbeat: float, now: float) -> bool:
    """Whether a process lives; one that cannot be seen, by its last heartbeat (Unix seconds)."""
    seen = sight(process)
    return seen if seen is not None else abs(now - heartbeat) < STALE_AFTER


def _namespace() -> str:
    """Which numbering of processes this one sees; "" where the system does not say."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _start_of(process: psutil.Process) -> float:
    """As ProcessIdentity.started: it does not move when somebody sets the clock."""
    linux = Path(f"/proc/{process.pid}/stat")
    if not Path("/proc/self/stat").exists():
        return process.create_time()
    try:
        after_name = linux.read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        raise psutil.NoSuchProcess(process.pid) from None
    return int(after_name[19]) / os.sysconf("SC_CLK_TCK")
