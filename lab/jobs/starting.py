"""The engine as a detached process: started here, and signalled here."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from lab.jobs.devices import Slot
from lab.jobs.forks import take_over_checkpoint
from lab.store.job_queue import HeldJob
from lab.store.processes import ProcessIdentity, is_alive
from lab.store.store import Store

ENGINE = (sys.executable, "-m", "engine.train", "run")
OUTPUT = "output.txt"
"""In the run's directory: what its process prints."""

END_SECONDS = 10.0
"""How long a process may take to be gone that was killed, or has said that its run is over."""


def engine_command(entry: Sequence[str], root: Path, run_id: str, attempt: int) -> list[str]:
    """Train a run of the store, from its newest checkpoint when it has one."""
    where = ["--store", str(root), "--run-id", run_id]
    return [*entry, *where, "--attempt", str(attempt)]


def start_engine(
    store: Store, job: HeldJob, slot: Slot, entry: Sequence[str] = ENGINE
) -> subprocess.Popen[bytes]:
    """Start the job's process in a session of its own: it lives on when we end.

    Raises:
        OSError: it cannot be started.
    """
    directory = store.run_directory(job.run_id)
    directory.mkdir(parents=True, exist_ok=True)
    take_over_checkpoint(store, job.run_id)
    with (directory / OUTPUT).open("ab") as output:
        return subprocess.Popen(
            engine_command(entry, store.root, job.run_id, job.attempt),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=job.directory,
            env={**os.environ, **store.environment, **slot.environment},
        )


def ask_to_stop(process: ProcessIdentity) -> bool:
    """SIGTERM: it saves a checkpoint and stops. False when it is not here, or gone."""
    if not is_alive(process) or process.machine != platform.node():
        return False
    try:
        os.kill(process.pid, signal.SIGTERM)
    except ProcessLookupError:
        return False
    return True


def kill(process: ProcessIdentity) -> bool:
    """End it at once, with the processes that it started. False when it is not here, or gone."""
    if not is_alive(process) or process.machine != platform.node():
        return False
    try:
        if os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            os.kill(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def is_gone(process: ProcessIdentity) -> bool:
    """Whether it has ended; it is given some seconds."""
    deadline = time.monotonic() + END_SECONDS
    while is_alive(process) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_alive(process)
