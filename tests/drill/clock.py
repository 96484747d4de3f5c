"""A clock that jumps, for all processes of a store at once (libfaketime)."""

from __future__ import annotations

import random
import time
from pathlib import Path

from tests.drill.recipes import unbroken, write_recipes
from tests.drill.rows import demand_same, soundness
from tests.drill.stage import CHECKOUT, Limits, Skipped, Stage, demand, kill
from tests.drill.truth import PROMISED, SLACK, wait_for_truth

JUMPS = (-3600, 0, -20, 86_400, 86_340, -86_400)
"""The clock's distance from the truth, one after the other, seconds."""
DEADLY = (-3600, 50)
"""Jumps beside a dead run, seconds. When the clock comes to the run's last sign of life again, it
seems to live once more for 5 s: that is an hour later."""
LOOK_SECONDS = 2.5
NOTICED_AFTER = 1
"""Seconds until a process has noticed: reading the file at every look would be all it does."""
SLEEP = """import threading, time

def sleep(seconds):
    threading.Event().wait(seconds)

time.sleep = sleep
"""
LIBRARIES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib*/faketime/libfaketimeMT.so.1")


def set_the_clock(stage: Stage, chance: random.Random, _: Limits) -> str:
    """a clock that jumps back and forth under trainer, worker and app"""
    clock = stage.root.parent / "clock"
    stage.environment = _faked(clock) | {"PYTHONPATH": f"{_mended(clock.parent)}:{CHECKOUT}"}
    _set(clock, 0)
    recipe = write_recipes(stage.root.parent, steps=100)["sim"]
    model = unbroken(stage, recipe)
    stage.start_app()
    _jump_beside_a_living_run(stage, clock)
    run_id = stage.queue(recipe, "timeless")
    gone = [_dies_before(stage, run_id, clock, jump) for jump in DEADLY]
    _set(clock, 0)
    stage.start_worker(1)
    stage.wait_for_status(run_id, "finished")
    soundness(stage.database)
    demand_same(stage.database, run_id, model)
    return (
        f"running at {', '.join(f'{one:+} s' for one in JUMPS)}; killed before jumps of "
        f"{DEADLY[0]:+} and {DEADLY[1]:+} s: stale after {gone[0]:.0f} and {gone[1]:.0f} s; "
        "ended as unbroken"
    )


def _jump_beside_a_living_run(stage: Stage, clock: Path) -> None:
    """A run without an end stays running, whatever the clock says; then it is cancelled."""
    directory = stage.root.parent / "endless"
    directory.mkdir()
    run_id = stage.queue(write_recipes(directory, steps=1_000_000)["sim"], "endless")
    stage.start_worker(1)
    stage.wait_for_step(run_id, 3)
    for jump in JUMPS:
        _set(clock, jump)
        _stays_true(stage, run_id, jump)
    stage.do("jobs", "cancel", run_id)
    stage.wait_for_status(run_id, "stopped")


def _stays_true(stage: Stage, run_id: str, jump: int) -> None:
    """A living run is running, whatever the clock says."""
    end = time.monotonic() + LOOK_SECONDS
    while time.monotonic() < end:
        before = stage.trainers()
        status = stage.run(run_id)["status"]
        if run_id in before and run_id in stage.trainers():
            demand(status == "running", f"clock at {jump:+} s: the living run is {status}")
        time.sleep(0.1)


def _dies_before(stage: Stage, run_id: str, clock: Path, jump: int) -> float:
    """Kill worker and trainer as soon as it trains, then set the clock; seconds until the run is
    said to be gone, and stays so. Then it is resumed."""
    if stage.worker is None:
        stage.start_worker(1)
    stage.wait_for_status(run_id, "running")
    assert stage.worker is not None
    stage.worker.kill()
    stage.worker.wait()
    stage.worker = None
    demand(kill(stage.trainers()[run_id]), "the run ended too early")
    _set(clock, _now_at(clock) + jump)
    took = wait_for_truth(stage)
    end = time.monotonic() + PROMISED + SLACK
    while time.monotonic() < end:
        status = stage.run(run_id)["status"]
        demand(status == "stale", f"clock set by {jump:+} s: the dead run is {status} again")
        time.sleep(0.2)
    stage.do("jobs", "resume", run_id, "--no-worker")
    return took


def _faked(clock: Path) -> dict[str, str]:
    """What makes processes read their clock from a file. Durations are not touched, as when
    somebody sets the clock."""
    found = [path for one in LIBRARIES for path in Path("/").glob(one.lstrip("/"))]
    if not found:
        raise Skipped("libfaketime is not installed (Debian: apt-get install faketime)")
    return {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": str(NOTICED_AFTER),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def _mended(directory: Path) -> Path:
    """Where Python finds a `time.sleep` that works: under libfaketime its own says EINVAL."""
    place = directory / "mended"
    place.mkdir()
    (place / "sitecustomize.py").write_text(SLEEP, encoding="utf-8")
    return place


def _set(clock: Path, seconds: int) -> None:
    new = clock.with_suffix(".new")
    new.write_text(f"{seconds:+d}\n", encoding="utf-8")
    new.replace(clock)
    time.sleep(NOTICED_AFTER)


def _now_at(clock: Path) -> int:
    return int(clock.read_text(encoding="utf-8"))
