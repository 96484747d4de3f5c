"""Progress of long work: a bar with ETA in a terminal, plain lines otherwise."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

PLAIN_INTERVAL = 15.0
"""Seconds between plain lines."""


class StepProgress:
    """`with StepProgress("training", total, done) as bar: bar.update(step, "loss 1.23")`."""

    def __init__(self, title: str, total: int, done: int = 0, *, shown: bool = True) -> None:
        self.shown = shown
        self.title, self.total, self.start = title, total, done
        self.began = self.last_line = time.monotonic()
        console = Console(stderr=True)
        self.bar: Progress | None = None
        if shown and console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("ETA"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
            )
            self.bar = Progress(*columns, console=console)
            self.task = self.bar.add_task(title, total=total, completed=done, note="")

    def __enter__(self) -> Self:
        if self.bar:
            self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.bar:
            self.bar.stop()

    def update(self, done: int, note: str = "") -> None:
        if self.bar:
            self.bar.update(self.task, completed=done, note=note)
            return
        if not self.shown:
            return
        now = time.monotonic()
        if now - self.last_line >= PLAIN_INTERVAL or done == self.total:
            self.last_line = now
            left = (now - self.began) / max(1, done - self.start) * (self.total - done)
            parts = (f"{self.title}: {done}/{self.total}", f"ETA {in_words(left)}", note)
            line = ", ".join(part for part in parts if part)
            print(line, file=sys.stderr, flush=True)  # noqa: T201


def in_words(seconds: float) -> str:
    """ "45 s", "12 min", "3 h 05 min", "2 days 4 h"."""
    minutes, hours = round(seconds / 60), round(seconds / 3600)
    if seconds < 100:
        return f"{seconds:.0f} s"
    if minutes < 100:
        return f"{minutes} min"
    if hours < 48:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{hours // 24} days {hours % 24} h"
