"""`seglab sweep`: train a list of runs over seeds and a grid, and tabulate what came out."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from app.commands.options import Json, Overrides, StoreRoot, open_reader
from app.commands.row_files import replacing
from app.commands.sweep_progress import stop_runs_on_signals, watch_sweep
from app.commands.terminal import (
    CommandFailed,
    WrongUse,
    duration,
    note,
    say,
    say_json,
    say_table,
)
from app.sweep import (
    Failure,
    Task,
    tasks_of,
    train_sweep,
    unfinished,
)
from app.sweep_export import (
    as_markdown,
    cells,
    headings,
    mask_headings,
    mask_rows,
    write_csv,
)
from app.sweep_outlook import outlook
from app.sweep_plan import PlannedRun, plan_sweep
from app.sweep_queue import queue_sweep, wait_for_sweep
from app.sweep_report import RunResult, SweepLine, collect, tabulate
from lab.config import ConfigError, parse_override
from lab.config.sweep import SweepConfig, load_sweep
from lab.store.errors import StoreMissing
from lab.store.store import Store, default_root

DEFAULT_SLOTS = os.cpu_count() or 1


def sweep(  # noqa: PLR0913
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A TOML file with [[run]] tables.")],
    slots: Annotated[
        int, typer.Option(min=1, help="Runs that train at the same time.")
    ] = DEFAULT_SLOTS,
    seeds: Annotated[
        str | None, typer.Option(metavar="0,1,...", help="These seeds instead of the file's.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this run of the list. May be repeated."),
    ] = None,
    overrides: Overrides = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be trained, and stop.")
    ] = False,
    table: Annotated[
        bool, typer.Option("--table", help="Show the table of what is finished, and stop.")
    ] = False,
    queue: Annotated[
        bool,
        typer.Option("--queue", help="Put the runs into the queue instead; see --table later."),
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="With --queue: until nothing of it goes on any more.")
    ] = False,
    worker: Annotated[
        bool, typer.Option(help="With --queue: start a worker in the background if none lives.")
    ] = True,
    export: Annotated[
        Path | None,
        typer.Option(help="Also write the table: .csv or .md.", dir_okay=False),
    ] = None,
    store_root: StoreRoot = None,
    json: Json = False,
) -> None:
    """Train the runs of FILE over its grid and seeds, then compare them.

    The same command goes on where it stopped: runs that are finished in the store are not trained
    again. Ctrl-C stops all runs; each saves a checkpoint. A run that fails does not stop the
    others. With --queue any workers train them, forks after their burn-in, and nothing has to stay
    open; Ctrl-C ends the waiting alone.
    """
    _refuse_contradictions(dry_run, table, queue, wait)
    if export is not None:
        check_export(export)
    described = load_sweep(file)
    changes = dict(parse_override(text) for text in overrides or [])
    numbers = None if seeds is None else parse_seeds(seeds)
    plan = _plan(file, described, numbers, only or (), changes)
    first = described.runs[0].name
    others = _plan(file, described, numbers, [first], changes)
    if dry_run:
        _say_plan(plan, slots, store_root, json)
        return
    if queue:
        tasks = _queue(plan, worker, store_root)
        if not wait:
            _say_tasks(tasks, json)
            return
    failed = [] if table else (_wait if wait else _train)(plan, slots, store_root)
    with open_reader(store_root) as store:
        results = collect(store, [*plan, *(run for run in others if run not in plan)])
    lines = tabulate(plan, results, first)
    _tell(lines, results, failed, json)
    if table and any(len(line.seeds) < line.planned for line in lines):
        note("not every run is finished; the same command without --table trains what is missing")
    if export is not None:
        write_table(lines, export)
    if failed:
        raise CommandFailed(failures_in_words(failed))


def _refuse_contradictions(dry_run: bool, table: bool, queue: bool, wait: bool) -> None:
    if dry_run + table + queue > 1:
        raise WrongUse("--dry-run, --table and --queue: choose one")
    if wait and not queue:
        raise WrongUse("--wait is for --queue")


def check_export(out: Path) -> None:
    """Refuse, before anything is trained, what could not be written after it.

    Raises:
        WrongUse: another ending, no such directory, or none that takes files.
    """
    if out.suffix not in (".csv", ".md"):
        raise WrongUse(f"--export {out}: expected a name that ends in .csv or .md")
    if not out.parent.is_dir():
        raise WrongUse(f"--export {out}: there is no directory {out.parent}")
    try:
        with tempfile.TemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        raise WrongUse(f"--export {out}: {out.parent} takes no files: {error.strerror}") from None


def parse_seeds(text: str) -> list[int]:
    """ "0,2" -> [0, 2].

    Raises:
        WrongUse: something else, or a seed twice.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts) or len(set(map(int, parts))) < len(parts):
        raise WrongUse(f"--seeds {text}: expected different numbers, such as 0,1,2")
    return [int(part) for part in parts]


def write_table(lines: Sequence[SweepLine], out: Path) -> None:
    """CSV or Markdown, by the ending of the name."""
    with replacing(out) as file:
        if out.suffix == ".csv":
            write_csv(lines, file)
        else:
            file.write(as_markdown(lines))
    note(f"{out}: {len(lines)} lines")


def failures_in_words(failed: Sequence[Failure]) -> str:
    """One line per run that did not finish, with its log."""
    lines = [f"{len(failed)} runs of the sweep are not finished:"]
    for one in failed:
        log = "" if one.log is None else f": see {one.log}"
        lines.append(f"  {one.name} ({one.run_id or 'no run'}): {one.reason}{log}")
    return "\n".join(lines)


def _plan(
    file: Path,
    described: SweepConfig,
    seeds: Sequence[int] | None,
    only: Collection[str],
    changes: Mapping[str, Any],
) -> list[PlannedRun]:
    try:
        return plan_sweep(described, seeds=seeds, only=only, changes=changes)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None


def _train(plan: Sequence[PlannedRun], slots: int, store_root: Path | None) -> list[Failure]:
    stop_runs_on_signals()
    with Store.open(store_root or default_root()) as store:
        tasks = tasks_of(store, plan)
        note(_in_words(tasks, slots))
        try:
            with watch_sweep(tasks, slots) as look:
                return train_sweep(store, plan, slots=slots, command=sys.argv, look=look)
        except KeyboardInterrupt:
            raise CommandFailed(
                "stopped; the same command goes on from the checkpoints of its runs"
            ) from None


def _queue(plan: Sequence[PlannedRun], worker: bool, store_root: Path | None) -> list[Task]:
    with Store.open(store_root or default_root()) as store:
        tasks = queue_sweep(store, plan, command=sys.argv, with_worker=worker)
    done = sum(task.is_done for task in tasks)
    note(
        f"{len(tasks)} runs, {done} of them finished, the others in the queue or on their way; "
        "seglab jobs ls shows them, --table what has come out so far"
    )
    return tasks


def _wait(plan: Sequence[PlannedRun], slots: int, store_root: Path | None) -> list[Failure]:
    with Store.open(store_root or default_root()) as store:
        try:
            with watch_sweep(tasks_of(store, plan), slots) as look:
                wait_for_sweep(store, plan, look)
        except KeyboardInterrupt:
            raise CommandFailed("not waiting any more; the runs go on") from None
        return unfinished(store, plan)


def _tell(
    lines: Sequence[SweepLine],
    results: Sequence[RunResult],
    failed: Sequence[Failure],
    json: bool,
) -> None:
    if json:
        say_json({"lines": lines, "runs": results, "failed": failed})
    else:
        say()
        say_table(headings(lines), [cells(line) for line in lines])
        masks = mask_rows(lines)
        if masks:
            title = "Masks made from boxes in the last quarter of the steps, against hidden truth"
            say()
            say_table(mask_headings(lines), masks, title=title)


def _say_plan(plan: Sequence[PlannedRun], slots: int, store_root: Path | None, json: bool) -> None:
    tasks = _tasks_without_training(plan, store_root)
    _say_tasks(tasks, json)
    if not json:
        say()
        say(_in_words(tasks, slots))


def _say_tasks(tasks: Sequence[Task], json: bool) -> None:
    if json:
        say_json([_as_record(task) for task in tasks])
        return
    rows = [tuple(_as_record(task).values()) for task in tasks]
    say_table(("run", "status", "from step", "steps left", "run id"), rows, words=2)


def _tasks_without_training(plan: Sequence[PlannedRun], store_root: Path | None) -> list[Task]:
    """As `tasks_of`, but a store that is not there yet stays so."""
    try:
        with Store.open(store_root or default_root(), read_only=True) as store:
            return tasks_of(store, plan)
    except StoreMissing:
        return tasks_of(None, plan)


def _as_record(task: Task) -> dict[str, Any]:
    return {
        "name": task.config.name,
        "status": "to do" if task.row is None else task.row.status,
        "first_step": task.first_step,
        "steps_left": task.steps_left,
        "run_id": "-" if task.row is None else task.row.run_id,
    }


def _in_words(tasks: Sequence[Task], slots: int) -> str:
    now = outlook(tasks, {}, slots)
    left = duration(now.seconds_left)
    time = "" if left == "-" else f", about {left}"
    return (
        f"{now.runs} runs, {now.done} of them finished; {now.steps_left} of {now.steps} steps "
        f"to train, {slots} at a time{time}"
    )
