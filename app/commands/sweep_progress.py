"""One display for a whole sweep: bars in a terminal, plain lines elsewhere; on stderr."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import isnan

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from app.commands.terminal import duration, note
from app.sweep import Task, steps_behind
from app.sweep_outlook import Outlook, outlook
from app.worker_slots import Look, Watch
from lab.store.queries import RunRow

LINE_SECONDS = 15.0
"""Between lines of progress where there is no terminal."""
FINAL = ("finished", "failed", "stopped")


def stop_runs_on_signals() -> None:
    """Being asked to end, or losing the terminal, stops the runs as Ctrl-C does."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup stays nohup
            signal.signal(number, signal.default_int_handler)


def watch_sweep(tasks: Sequence[Task], slots: int) -> Watch:
    """Shows how far the tasks are, and says so when a run ends."""
    console = Console(stderr=True)
    return _bars(tasks, slots, console) if console.is_terminal else _lines(tasks, slots)


@contextmanager
def _bars(tasks: Sequence[Task], slots: int, console: Console) -> Iterator[Look]:
    columns = (
        TextColumn("{task.description:40}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as progress:
        whole = progress.add_task("all runs", total=None, note="")
        bars: dict[str, TaskID] = {}
        ends = _Ends(progress.console.print)

        def look(rows: Mapping[str, RunRow]) -> None:
            now = outlook(tasks, rows, slots)
            done = now.steps - now.steps_left
            progress.update(whole, completed=done, total=now.steps, note=_summary(now))
            for run_id, row in rows.items():
                if row.status == "running" and run_id not in bars:
                    bars[run_id] = progress.add_task(row.name, total=row.max_steps, note="")
                if run_id in bars:
                    behind = steps_behind(row, row.parent_step or 0)
                    is_shown = row.status == "running"
                    progress.update(bars[run_id], completed=behind, visible=is_shown)
            ends.tell(rows, now)

        yield look


@contextmanager
def _lines(tasks: Sequence[Task], slots: int) -> Iterator[Look]:
    last = {"at": time.monotonic()}
    ends = _Ends(note)

    def look(rows: Mapping[str, RunRow]) -> None:
        now = outlook(tasks, rows, slots)
        ends.tell(rows, now)
        if time.monotonic() - last["at"] >= LINE_SECONDS:
            last["at"] = time.monotonic()
            running = [_position(row) for row in rows.values() if row.status == "running"]
            note("; ".join((_summary(now), *running)))

    yield look


class _Ends:
    """Says once of every run that it ended, and how."""

    def __init__(self, tell: Callable[[str], object]) -> None:
        self._tell = tell
        self._before: dict[str, str] = {}

    def tell(self, rows: Mapping[str, RunRow], now: Outlook) -> None:
        for run_id, row in rows.items():
            before = self._before.get(run_id)
            if row.status in FINAL and before not in (None, row.status):
                score = "" if isnan(row.best_ap) else f", best AP {row.best_ap:.1f}"
                self._tell(f"{row.status}: {row.name}{score} ({now.done} of {now.runs} runs)")
            self._before[run_id] = row.status


def _position(row: RunRow) -> str:
    return f"{row.name} {steps_behind(row, row.parent_step or 0)}/{row.max_steps}"


def _summary(now: Outlook) -> str:
    left = "" if isnan(now.seconds_left) else f", about {duration(now.seconds_left)} left"
    return f"{now.done} of {now.runs} runs, {now.steps - now.steps_left} of {now.steps} steps{left}"
