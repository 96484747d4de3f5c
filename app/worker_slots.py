"""Several runs side by side: at most so many engine processes at once, all watched."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager

from app.engine_process import run_command
from lab.store.job_queue import end_if_unfinished
from lab.store.queries import RunRow, get_run
from lab.store.run_state import verdict
from lab.store.store import Store

Look = Callable[[Mapping[str, RunRow]], None]
"""Told the rows of all runs, again and again, and once more at the end."""
Watch = AbstractContextManager[Look]
Then = Callable[[RunRow], Sequence[str]]
"""Told the row of a run that has ended; answers with runs that can start now."""
POLL_SECONDS = 0.5
STOP_SECONDS = 60.0


def nothing_more(_: RunRow) -> Sequence[str]:
    """Nothing waits for the end of a run."""
    return ()


def run_in_slots(
    store: Store,
    run_ids: Sequence[str],
    *,
    slots: int,
    look: Look,
    then: Then = nothing_more,
    keep_going: bool = False,
) -> dict[str, int]:
    """Train queued runs, `slots` at a time, in order; exit codes by run id.

    What a process prints goes to `output.txt` in its run directory. Ctrl-C stops all of them
    (each saves a checkpoint) and is raised again.

    Args:
        then: which queued runs come last in the line because one has ended.
        keep_going: without it, no further run is started after the first failure.
    """
    waiting = list(run_ids)
    rows = {run_id: get_run(store, run_id) for run_id in run_ids}
    running: dict[str, subprocess.Popen[bytes]] = {}
    codes: dict[str, int] = {}
    try:
        while running or (waiting and (keep_going or not any(codes.values()))):
            while waiting and len(running) < slots and (keep_going or not any(codes.values())):
                running[waiting[0]] = _start(store, waiting[0])
                del waiting[0]
            time.sleep(POLL_SECONDS)
            ended = [one for one, process in running.items() if process.poll() is not None]
            for run_id in ended:
                _leave_word(store, run_id, running[run_id], asked=False)
            rows |= {run_id: get_run(store, run_id) for run_id in running}
            for run_id in ended:
                codes[run_id] = running.pop(run_id).returncode
                more = then(rows[run_id])
                rows |= {one: get_run(store, one) for one in more}
                waiting += more
            look(rows)
    except BaseException:
        _stop(running.values())
        for run_id, process in running.items():
            _leave_word(store, run_id, process, asked=True)
        raise
    look(rows)
    return codes


def _start(store: Store, run_id: str) -> subprocess.Popen[bytes]:
    directory = store.run_directory(run_id)
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "output.txt").open("ab") as output:
        return subprocess.Popen(
            run_command(store.root, run_id),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _leave_word(
    store: Store, run_id: str, process: subprocess.Popen[bytes], *, asked: bool
) -> None:
    """Say how a run ended whose process could not; one that never began still waits."""
    if get_run(store, run_id).status != "queued":
        end_if_unfinished(
            store, run_id, *verdict(process.returncode, began=True, cancels=int(asked))
        )


def _stop(processes: Collection[subprocess.Popen[bytes]]) -> None:
    """Ask all to save and stop; end those that do not within a minute."""
    for process in processes:
        process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    for process in processes:
        try:
            process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
