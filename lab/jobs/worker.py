"""A worker: takes runs out of the queue and starts each as a process of its own.

python -m lab.jobs.worker --store ROOT [--cpu-slots N] [--idle-seconds S] [--only-one]

The processes do not need it: killed, it leaves them running, and the next worker of this machine
adopts them. Any number of workers may run; a run is started once, a slot holds one run.
"""

from __future__ import annotations

import argparse
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.exc import DatabaseError

from lab.jobs.devices import Slot, default_cpu_slots, find_gpus, slots_of
from lab.jobs.starting import ENGINE, ask_to_stop, kill, start_engine
from lab.store.errors import StoreError
from lab.store.job_queue import (
    HeldJob,
    adopt,
    claim_next,
    close_job,
    held_jobs,
    mark_started,
    needs_waiting,
    recover_claim,
)
from lab.store.processes import identity_of, is_alive, this_process
from lab.store.store import Store
from lab.store.worker_rows import living_workers, register_worker, worker_beats, worker_leaves

POLL_SECONDS = 0.5
BEAT_SECONDS = 5.0
TROUBLE_SECONDS = 5.0
"""Pause after the store did not answer."""

log = logging.getLogger("seglab.jobs")


class Worker:
    """Starts queued runs in its slots, and looks after them. `turn` does what is due now."""

    def __init__(
        self,
        store: Store,
        slots: Sequence[Slot],
        *,
        entry: Sequence[str] = ENGINE,
        only_one: bool = False,
    ) -> None:
        """`entry`: the command of the engine; `--store`, `--run-id` and `--attempt` follow it.

        Raises:
            StoreError: with `only_one`, when this machine has a living worker already.
        """
        self._store = store
        self._slots = {slot.name: slot for slot in slots}
        self._entry = entry
        self._me = this_process()
        number = register_worker(store, self._me, list(self._slots), only_one=only_one)
        if number is None:
            raise StoreError(f"{store.name}: a worker of this machine lives already")
        self.number = number
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._signalled: dict[tuple[str, int], int] = {}
        """(run id, attempt) -> cancels that its process has been told of."""
        self._beat_due = time.monotonic() + BEAT_SECONDS

    def turn(self) -> bool:
        """Settle what has ended, adopt what is left alone, start what fits; whether it was busy."""
        if time.monotonic() >= self._beat_due:
            worker_beats(self._store, self.number)
            self._beat_due = time.monotonic() + BEAT_SECONDS
        held = held_jobs(self._store, self._me.machine)
        going = [job for job in held if job.worker == self.number and self._look_after(job)]
        self._adopt([job for job in held if job.worker != self.number])
        started = self._fill({job.slot for job in going})
        return bool(going or started)

    def leave(self, *, only_if_idle: bool = False) -> bool:
        """Stop being a worker; the runs go on. With `only_if_idle`, False while one waits."""
        serves = {need for slot in self._slots.values() for need in slot.serves}
        return worker_leaves(self._store, self.number, unless_needs=serves if only_if_idle else ())

    def _look_after(self, job: HeldJob) -> bool:
        """Whether the job still goes on; passes a cancel on, and closes what has ended."""
        child = self._children.get(job.run_id)
        if job.stage == "claimed":  # the store did not answer in the middle of a start
            self._finish_start(job, child)
            return True
        code = child.poll() if child is not None else None
        goes_on = code is None if child is not None else is_alive(job.process)
        if goes_on:
            self._pass_on(job)
            return True
        self._children.pop(job.run_id, None)
        close_job(self._store, job, code)
        log.info("run %s: ended%s", job.run_id, "" if code is None else f", exit code {code}")
        return False

    def _finish_start(self, job: HeldJob, child: subprocess.Popen[bytes] | None) -> None:
        if child is None:
            recover_claim(self._store, job, self.number)
        else:
            mark_started(self._store, job, identity_of(child.pid))

    def _pass_on(self, job: HeldJob) -> None:
        told = self._signalled.get((job.run_id, job.attempt), 0)
        if job.cancels <= told or job.stage != "started":
            return
        self._signalled[job.run_id, job.attempt] = job.cancels
        log.info("run %s: %s", job.run_id, "killed" if job.cancels > 1 else "asked to stop")
        (kill if job.cancels > 1 else ask_to_stop)(job.process)

    def _adopt(self, others: Sequence[HeldJob]) -> None:
        """Take over the jobs of workers that are gone."""
        if not others:
            return
        living = {row.worker for row in living_workers(self._store)}
        for job in others:
            if job.worker in living:
                continue
            log.info("run %s: adopted from worker %d, which is gone", job.run_id, job.worker)
            if job.stage == "claimed":
                recover_claim(self._store, job, self.number)
            else:
                adopt(self._store, job, self.number)

    def _fill(self, busy: set[str]) -> int:
        """Start waiting runs in free slots; how many."""
        started = 0
        waiting = needs_waiting(self._store)
        for slot in self._slots.values():
            if slot.name in busy or waiting.isdisjoint(slot.serves):
                continue
            job = claim_next(self._store, self.number, self._me, slot.name, slot.serves)
            if job is not None:
                self._start(job, slot)
                started += 1
        return started

    def _start(self, job: HeldJob, slot: Slot) -> None:
        try:
            child = start_engine(self._store, job, slot, self._entry)
        except OSError as error:
            log.warning("run %s: cannot be started: %s", job.run_id, error)
            close_job(self._store, job, None, f"its process could not be started: {error}")
            return
        self._children[job.run_id] = child
        self._pass_on(mark_started(self._store, job, identity_of(child.pid)))
        log.info("run %s: started on %s as process %d", job.run_id, slot.name, child.pid)


def work(worker: Worker, *, idle_seconds: float | None, leaving: threading.Event) -> None:
    """Turn after turn until told to leave, or until nothing was to do for `idle_seconds`."""
    last_busy = time.monotonic()
    while not leaving.wait(POLL_SECONDS):
        try:
            if worker.turn():
                last_busy = time.monotonic()
            idle_for = time.monotonic() - last_busy
            if idle_seconds is not None and idle_for >= idle_seconds:
                if worker.leave(only_if_idle=True):
                    log.info("nothing to do for %.0f s: left", idle_for)
                    return
                last_busy = time.monotonic()
        except DatabaseError as error:
            log.warning("the store does not answer: %s", error.orig)
            leaving.wait(TROUBLE_SECONDS)
    worker.leave()
    log.info("left; runs that were started go on")


def run_worker(
    store: Store, *, cpu_slots: int | None, idle_seconds: float | None, only_one: bool = False
) -> None:
    """Be a worker of this machine until Ctrl-C, SIGTERM or idleness; log to stderr.

    Raises:
        StoreError: with `only_one`, when there is one already.
    """
    gpus = find_gpus()
    slots = slots_of(gpus, default_cpu_slots(gpus) if cpu_slots is None else cpu_slots)
    worker = Worker(store, slots, only_one=only_one)
    leaving = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: leaving.set())
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    log.info("worker %d with slots %s", worker.number, ", ".join(slot.name for slot in slots))
    work(worker, idle_seconds=idle_seconds, leaving=leaving)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 = left, 2 = no store, or no need for another worker."""
    parser = argparse.ArgumentParser(prog="python -m lab.jobs.worker", description=__doc__)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--cpu-slots", type=int, help="runs without a GPU at a time")
    parser.add_argument("--idle-seconds", type=float, help="end after so long without work")
    parser.add_argument("--only-one", action="store_true", help="end if this machine has a worker")
    chosen = parser.parse_args(arguments)
    try:
        with Store.open(chosen.store) as store:
            run_worker(
                store,
                cpu_slots=chosen.cpu_slots,
                idle_seconds=chosen.idle_seconds,
                only_one=chosen.only_one,
            )
    except StoreError as error:
        log.error("%s", error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
