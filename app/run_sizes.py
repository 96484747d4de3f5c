"""What each run takes on disk, measured once, and again when something of it changed."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

from lab.store.errors import RunNotFound
from lab.store.run_bytes import Mark, RunBytes, bytes_of_files, bytes_of_rows, row_marks
from lab.store.store import Store

PATIENCE = 0.25
"""Seconds that one look may take, but for the masks of one large run."""


class RunSizes:
    """Sizes of all runs, remembered between looks.

    Rows are counted anew only where `row_marks` changed: all masks of a run are read for it. Files
    are looked at every time.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[Mark, RunBytes]] = {}
        self._turn = threading.Lock()

    def look(self, store: Store, patience: float = PATIENCE) -> dict[str, RunBytes | None]:
        """By run id; None = its turn comes at another look. Each look measures one run at least.

        A run that goes on may be told as it was a look or two before.
        """
        with self._turn:
            marks = row_marks(store)
            self._known = {run: known for run, known in self._known.items() if run in marks}
            self._measure(store, marks, time.monotonic() + patience)
            return {run_id: self._now(store, run_id) for run_id in marks}

    def _measure(self, store: Store, marks: dict[str, Mark], end: float) -> None:
        """Count rows until the time is over: of new runs first, then of those that changed."""
        for run_id in sorted(marks, key=self._known.__contains__):
            if run_id in self._known and self._known[run_id][0] == marks[run_id]:
                continue
            try:
                self._known[run_id] = (marks[run_id], bytes_of_rows(store, run_id))
            except RunNotFound:
                continue  # deleted since
            if time.monotonic() >= end:
                return

    def _now(self, store: Store, run_id: str) -> RunBytes | None:
        if run_id not in self._known:
            return None
        return replace(self._known[run_id][1], **bytes_of_files(store, run_id))
