"""Whether what seglab says of its runs is so: compared with the processes of the machine."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from tests.drill.stage import Stage, demand

PROMISED = 30.0
"""Seconds after which every status has to be true again, whatever happened."""
SLACK = 2.0
"""Asking takes a moment."""
NEED_A_PROCESS = ("running", "stopping")
NEED_NONE = ("queued", "finished", "failed", "stopped", "stale")


def wait_for_truth(stage: Stage) -> float:
    """Wait until all statuses are true; the seconds it took.

    An answer is late only if it was asked for late: on a busy machine a verb starts slowly.
    """
    began = time.monotonic()
    while True:
        asked = time.monotonic() - began
        wrong = untrue(stage.told(), stage)
        if not wrong:
            return time.monotonic() - began
        demand(asked < PROMISED + SLACK, f"asked after {asked:.0f} s: {'; '.join(wrong)}")
        time.sleep(0.3)


def untrue(told: Iterable[Mapping[str, Any]], stage: Stage) -> list[str]:
    """A sentence per run that is not what it is said to be."""
    alive = stage.trainers()
    wrong = []
    for run in told:
        status, lives = run["status"], run["run_id"] in alive
        can_start = lives or stage.worker is not None
        if (
            (status in NEED_A_PROCESS and not lives)
            or (status in NEED_NONE and lives)
            or (status == "starting" and not can_start)
        ):
            has = "has a process" if lives else "has no process"
            wrong.append(f"run {run['run_id']} is said to be {status} and {has}")
    return wrong
