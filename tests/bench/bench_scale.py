"""The store and the dashboard over ten million labels: python -m tests.bench.bench_scale [LABELS].

Targets: a page of the worst labels of a class in 20 ms, any question of a page in 300 ms, the first
page 4 s after the process starts, a redraw while dragging in 16 ms, memory that stays flat. Wall
time is what a user waits; processor time, beside it, is what is left of it on an idle machine.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx
import numpy as np

from app.candidates import truth_numbers
from lab.analysis.what_if import IntegralHistogram
from lab.store.queries import (
    LabelFilter,
    find_labels,
    get_run,
    label_columns,
    label_steps,
    list_runs,
    store_sizes,
)
from lab.store.recorder import StoreRecorder
from lab.store.runs import attach_datasets, create_run, delete_run
from lab.store.store import Store
from tests.bench.bench_app import QUESTIONS, dragging
from tests.bench.dashboard import Dashboard, dashboard
from tests.bench.lines import say, say_line
from tests.bench.scale_store import (
    LABELS,
    SCALARS,
    ScaleStore,
    bench_directory,
    painted,
    sayings,
    scale_store,
)
from tests.factories import example_config

REPEATS = 7
STARTS = 3
UPDATES = 500
FOLLOWED = "followed"
WORST = 50
FEW_IMAGES = 8
MORE_QUESTIONS = {
    "one run, its steps": "/lab/runs/last/steps",
    "one image in full": "/lab/runs/last/images/7?it={last}",
    "compare two runs": "/lab/compare?runs=last&runs=boxes",
    "compare: a curve of each": "/lab/compare/curves?runs=last&runs=boxes",
    "compare: images of both": "/lab/compare/images?runs=last&runs=boxes",
    "what may be done with a run": "/lab/runs/last/acts",
    "what a run's datasets hold": "/lab/runs/last/data",
    "launch": "/lab/launch",
    "the queue": "/lab/queue",
}
WHAT_IF = ("class_quality", "mask_quality", "kind", "duplicate", "gt_id", "step")


def main(labels: int = LABELS) -> None:
    with bench_directory() as directory:
        made = scale_store(directory, labels)
        with Store.open(made.root) as store:
            forget_followed(store)
            describe(made, store)
            ask_in_process(store)
            start(made.root)
            last = int(label_steps(store, get_run(store, "last").run_id)[-1])
            with dashboard(made.root) as app:
                ask_over_http(app, last)
                say_line(
                    "redraw while dragging: median, 95th of 60, processor", dragging(app.address)
                )
            with dashboard(made.root) as app:
                follow(store, made.root, app)


def forget_followed(store: Store) -> None:
    """Delete the runs that a benchmark which was killed left: "last" is another one."""
    for run in list_runs(store):
        if run.name == FOLLOWED:
            delete_run(store, run.run_id)


def describe(made: ScaleStore, store: Store) -> None:
    """How large it is, and whether the last run was written as fast as the first ones."""
    size = sum(file.stat().st_size for file in made.root.glob("store.db*"))
    labels = {one.run_id: one.labels for one in store_sizes(store).runs}
    runs = [run for run in list_runs(store) if run.started and run.finished][::-1]
    say(f"{sum(labels.values()):,} labels in {len(labels)} runs, {size / 1e9:.2f} GB")
    say_line("bytes per label, with everything", f"{size / sum(labels.values()):7.0f}")
    for name, part in (("the first ten runs", runs[:10]), ("the last run", runs[-1:])):
        seconds = sum((run.finished or 0) - (run.started or 0) for run in part)
        rate = sum(labels[run.run_id] for run in part) / seconds
        say_line(f"labels a second, {name}", f"{rate:7,.0f}")


def ask_in_process(store: Store) -> None:
    """What the answers are made of, without a server."""
    run_id = get_run(store, "last").run_id
    steps = iter(np.random.default_rng(0).permutation(label_steps(store, run_id)).tolist())

    def worst() -> object:
        step = next(steps)
        wanted = LabelFilter(first_step=step, last_step=step, label=2)
        return find_labels(store, run_id, wanted, limit=WORST)

    columns = label_columns(store, run_id, LabelFilter(), WHAT_IF)
    truths = truth_numbers(columns["step"], columns["gt_id"])
    shared = (columns["kind"].astype(np.int64), columns["duplicate"].astype(bool), 1_000, truths)

    def build() -> IntegralHistogram:
        return IntegralHistogram.build(columns["class_quality"], columns["mask_quality"], *shared)

    built = build()
    say(f"\nin process, ms: median (first), processor; what-if of {len(truths):,} labels")
    say_line("50 lowest mask quality of a class at a step", timed(worst, cpu_here))
    say_line(
        "what-if: read the columns",
        timed(lambda: label_columns(store, run_id, LabelFilter(), WHAT_IF), cpu_here),
    )
    say_line("what-if: build", timed(build, cpu_here))
    say_line("what-if: ask", timed(lambda: built.ask(0.7, 0.8), cpu_here))


def start(root: Path) -> None:
    walls, cpus = [], []
    for _ in range(STARTS):
        with dashboard(root) as app:
            walls.append(app.wall_seconds)
            cpus.append(app.cpu_seconds)
    say("")
    say_line(
        f"start to first page, s: median of {STARTS}, processor",
        f"{statistics.median(walls):7.2f}  {statistics.median(cpus):6.2f}",
    )


def ask_over_http(app: Dashboard, last: int) -> None:
    say("\nover HTTP, ms: median (first), processor of the dashboard")
    with httpx.Client(base_url=app.address, timeout=60) as client:
        for name, path in (QUESTIONS | MORE_QUESTIONS).items():
            say_line(name, timed(partial(answered, client, path.format(last=last)), app.cpu))


def answered(client: httpx.Client, url: str) -> httpx.Response:
    return client.get(url).raise_for_status()


def follow(store: Store, root: Path, app: Dashboard) -> None:
    """Live updates of a run that records meanwhile, and what they do to the dashboard's memory."""
    run_id = create_run(store, example_config(FOLLOWED, "pl_dc", UPDATES))
    train = painted(root)
    attach_datasets(store, run_id, train, train.with_images(()))
    made = [sayings(image, 0) for image in train.images[:FEW_IMAGES]]
    memory, times = [app.memory()], []
    with (
        StoreRecorder(store, run_id) as recorder,
        httpx.Client(base_url=app.address, timeout=60) as client,
    ):
        for step in range(UPDATES):
            recorder.scalars(step, dict.fromkeys(SCALARS, 1 / (step + 1)))
            recorder.pseudo_labels(step, made)
            recorder.flush()
            begin = time.perf_counter()
            client.get(f"/lab/runs/{run_id}/live?since={step - 1}&since_label={step - 1}")
            client.get("/lab/runs")
            times.append(time.perf_counter() - begin)
            memory.append(app.memory())
    delete_run(store, run_id)
    say_line(
        f"{UPDATES} updates of Live and Runs, ms: median, slowest",
        f"{1e3 * statistics.median(times):7.1f}  {1e3 * max(times):.1f}",
    )
    shown = [f"{memory[update]:.0f} ({update})" for update in (0, 1, 100, UPDATES)]
    say_line("memory of the dashboard, MB (after updates)", "  ".join(shown))


def timed(act: Callable[[], object], cpu: Callable[[], float]) -> str:
    """Median, first, and mean processor time of some repeats."""
    times, before = [], cpu()
    for _ in range(REPEATS):
        begin = time.perf_counter()
        act()
        times.append(time.perf_counter() - begin)
    spent = (cpu() - before) / REPEATS
    return f"{1e3 * statistics.median(times):7.1f}  ({1e3 * times[0]:.1f})  {1e3 * spent:.1f}"


def cpu_here() -> float:
    return time.process_time()


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
