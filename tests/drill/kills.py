"""kill -9 of trainers, workers and the app, at moments that nobody chose."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass, field

from lab.store.job_queries import list_jobs
from lab.store.worker_rows import living_workers
from tests.drill.recipes import unbroken, write_recipes
from tests.drill.rows import Witness, demand_same, soundness
from tests.drill.stage import PATIENCE, Limits, Stage, kill, wait_until
from tests.drill.truth import PROMISED, SLACK, wait_for_truth

WAITING = 3
"""So many runs are unfinished at any time: two train, one waits."""
MOMENTS = (0.0, 5.0)
"""Seconds between a round's end and the next kill: a trainer needs about five to start."""
OFTEN = 0.75
"""Where some trainers train and some still start, one that trains is hit so often."""
VICTIMS = ("trainer", "trainer", "trainer", "trainer", "worker", "worker", "app")
GOING = ("starting", "running", "stopping")
ENDED_BADLY = ("failed", "stale")


@dataclass
class Tally:
    """What was killed how often, and how long it took at most until all statuses were true."""

    killed: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    """Seconds."""
    began: float = field(default_factory=time.monotonic)

    def tell(self) -> None:
        """A line after every fifth kill."""
        if self.killed.total() % 5 == 0:
            passed = time.monotonic() - self.began
            print(
                f"  {passed:.0f} s: {dict(self.killed)}, truth in {self.slowest:.1f} s", flush=True
            )


def kill_at_random_moments(stage: Stage, chance: random.Random, limits: Limits) -> str:
    """kill -9 of trainer, worker or app, again and again, under a reading witness"""
    recipes = write_recipes(stage.root.parent)
    models = {name: unbroken(stage, recipe) for name, recipe in recipes.items()}
    runs: dict[str, str] = {}
    stage.start_app()
    _start_worker(stage)
    with Witness(stage.database) as witness:
        tally = Tally()
        deadline = tally.began + 60 * limits.minutes
        while tally.killed.total() < limits.kills and time.monotonic() < deadline:
            _keep_busy(stage, models, runs)
            time.sleep(chance.uniform(*MOMENTS))
            witness.answer()
            tally.killed[_kill_one(stage, chance)] += 1
            witness.answer()
            tally.slowest = max(tally.slowest, _recover(stage))
            soundness(stage.database)
            tally.tell()
        wait_until(lambda: _all_finished(stage), "every run is finished", 2 * PATIENCE)
        witness.answer()
        witness.demand_all()
    soundness(stage.database)
    for run_id, name in runs.items():
        demand_same(stage.database, run_id, models[name])
    return (
        f"{tally.killed.total()} kills {dict(tally.killed)}; {len(runs)} runs ended as unbroken "
        f"ones, {len(witness.seen):,} rows watched in {witness.looks:,} looks, "
        f"statuses true after {tally.slowest:.1f} s at most"
    )


def kill_all_at_once(stage: Stage, chance: random.Random, limits: Limits) -> str:
    """kill -9 of everything at once, as when the power goes"""
    recipe = write_recipes(stage.root.parent)["pl_dc"]
    model = unbroken(stage, recipe)
    run_id = stage.queue(recipe, "dark")
    slowest = 0.0
    times = max(1, limits.kills // 20)
    with Witness(stage.database) as witness:
        for _ in range(times):
            stage.start_app()
            stage.start_worker()
            wait_until(lambda: _goes_on(stage, run_id), "the run goes on")
            time.sleep(chance.uniform(*MOMENTS))
            stage.kill_everything()
            witness.answer()
            soundness(stage.database)
            slowest = max(slowest, wait_for_truth(stage))
        stage.start_worker()
        wait_until(lambda: _all_finished(stage), "the run is finished")
        witness.answer()
        witness.demand_all()
    demand_same(stage.database, run_id, model)
    return f"{times} times; stale after {slowest:.1f} s at most; the run ended as an unbroken one"


def _keep_busy(stage: Stage, models: dict[str, str], runs: dict[str, str]) -> None:
    """Launch new runs from the app, each recipe in its turn, until enough are not finished."""
    going = [run for run in stage.runs() if run["status"] != "finished"]
    for _ in range(WAITING - len(going)):
        name = list(models)[len(runs) % len(models)]
        order = {"run": models[name], "changes": {"name": f"{name} {len(runs)}"}}
        runs[stage.order("launch", order)["run_id"]] = name


def _kill_one(stage: Stage, chance: random.Random) -> str:
    """Kill one of the three kinds; which, and of a trainer what it was doing."""
    victim = chance.choice(VICTIMS)
    if victim == "trainer":
        running = {run["run_id"] for run in stage.runs() if run["status"] == "running"}
        alive = stage.trainers()
        training = sorted(alive.keys() & running)
        pool = training if training and chance.random() < OFTEN else sorted(alive)
        run_id = chance.choice(pool) if pool else None
        if run_id is not None and kill(alive[run_id]):
            return "training" if run_id in training else "starting"
        victim = "worker"
    child = stage.worker if victim == "worker" else stage.app
    assert child is not None
    child.kill()
    child.wait()
    return victim


def _recover(stage: Stage) -> float:
    """Statuses are true, then what died is started again; seconds until they were."""
    if stage.worker is not None and stage.worker.poll() is not None:
        stage.worker = None
    if stage.app is not None and stage.app.poll() is not None:
        stage.app = None
    took = wait_for_truth(stage)
    if stage.app is None:
        stage.start_app()
    if stage.worker is None:
        _start_worker(stage)
    _retry_failed(stage)
    return took


def _retry_failed(stage: Stage) -> None:
    """By the app while it lives, by the verb otherwise: both are people's."""
    failed = [run["run_id"] for run in stage.runs() if run["status"] in ENDED_BADLY]
    if failed and stage.app is not None and stage.worker is not None:
        stage.order("acts", {"act": "retry", "runs": failed})
    elif failed:
        stage.do("jobs", "retry", *failed, "--no-worker")


def _goes_on(stage: Stage, run_id: str) -> bool:
    _retry_failed(stage)
    return stage.run(run_id)["status"] in ("running", "finished")


def _start_worker(stage: Stage) -> None:
    """Start one; as soon as it lives it has to look after all jobs, also after those of a dead one.

    How long a process takes to start is the machine's business."""
    stage.start_worker()
    wait_until(lambda: _living_workers(stage), "the worker lives")
    late = "the living worker has every job"
    wait_until(lambda: _holders(stage) <= _living_workers(stage), late, PROMISED + SLACK)


def _living_workers(stage: Stage) -> set[int | None]:
    with stage.reading() as store:
        return {one.worker for one in living_workers(store)}


def _holders(stage: Stage) -> set[int | None]:
    """The workers that hold the jobs that are going."""
    with stage.reading() as store:
        return {job.worker for job in list_jobs(store) if job.state in GOING}


def _all_finished(stage: Stage) -> bool:
    _retry_failed(stage)
    return all(run["status"] == "finished" for run in stage.runs())
