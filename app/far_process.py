"""A run on a cluster, followed from here as if it trained in the foreground."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from lab.jobs.control import cancel
from lab.jobs.log import log_file
from lab.jobs.ray_cluster import Cluster
from lab.jobs.ray_jobs import send_run, settle_job
from lab.store.queries import get_run
from lab.store.store import Store

LOOK_SECONDS = 1.0


def train_on_ray(store: Store, cluster: Cluster, run_id: str, tell: Callable[[str], object]) -> int:
    """Send a new run, or one that has ended, and follow its log to the end; the exit code.

    Ctrl-C asks it to save a checkpoint and stop, a second one to be killed.
    """
    action = None if get_run(store, run_id).status == "queued" else "resume"
    job = send_run(store, cluster, run_id, action=action)
    tell(f"sent to Ray at {cluster.address} as {job.name}")
    shown = _tell_more(log_file(store, run_id), 0, lambda _: None)
    has_ended = False
    while not has_ended:
        try:
            time.sleep(LOOK_SECONDS)
            has_ended = settle_job(store, cluster, job)
        except KeyboardInterrupt:
            tell(cancel(store, run_id))
        shown = _tell_more(log_file(store, run_id), shown, tell)
    row = get_run(store, run_id)
    if row.status == "failed":
        tell(f"failed: {row.error}")
    return 1 if row.status in ("failed", "stale") else 0


def _tell_more(log: Path, shown: int, tell: Callable[[str], object]) -> int:
    """Tell the lines behind so many bytes; how many there are now."""
    if not log.is_file():
        return shown
    with log.open("rb") as file:
        file.seek(shown)
        for line in file.read().decode("utf-8", errors="replace").splitlines():
            tell(line)
        return file.tell()
