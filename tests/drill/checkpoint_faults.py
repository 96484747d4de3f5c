"""Checkpoints: a stop while one is written, and files that are not what they were."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.drill.recipes import unbroken, write_recipes
from tests.drill.rows import demand_same, soundness
from tests.drill.stage import PATIENCE, Fault, Limits, Stage, demand, kill, wait_until

STOPS = 4
STEPS = 200
"""Enough for four interruptions: a machine that is busy looks late."""
Damage = Callable[[Path, random.Random], None]


def stop_while_saving(stage: Stage, chance: random.Random, _: Limits) -> str:
    """SIGTERM while a checkpoint is being written"""
    recipe = write_recipes(stage.root.parent)["sim"]
    model = unbroken(stage, recipe)
    run_id = stage.queue(recipe, "stopped")
    stage.start_worker(1)
    hits = 0
    for number in range(STOPS):
        hits += _stop_in_a_save(stage, run_id, after=chance.randrange(1, 4))
        stage.wait_for_status(run_id, "stopped")
        saved = stage.checkpoints(run_id)[-1]
        done = stage.run(run_id)["done"]
        demand(saved.name == f"step-{done:08d}.pt", f"stop {number}: {done} steps, {saved.name}")
        demand(not list(saved.parent.glob("*.tmp")), f"stop {number}: a temporary file is left")
        soundness(stage.database)
        stage.do("jobs", "resume", run_id, "--no-worker")
    stage.wait_for_status(run_id, "finished")
    demand_same(stage.database, run_id, model)
    return f"{hits} of {STOPS} while the file was open; resumed each time, ended as unbroken"


def _stop_in_a_save(stage: Stage, run_id: str, after: int) -> bool:
    """SIGTERM as soon as a temporary file is there, for the so-manieth time; whether it still was
    when the signal had been sent."""
    wait_until(lambda: run_id in stage.trainers(), "the trainer starts")
    trainer = stage.trainers()[run_id]
    directory = stage.root / "runs" / run_id / "checkpoints"
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        opened = next(iter(directory.glob("*.tmp")), None)
        if opened is None:
            time.sleep(0.001)
            continue
        after -= 1
        if after <= 0:
            kill(trainer, signal.SIGTERM)
            return opened.exists()
        while opened.exists():
            time.sleep(0.001)
    raise Fault("no checkpoint was written")


def damage_checkpoints(stage: Stage, chance: random.Random, _: Limits) -> str:
    """checkpoints that are cut off, emptied or changed in the middle"""
    recipe = write_recipes(stage.root.parent, steps=STEPS)["sim"]
    model = unbroken(stage, recipe)
    run_id = stage.queue(recipe, "damaged")
    stage.start_worker(1)
    moment = 0.0
    for damage in (cut_off, emptied, changed):
        _wait_for_two_since(stage, run_id, moment)
        began_at = _resume_after(stage, run_id, damage, chance, newest_only=True)
        moment = time.time()  # what was damaged is older, though it was written to
        demand(began_at > 0, f"{damage.__name__}: the older checkpoint was not used")
    _wait_for_two_since(stage, run_id, moment)
    began_at = _resume_after(stage, run_id, cut_off, chance, newest_only=False)
    demand(began_at == 0, "without any checkpoint the run begins again")
    stage.wait_for_status(run_id, "finished")
    demand_same(stage.database, run_id, model)
    soundness(stage.database)
    said = _fork_of_a_damaged_one(stage, run_id, chance)
    return f"older ones used, then none; ended as unbroken; a fork says: {said}"


def cut_off(file: Path, chance: random.Random) -> None:
    file.write_bytes(file.read_bytes()[: chance.randrange(1, file.stat().st_size)])


def emptied(file: Path, _: random.Random) -> None:
    file.write_bytes(b"")


def changed(file: Path, chance: random.Random) -> None:
    """64 bytes of a large tensor."""
    content = bytearray(file.read_bytes())
    at = chance.randrange(len(content) // 4, 3 * len(content) // 4)
    content[at : at + 64] = bytes(byte ^ 0x5A for byte in content[at : at + 64])
    file.write_bytes(content)


def _wait_for_two_since(stage: Stage, run_id: str, moment: float) -> None:
    """Until it has two whole checkpoints, the newer written after the moment."""

    def are_there() -> bool:
        files = stage.checkpoints(run_id)
        return len(files) > 1 and files[-1].stat().st_mtime > moment

    wait_until(are_there, f"run {run_id} saves two checkpoints")


def _resume_after(
    stage: Stage, run_id: str, damage: Damage, chance: random.Random, *, newest_only: bool
) -> int:
    """Kill the trainer, damage its files, resume: the step from which it goes on."""
    trainer = stage.trainers().get(run_id)
    demand(trainer is not None and kill(trainer), f"run {run_id} ended too early")
    stage.wait_for_status(run_id, "failed")
    files = stage.checkpoints(run_id)
    doomed = files[-1:] if newest_only else files
    for file in doomed:
        damage(file, chance)
    before = stage.log(run_id).count("training from step")
    stage.do("jobs", "resume", run_id, "--no-worker")
    wait_until(lambda: _begins_again(stage, run_id, before), "the run goes on")
    for file in doomed:
        demand(file.name in stage.log(run_id), f"the log does not name {file.name}")
    return int(stage.log(run_id).rsplit("training from step ", 1)[1].split()[0])


def _begins_again(stage: Stage, run_id: str, before: int) -> bool:
    """Whether it has begun to train more often than before; a fault when it ends instead."""
    run = stage.run(run_id)
    demand(run["status"] != "failed", f"the resumed run failed: {run['error']}")
    return stage.log(run_id).count("training from step") > before


def _fork_of_a_damaged_one(stage: Stage, run_id: str, chance: random.Random) -> str:
    """What a run says that has to go on from a checkpoint that is cut off."""
    step = STEPS - 5
    cut_off(stage.checkpoints(run_id)[-2], chance)
    forked = stage.ask("queue", "--fork", f"{run_id}@{step}", "--no-worker")["run_id"]
    stage.wait_for_status(forked, "failed")
    said = str(stage.run(forked)["error"])
    demand("fork it again" in said, f"a fork of a damaged checkpoint says: {said}")
    return said.partition(": ")[2]
