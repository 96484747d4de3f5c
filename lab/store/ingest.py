"""The writing side of a recorder: what happened in, short transactions out.

Runs in the recorder's thread. Nothing here may raise into training: a thing that cannot be made or
written is logged, counted and left as an event of the run.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.exc import OperationalError

from lab.config import AppliedChange
from lab.datasets.records import Evaluation, LabelSource, PseudoLabels
from lab.store.machine import MachineSampler
from lab.store.runs import run_number
from lab.store.store import Store
from lab.store.writer import Batch, LabelSet, RunWriter

LabelBatch = Sequence[PseudoLabels] | Callable[[], Sequence[PseudoLabels]]
Judge = Callable[[PseudoLabels], PseudoLabels]
Watch = Callable[[], None]
"""Looks at what is recorded, now and then."""

BEAT_SECONDS = 2.0
WATCH_SECONDS = 15.0
RETRY_PAUSES = (0.2, 1.0)
"""Seconds before a failed transaction is tried again; after the last try it is given up."""
LABELS_PER_TRANSACTION = 4_000

log = logging.getLogger(__name__)


class ScalarItem(NamedTuple):
    step: int
    values: Mapping[str, float]


class LabelItem(NamedTuple):
    step: int
    labels: LabelBatch
    taken: Callable[[], None]
    """Called once the labels are made and what made them can be freed."""


class EvaluationItem(NamedTuple):
    step: int
    evaluation: Evaluation


class CheckpointItem(NamedTuple):
    step: int
    path: Path


class AppliedItem(NamedTuple):
    step: int
    change: AppliedChange


Item = ScalarItem | LabelItem | EvaluationItem | CheckpointItem | AppliedItem


class Ingest:
    """Prepares and writes what one run recorded."""

    def __init__(
        self,
        store: Store,
        run_id: str,
        judge: Judge | None,
        keep_every: int,
        watch: Watch | None = None,
    ) -> None:
        with store.reading() as connection:
            run = run_number(connection, run_id)
        self.failures: list[str] = []
        """One sentence per thing that was lost."""
        self.unwritten: str | None = None
        """Why rows could not be written, if that ever happened."""
        self._store = store
        self._run_id = run_id
        self._judge = judge
        self._keep_every = keep_every
        self._watch = watch
        self._watch_due = time.monotonic() + WATCH_SECONDS
        self._writer = RunWriter(run, store.run_directory(run_id))
        self._sampler = MachineSampler()
        self._beat_due = time.monotonic()
        self._step: int | None = None
        self._reported = 0

    def take(self, items: Sequence[Item]) -> None:
        """Write the items in as many transactions as it needs; never raises."""
        batch = Batch()
        beat_is_due = time.monotonic() >= self._beat_due
        for item in items:
            self._reach(last_step_before(item))
            self._attempt(
                f"{type(item).__name__} at step {item.step}", partial(self._prepare, item, batch)
            )
            if batch.num_labels >= LABELS_PER_TRANSACTION:
                self._commit(batch)
                batch = Batch()
        if beat_is_due:
            self._beat_due = time.monotonic() + BEAT_SECONDS
            self._attempt("sampling the machine", partial(self._sample, batch))
        if batch or beat_is_due:
            self._commit(batch)
        if beat_is_due and time.monotonic() >= self._watch_due:
            self.look()

    def look(self) -> None:
        """Let whoever watches the run look at it; never raises. Nothing is lost when it fails."""
        self._watch_due = time.monotonic() + WATCH_SECONDS
        if self._watch is None:
            return
        try:
            self._watch()
        except Exception:
            log.exception("run %s: could not be watched", self._run_id)

    def _reach(self, step: int) -> None:
        """The run has done this step, counted from 0; below 0 = none yet."""
        if step >= 0:
            self._step = step if self._step is None else max(self._step, step)

    def _prepare(self, item: Item, batch: Batch) -> None:
        match item:
            case ScalarItem(step, values):
                batch.add_scalars(step, values)
            case LabelItem(step, labels, taken):
                try:
                    self._prepare_labels(step, labels, batch)
                finally:
                    taken()
            case EvaluationItem(step, evaluation):
                batch.evaluations.append((step, evaluation))
            case CheckpointItem(step, path):
                batch.checkpoints.append((step, path))
            case AppliedItem(_, change):
                batch.applied.append(change)

    def _prepare_labels(self, step: int, labels: LabelBatch, batch: Batch) -> None:
        for made in labels() if callable(labels) else labels:
            if made.source is LabelSource.PSEUDO:
                self._reach(step)
            judged = made if self._judge is None else self._judge(made)
            with_masks = keeps_masks(step, made.source, self._keep_every)
            batch.add_labels(LabelSet.of(step, judged, with_masks))

    def _sample(self, batch: Batch) -> None:
        if self._step is not None:
            batch.add_scalars(self._step, self._sampler.sample())

    def _commit(self, batch: Batch) -> None:
        unreported = self.failures[self._reported :]
        if unreported:
            batch.events.append((self._step, "recording_failed", {"errors": unreported}))
        if self._attempt(f"writing {len(batch)} entries", partial(self._write, batch)):
            self._reported += len(unreported)
        else:
            self.unwritten = self.unwritten or self.failures[-1]

    def _write(self, batch: Batch) -> None:
        for pause in (*RETRY_PAUSES, None):
            try:
                with self._store.appending() as connection:
                    self._writer.write(connection, batch, self._step)
                return
            except OperationalError:  # the disk is full, or another process holds the lock
                if pause is None:
                    raise
                time.sleep(pause)

    def _attempt(self, what: str, act: Callable[[], None]) -> bool:
        try:
            act()
        except Exception as error:
            log.exception("run %s: lost: %s", self._run_id, what)
            reason = getattr(error, "orig", None) or error
            self.failures.append(f"{what}: {type(reason).__name__}: {reason}")
            return False
        return True


def last_step_before(item: Item) -> int:
    """The last step that is done for certain when an item comes, counted from 0; -1 = none.

    Scalars are of a step. All else may be of the moment after so many steps: an evaluation, a
    checkpoint, a change, or the labels of probe images.
    """
    return item.step if isinstance(item, ScalarItem) else item.step - 1


def keeps_masks(step: int, source: LabelSource, keep_every: int) -> bool:
    """Probe images always keep their masks; others at every multiple of `keep_every`."""
    return source is not LabelSource.PSEUDO or step % keep_every == 0
