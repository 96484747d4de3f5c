"""Many runs record into one SQLite file at once: python -m tests.bench.bench_concurrency.

Eight processes record 12 scalars and 200 pseudo-labels a step of 150 ms while four others ask what
the dashboard asks, every two seconds. Target: nobody is refused, nothing is lost, and recording
holds a training thread up by 2 ms at most in 99 of 100 steps.

What a training thread pays on a machine with fewer cores than runs is mostly its turn at a
processor, so the same pause without recording is measured beside it: `idle` is how late a call
that does nothing comes back.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.api_labels import LabelQuestion, label_page
from app.api_runs import LiveQuestion, overview, run_news
from lab.datasets.records import LabelSource
from lab.store.queries import (
    LabelFilter,
    events,
    find_labels,
    get_run,
    scalar_series,
    step_summaries,
)
from lab.store.recorder import StoreRecorder
from lab.store.runs import attach_datasets, create_run
from lab.store.store import Store
from tests.bench.lines import say
from tests.bench.scale_store import IMAGES_PER_STEP, LABELS_PER_STEP, SCALARS, painted, sayings
from tests.factories import example_config

STEP_SECONDS = 0.15
POLL_SECONDS = 2.0
WARM_UP = 5
"""First steps, in which threads and files come into being."""
EVERY_STEP = 1_000_000


@dataclass(frozen=True)
class Recorded:
    """What one run recorded, and what its training thread paid: seconds per step, each (T,)."""

    run_id: str
    scalars: np.ndarray
    both: np.ndarray
    cpu: np.ndarray
    idle: np.ndarray
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--readers", type=int, default=4)
    parser.add_argument("--steps", type=int, default=200)
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as directory,
        ProcessPoolExecutor(
            asked.writers + asked.readers, mp_context=multiprocessing.get_context("fork")
        ) as pool,
    ):
        root, done = Path(directory) / "store", Path(directory) / "done"
        Store.open(root).close()
        readers = [pool.submit(read, root, done) for _ in range(asked.readers)]
        writers = [pool.submit(record, root, asked.steps, seed) for seed in range(asked.writers)]
        made = [writer.result() for writer in writers]
        done.touch()
        answers = np.concatenate([reader.result() for reader in readers])
        say(f"{asked.writers} runs record {asked.steps} steps each, {asked.readers} readers")
        report(made, answers)
        check(root, [one.run_id for one in made], asked.steps)


def record(root: Path, steps: int, seed: int) -> Recorded:
    """One run of so many steps; the times leave out the first few."""
    train = painted(root / f"of {seed}")
    made = [sayings(image, seed) for image in train.images[:IMAGES_PER_STEP]]
    values = dict.fromkeys(SCALARS, 0.5)
    times = np.empty((4, steps))
    with Store.open(root) as store:
        run_id = create_run(store, example_config(f"run {seed}", "pl_dc", steps))
        attach_datasets(store, run_id, train, train.with_images(()))
        begin = time.perf_counter()
        with StoreRecorder(store, run_id) as recorder:
            for step in range(steps):
                cpu, start = time.thread_time(), time.perf_counter()
                recorder.scalars(step, values)
                middle = time.perf_counter()
                recorder.pseudo_labels(step, lambda: made)
                end, spent = time.perf_counter(), time.thread_time() - cpu
                nothing(made)
                nothing(values)
                times[:, step] = middle - start, end - start, spent, time.perf_counter() - end
                time.sleep(STEP_SECONDS)
    scalars, both, cpu, idle = times[:, WARM_UP:]
    return Recorded(run_id, scalars, both, cpu, idle, time.perf_counter() - begin)


def nothing(_: object) -> None:
    """What a call costs that does nothing."""


def read(root: Path, done: Path) -> np.ndarray:
    """Ask as the pages do until `done` is there: seconds of each round of questions."""
    times: list[float] = []
    while not done.exists():
        begin = time.perf_counter()
        overview(root)
        with Store.open(root, read_only=True) as store:
            for run in overview(root)["runs"][:1]:
                row = get_run(store, run["run_id"])
                run_news(store, row, LiveQuestion())
                label_page(store, row.run_id, LabelQuestion(span=0, sort="mask_quality"))
        times.append(time.perf_counter() - begin)
        time.sleep(POLL_SECONDS)
    return np.array(times)


def report(made: list[Recorded], answers: np.ndarray) -> None:
    for name, what in (
        ("12 scalars", "scalars"),
        ("12 scalars and 200 labels", "both"),
        ("the same, processor time", "cpu"),
        ("calls that do nothing (the machine's own)", "idle"),
    ):
        times = 1e6 * np.concatenate([getattr(one, what) for one in made])
        half, late = np.quantile(times, 0.5), np.quantile(times, 0.99)
        say(f"  {name:<44}p50 {half:8.1f}  p99 {late:8.1f}  max {times.max():10.1f}  us")
    rate = sum(len(one.both) for one in made) * LABELS_PER_STEP / max(one.seconds for one in made)
    say(f"  {'labels a second, all runs':<44}{rate:,.0f}")
    say(f"  {'a reader’s round of questions, ms':<44}p50 {1e3 * np.median(answers):.0f}")


def check(root: Path, run_ids: list[str], steps: int) -> None:
    """Everything is there, once, and no run says that it lost something."""
    with Store.open(root, read_only=True) as store:
        for run_id in run_ids:
            summaries = step_summaries(store, run_id, max_points=EVERY_STEP)
            curves = scalar_series(store, run_id, SCALARS, max_points=EVERY_STEP)
            labels = find_labels(store, run_id, LabelFilter(source=LabelSource.PSEUDO), limit=1)
            assert get_run(store, run_id).status == "finished"
            assert not [event for event in events(store, run_id) if "failed" in event.kind]
            assert [one.candidates for one in summaries] == [LABELS_PER_STEP] * steps
            assert labels.total == LABELS_PER_STEP * steps
            assert all(len(curve.steps) == steps for curve in curves.values())
    say(f"  nothing is lost: {len(run_ids) * steps * LABELS_PER_STEP:,} labels, each once")


if __name__ == "__main__":
    main()
