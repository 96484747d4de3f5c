"""Runs on a Ray cluster: the same rows, states and files; Ray queues and starts them.

Every node has to see the store: its directory under the same path, and where several machines
write, its rows on a server (SEGLAB_STORE). The engine is started by this interpreter's path.
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from lab.config import RunConfig, parse_stored_config
from lab.jobs.devices import need_of
from lab.jobs.forks import take_over_checkpoint
from lab.jobs.ray_cluster import Cluster, RayUnavailable
from lab.jobs.starting import ENGINE, engine_command, is_gone, kill
from lab.store.errors import ActionRefused
from lab.store.job_queue import count_cancel, enqueue, process_of
from lab.store.queries import get_run
from lab.store.run_state import Action, verdict
from lab.store.sent_jobs import SentJob, close_sent, sent_jobs
from lab.store.store import Store

log = logging.getLogger("seglab.jobs")


def send_run(
    store: Store,
    cluster: Cluster,
    run_id: str,
    *,
    action: Action | None = None,
    directory: Path | None = None,
    entry: Sequence[str] = ENGINE,
) -> SentJob:
    """Send a run that was written, or ("resume", "retry") one that has ended, to the cluster.

    Raises:
        ActionRefused: its state does not allow it, or it waits somewhere already.
        ConfigError: no cluster can give it the device it asks for.
        RayUnavailable: the cluster did not take it; the run has failed then, and can be retried.
    """
    config = parse_stored_config(get_run(store, run_id).config, run_id)
    cpus, gpus = resources_of(config, cluster)
    where = directory or Path.cwd()
    needs = "cuda" if gpus else "cpu"
    enqueue(store, run_id, needs=needs, directory=where, action=action, sent_to=cluster.address)
    (job,) = sent_jobs(store, run_id)
    try:
        store.run_directory(run_id).mkdir(parents=True, exist_ok=True)
        take_over_checkpoint(store, run_id)
        command = shlex.join(engine_command(entry, store.root, run_id, job.attempt))
        whole = f"cd {shlex.quote(str(where))} && exec {command}"
        cluster.submit(job.name, whole, store.environment, cpus, gpus)
    except (RayUnavailable, OSError) as error:
        close_sent(store, job, "failed", f"could not be sent to Ray: {error}", None)
        raise
    return job


def resources_of(config: RunConfig, cluster: Cluster) -> tuple[int, int]:
    """(CPUs, GPUs) that Ray sets aside for a run: a GPU for each of its processes, if it wants any.

    "auto" = GPUs where the cluster has some.
    """
    schedule = config.schedule
    if schedule.processes == 1:
        need_of(config)
    wants = schedule.device == "cuda" or (schedule.device == "auto" and cluster.has_gpus())
    return schedule.num_threads * schedule.processes, schedule.processes if wants else 0


def cancel_sent(
    store: Store, job: SentJob, *, at_once: bool = False
) -> Literal["taken out of the queue", "asked to stop", "killed"]:
    """Ray takes it out of its queue, or sends SIGTERM: it saves a checkpoint and stops.

    Asked again, or `at_once`, it is killed if it runs on this machine; on others Ray does so after
    ten minutes.

    Raises:
        ActionRefused: it shall be killed and runs elsewhere.
    """
    cluster = Cluster.connect(job.address)
    times = count_cancel(store, job.run_id, 2 if at_once else 1)
    if times > 1:
        process = process_of(store, job.run_id)
        if process is not None and kill(process) and is_gone(process):
            close_sent(store, job, "stopped", "killed on request", None)
            return "killed"
    cluster.stop(job.name)
    if not job.began:  # Ray stops no job that waits for resources; its attempt is over for us
        close_sent(store, job, "stopped", "taken out of the queue", None)
        return "taken out of the queue"
    settle_job(store, cluster, job)
    if times > 1:
        raise ActionRefused(
            f"run {job.run_id}: runs on another machine; Ray kills it there ten minutes after it "
            "was first asked to stop"
        )
    return "asked to stop"


def settle(store: Store) -> None:
    """Let the store know which sent runs have ended without a word; silent without a cluster."""
    clusters: dict[str, Cluster | None] = {}
    for job in sent_jobs(store):
        if job.address not in clusters:
            clusters[job.address] = _try_connect(job.address)
        cluster = clusters[job.address]
        if cluster is not None:
            settle_job(store, cluster, job)


def settle_job(store: Store, cluster: Cluster, job: SentJob) -> bool:
    """Whether the job has ended; if so the store knows afterwards."""
    (job,) = sent_jobs(store, job.run_id) or [job]
    seen = cluster.look(job.name)
    if seen is None:
        reason = f"the Ray cluster at {job.address} does not know its job any more"
        close_sent(store, job, "failed", reason, None)
        return True
    if not seen.has_ended:
        return False
    status, reason = verdict(seen.exit_code, began=job.began, cancels=job.cancels)
    if seen.status == "FAILED" and seen.exit_code is None and not job.cancels:
        reason = f"Ray: {seen.message.splitlines()[0] if seen.message else 'its job failed'}"
    if seen.status == "STOPPED" and not job.cancels:
        status, reason = "stopped", "stopped by Ray"
    close_sent(store, job, status, reason, seen.exit_code)
    return True


def log_of(job: SentJob) -> str:
    """What its process has printed, from Ray."""
    return Cluster.connect(job.address).log(job.name)


def _try_connect(address: str) -> Cluster | None:
    try:
        return Cluster.connect(address)
    except RayUnavailable as error:
        log.warning("%s", error)
        return None
