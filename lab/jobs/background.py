"""A worker when one is needed: started in the background, ending by itself."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

from lab.store.store import Store
from lab.store.worker_rows import living_workers

IDLE_SECONDS = 60.0
"""How long a worker that nobody started by hand waits for more."""
WORKER = (sys.executable, "-m", "lab.jobs.worker")


def ensure_worker(store: Store, *, idle_seconds: float = IDLE_SECONDS) -> int | None:
    """Start a worker unless this machine has one; its process id, None when there was one.

    What it says goes to `worker.log` in the store's directory. Of several that are started at the
    same time all but one end at once.
    """
    here = platform.node()
    if any(row.process.machine == here for row in living_workers(store)):
        return None
    with (store.root / "worker.log").open("ab") as output:
        process = subprocess.Popen(
            [
                *WORKER,
                "--store",
                str(store.root),
                "--only-one",
                "--idle-seconds",
                str(idle_seconds),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **store.environment},
        )
    return process.pid
