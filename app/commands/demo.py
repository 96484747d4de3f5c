"""`seglab demo`: train the built-in comparison and print what came out."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.commands.options import Json, StoreRoot
from app.commands.runs import steps_done
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
from app.worker_slots import Look, Watch
from lab.analysis.what_if import JUDGED
from lab.store.queries import RunRow
from lab.store.store import Store, default_root

LINE_SECONDS = 15.0
"""Between lines of progress where there is no terminal."""
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
    """Train supervised, single-threshold and PL-DC on generated images; compare them."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop the runs, as Ctrl-C does
    started = time.monotonic()
    plan = plan_demo(burn_in=burn_in, steps=steps)
    with Store.open(store_root or default_root()) as store:
        _announce(plan)
        try:
            run_ids = train_demo(store, plan, slots=slots, command=sys.argv, watch=watch)
        except DemoFailed as error:
            raise CommandFailed(str(error)) from None
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


def watch(names: Mapping[str, str]) -> Watch:
    """Bars in a terminal, plain lines elsewhere; on stderr, so that JSON stays alone."""

    console = Console(stderr=True)
    return _bars(names, console) if console.is_terminal else _lines()


@contextmanager
def _bars(names: Mapping[str, str], console: Console) -> Iterator[Look]:
    columns = (
        TextColumn("{task.description:30}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as progress:
        tasks = {
            run_id: progress.add_task(name, total=None, note="waiting")
            for run_id, name in names.items()
        }

        def look(rows: Mapping[str, RunRow]) -> None:
            for run_id, row in rows.items():
                progress.update(
                    tasks[run_id], completed=steps_done(row), total=row.max_steps, note=_state(row)
                )

        yield look


@contextmanager
def _lines() -> Iterator[Look]:
    last = {"at": time.monotonic()}

    def look(rows: Mapping[str, RunRow]) -> None:
        if time.monotonic() - last["at"] < LINE_SECONDS:
            return
        last["at"] = time.monotonic()
        for row in rows.values():
            if row.status == "running":
                note(f"{row.name}: step {steps_done(row)}/{row.max_steps}  {_state(row)}")

    yield look


def _announce(plan: Plan) -> None:
    names = ", ".join(config.name for config in plan.continuations)
    last = plan.continuations[0].schedule.max_steps
    note(f"{plan.fork_step} supervised steps, then {names} from there to step {last}")


def _state(row: RunRow) -> str:
    if row.status != "running":
        return row.status
    return "" if row.best_ap != row.best_ap else f"AP {row.best_ap:.1f}"


def _scores(one: Outcome) -> tuple[object, ...]:
    counts = (one.errors[kind.name.lower()] for kind in JUDGED)
    return (one.name, number(one.ap), number(one.ap50), *counts)


def _labels(one: Outcome) -> tuple[object, ...]:
    answer = one.labels
    if answer is None:
        return (one.name, *("-" for _ in range(3 + len(JUDGED))))
    counts = (answer.kinds[kind] for kind in JUDGED)
    return (one.name, answer.kept, percent(answer.precision), percent(answer.recall), *counts)
