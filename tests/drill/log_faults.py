"""The write-ahead log of a store that everybody has left at once: damaged in every way."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.drill.recipes import unbroken, write_recipes
from tests.drill.rows import demand_same, soundness
from tests.drill.stage import Limits, Stage, demand
from tests.drill.truth import wait_for_truth

STEPS = 60
Damage = Callable[[Path, random.Random], None]
"""What happens to store.db: the files beside it are changed."""


def damage_the_log(stage: Stage, chance: random.Random, _: Limits) -> str:
    """store.db-wal with garbage, cut off or gone, store.db-shm gone or garbage"""
    recipe = write_recipes(stage.root.parent, steps=STEPS)["pl_dc"]
    model = unbroken(stage, recipe)
    run_id = stage.queue(recipe, "in the log")
    stage.start_worker(1)
    stage.wait_for_step(run_id, chance.randrange(25, 40))
    stage.kill_everything()
    demand(_log(stage.database).stat().st_size > 0, "nothing was in the log")
    kept = stage.root.with_name("kept")
    shutil.copytree(stage.root, kept)
    told = [_play(stage, kept, damage, run_id, model, chance) for damage in DAMAGES]
    shutil.rmtree(kept)
    return "; ".join(told)


def _play(
    stage: Stage, kept: Path, damage: Damage, run_id: str, model: str, chance: random.Random
) -> str:
    """Put the store back as it was left, damage it, look at it, resume; what came of it."""
    shutil.rmtree(stage.root)
    shutil.copytree(kept, stage.root)
    damage(stage.database, chance)
    name = damage.__name__.replace("_", " ")
    soundness(stage.database)
    wait_for_truth(stage)
    if stage.run(run_id)["status"] != "queued":  # all that came after may have been in the log
        stage.do("jobs", "retry", run_id, "--no-worker")
    stage.start_worker(1)
    stage.wait_for_status(run_id, "finished")
    stage.kill_everything()
    soundness(stage.database)
    demand_same(stage.database, run_id, model)
    began_at = stage.log(run_id).rsplit("training from step ", 1)[1].split()[0]
    print(f"  {name}: on from step {began_at}", flush=True)
    return f"{name}: on from step {began_at}"


def garbage_in_the_middle(database: Path, chance: random.Random) -> None:
    log = _log(database)
    content = bytearray(log.read_bytes())
    at = chance.randrange(len(content) // 4, 3 * len(content) // 4)
    content[at : at + 512] = chance.randbytes(512)
    log.write_bytes(content[: log.stat().st_size])


def garbage_at_the_front(database: Path, chance: random.Random) -> None:
    content = _log(database).read_bytes()
    _log(database).write_bytes(chance.randbytes(32) + content[32:])


def log_cut_off(database: Path, chance: random.Random) -> None:
    content = _log(database).read_bytes()
    _log(database).write_bytes(content[: chance.randrange(1, len(content))])


def log_gone(database: Path, _: random.Random) -> None:
    _log(database).unlink()


def index_gone(database: Path, _: random.Random) -> None:
    _index(database).unlink()


def garbage_in_the_index(database: Path, chance: random.Random) -> None:
    _index(database).write_bytes(chance.randbytes(_index(database).stat().st_size))


DAMAGES: tuple[Damage, ...] = (
    garbage_in_the_middle,
    garbage_at_the_front,
    log_cut_off,
    log_gone,
    index_gone,
    garbage_in_the_index,
)


def _log(database: Path) -> Path:
    return database.with_name(f"{database.name}-wal")


def _index(database: Path) -> Path:
    return database.with_name(f"{database.name}-shm")
