"""`seglab demo`: train the built-in comparison and print what came out."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import Annotated

import typer

from app.commands.options import Json, StoreRoot
from app.commands.sweep_progress import stop_runs_on_signals, watch_sweep
from app.commands.terminal import (
    CommandFailed,
    duration,
    kind_name,
    note,
    number,
    percent,
    say,
    say_json,
    say_table,
)
from app.demo import DemoFailed, Plan, plan_demo, train_demo
from app.demo_report import Comparison, EqualRecall, Outcome, compare
from app.sweep import Task
from app.worker_slots import Watch
from lab.analysis.what_if import JUDGED
from lab.store.store import Store, default_root

DEFAULT_SLOTS = min(2, os.cpu_count() or 1)


def demo(
    burn_in: Annotated[
        int | None, typer.Option(min=1, help="Supervised steps that all runs share.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=2, help="Steps in all, of each of the three runs.")
    ] = None,
    slots: Annotated[
        int, typer.Option(min=1, help="Runs that train at the same time.")
    ] = DEFAULT_SLOTS,
    store_root: StoreRoot = None,
    json: Json = False,
) -> None:
    """Train supervised, single-threshold and PL-DC on generated images; compare them.

    Interrupted, it goes on where it stopped when it is started again.
    """
    stop_runs_on_signals()
    started = time.monotonic()
    plan = plan_demo(burn_in=burn_in, steps=steps)
    with Store.open(store_root or default_root()) as store:

        def watch(tasks: Sequence[Task]) -> Watch:
            _announce(plan, tasks)
            return watch_sweep(tasks, slots)

        try:
            run_ids = train_demo(store, plan, slots=slots, command=sys.argv, watch=watch)
        except DemoFailed as error:
            raise CommandFailed(str(error)) from None
        except KeyboardInterrupt:
            raise CommandFailed("stopped; the same command goes on from there") from None
        result = compare(store, run_ids, plan.fork_step)
    if json:
        say_json(result)
    else:
        say_comparison(result)
        say()
        say(f"{duration(time.monotonic() - started)} in all. Look at every label:  make ui")


def say_comparison(result: Comparison) -> None:
    """Two tables and a sentence."""
    say()
    say_table(
        ("on validation images", "AP", "AP50", *(kind_name(kind) for kind in JUDGED)),
        [_scores(one) for one in result.outcomes],
    )
    say()
    say_table(
        (
            f"pseudo-labels since step {result.since_step}",
            *("kept", "precision", "recall"),
            *(kind_name(kind) for kind in JUDGED),
        ),
        [_labels(one) for one in result.outcomes],
    )
    if result.equal_recall is not None:
        say()
        say(equal_recall_in_words(result.equal_recall))


def equal_recall_in_words(equal: EqualRecall) -> str:
    if equal.recall < equal.recall_of_two:
        return (
            f"No class threshold finds as much as PL-DC's two ({percent(equal.recall_of_two)}): "
            f"the loosest finds {percent(equal.recall)} and is right in {percent(equal.precision)} "
            f"of what it keeps; the two are right in {percent(equal.precision_of_two)}."
        )
    return (
        f"One class threshold that finds as much as PL-DC's two ({percent(equal.recall)}, at "
        f"{equal.class_threshold:.2f}) is right in {percent(equal.precision)} of what it keeps; "
        f"the two are right in {percent(equal.precision_of_two)}."
    )


def _announce(plan: Plan, tasks: Sequence[Task]) -> None:
    done = sum(task.is_done for task in tasks)
    if done == len(tasks):
        note(
            "all runs of the demo are in the store already; --store DIR trains them anew elsewhere"
        )
        return
    names = ", ".join(config.name for config in plan.continuations)
    last = plan.continuations[0].schedule.max_steps
    note(f"{plan.fork_step} supervised steps, then {names} from there to step {last}")
    if any(task.row is not None for task in tasks):
        note(f"going on where it stopped: {done} of {len(tasks)} runs are finished")


def _scores(one: Outcome) -> tuple[object, ...]:
    counts = (one.errors[kind.name.lower()] for kind in JUDGED)
    return (one.name, number(one.ap), number(one.ap50), *counts)


def _labels(one: Outcome) -> tuple[object, ...]:
    answer = one.labels
    if answer is None:
        return (one.name, *("-" for _ in range(3 + len(JUDGED))))
    counts = (answer.kinds[kind] for kind in JUDGED)
    return (one.name, answer.kept, percent(answer.precision), percent(answer.recall), *counts)
