"""A disk that is full, and a store that nobody may write to any more."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.drill.recipes import unbroken, write_recipes
from tests.drill.rows import demand_same, soundness
from tests.drill.stage import Limits, Skipped, Stage, demand, wait_until
from tests.drill.truth import wait_for_truth

DISK_BYTES = 96 << 20
LEFT = (0, 200_000, 6_000_000)
"""Bytes that stay free: for nothing, for a few rows, for rows but no checkpoint."""
POWERLESS = ("setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override")
"""What starts a program of root's that may do with files what their modes say, as anyone."""


def fill_the_disk(stage: Stage, _: random.Random, __: Limits) -> str:
    """a disk that fills up while a run trains, three times"""
    recipe = write_recipes(stage.root.parent)["pl_dc"]
    with _small_disk(stage.root):
        model = unbroken(stage, recipe)
        run_id = stage.queue(recipe, "cramped")
        stage.start_worker(1)
        said = [_fill_once(stage, run_id, left) for left in LEFT]
        stage.wait_for_status(run_id, "finished")
        soundness(stage.database)
        demand_same(stage.database, run_id, model)
        stage.kill_everything()
    return f"ended as unbroken; said: {' / '.join(said)}"


def _fill_once(stage: Stage, run_id: str, left: int) -> str:
    """Leave so many bytes; the run stops and says why; make room and resume. What it said."""
    before = len(stage.checkpoints(run_id))
    wait_until(
        lambda: run_id in stage.trainers() and len(stage.checkpoints(run_id)) >= max(1, before),
        "the run trains and has saved",
    )
    wait_until(lambda: stage.run(run_id)["status"] == "running", "it is running")
    filler = stage.root / "filler"
    _fill(filler, left)
    wait_until(lambda: run_id not in stage.trainers(), "the trainer stops", 120)
    wait_for_truth(stage)
    run = stage.run(run_id)
    demand(run["status"] == "failed", f"on a full disk the run is {run['status']}: {run['error']}")
    said = str(run["error"]).splitlines()[0]
    demand("full" in said or "no space" in said.lower(), f"it does not say why: {said}")
    refused = stage.verb("jobs", "resume", run_id, "--no-worker")
    filler.unlink()
    soundness(stage.database)
    if refused.code != 0:
        sentence = refused.err.strip()
        demand("Traceback" not in sentence and "full" in sentence, f"resume says: {sentence}")
        stage.do("jobs", "resume", run_id, "--no-worker")
    wait_until(lambda: _goes_on(stage, run_id), "it goes on")
    return said[:160]


def _goes_on(stage: Stage, run_id: str) -> bool:
    run = stage.run(run_id)
    if run["status"] == "failed":  # the disk was still full when it was started
        stage.do("jobs", "resume", run_id, "--no-worker")
    return run["status"] in ("running", "finished") and stage.log(run_id).count("training from") > 1


def _fill(filler: Path, left: int) -> None:
    """Write zeros until the disk is full, then give so many bytes back."""
    with filler.open("wb") as file:
        try:
            while True:
                os.write(file.fileno(), bytes(65_536))
        except OSError:
            size = file.tell()
    if left:
        os.truncate(filler, max(0, size - left))


@contextmanager
def _small_disk(root: Path) -> Iterator[None]:
    if os.geteuid() != 0:
        raise Skipped("only root may mount a small disk (tmpfs)")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(root)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Skipped(f"no small disk can be mounted: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(root)], check=False)


def forbid_writing(stage: Stage, _: random.Random, __: Limits) -> str:
    """store.db becomes read-only while a run trains, then nobody may start another"""
    recipe = write_recipes(stage.root.parent)["pl_dc"]
    _give_up_powers(stage)
    model = unbroken(stage, recipe)
    run_id = stage.queue(recipe, "going")
    stage.start_app()
    stage.start_worker(1)
    stage.wait_for_step(run_id, 10)
    stage.database.chmod(0o444)
    refused = stage.verb("queue", str(recipe), "--no-worker")
    demand(refused.code == 2, f"queue on a read-only store: exit code {refused.code}")
    demand("Traceback" not in refused.err, refused.err)
    demand(f"{stage.database}: " in refused.err and "read-only" in refused.err, refused.err)
    wait_until(lambda: run_id not in stage.trainers(), "the run ends, one way or the other")
    wait_for_truth(stage)
    demand(stage.verb("runs").code == 0, "a read-only store cannot be read")
    went = f"the run that trained {stage.run(run_id)['status']}"
    soundness(stage.database)
    stage.database.chmod(0o644)
    if stage.run(run_id)["status"] != "finished":
        stage.do("jobs", "resume", run_id, "--no-worker")
        stage.wait_for_status(run_id, "finished")
    stage.kill_everything()
    demand_same(stage.database, run_id, model)
    return f"{went}, ended as unbroken; starting another: {refused.err.strip().split(': ', 2)[2]}"


def _give_up_powers(stage: Stage) -> None:
    """Root may write to any file: then the processes start without that right."""
    if os.geteuid() != 0:
        return
    if shutil.which(POWERLESS[0]) is None:
        raise Skipped(f"root may write anywhere, and {POWERLESS[0]} (util-linux) is not installed")
    stage.through = POWERLESS
