"""The recorder: training calls it and goes on; a thread of its own writes the store.

The training thread only puts what happened into a bounded queue; a full queue blocks, nothing is
dropped. The thread makes labels (encoding, judging), then writes everything that waits in one
short transaction. A crash loses at most what was not yet written: about 0.2 s.
"""

from __future__ import annotations

import atexit
import threading
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from lab.config import AppliedChange
from lab.datasets.records import Evaluation
from lab.store.errors import RecordingError, StoreError
from lab.store.ingest import (
    AppliedItem,
    CheckpointItem,
    EvaluationItem,
    Ingest,
    Item,
    Judge,
    LabelBatch,
    LabelItem,
    ScalarItem,
    Watch,
)
from lab.store.reserve import Reserve
from lab.store.run_state import FinalStatus
from lab.store.runs import claim_run, finish_run
from lab.store.store import Store

COMMIT_SECONDS = 0.2
QUEUE_ITEMS = 1024
WAKE_ITEMS = 256
"""So many waiting items are written at once, before the 0.2 s are over."""
LABEL_BATCHES = 16
"""So many label batches wait at most: each may hold the masks of a step."""


class _Flush(NamedTuple):
    written: threading.Event


class StoreRecorder:
    """Records one run; satisfies engine.recorder.Recorder. Claims the run for this process.

    Recording a step again replaces what was recorded before. A disk that fails does not stop
    training: what could not be written is logged, left as an event of the run, and raised by
    `finish`. Unless the recorder is `lossless`: then the next call raises. As a context manager it
    finishes the run: failed when the block raises.
    """

    def __init__(
        self,
        store: Store,
        run_id: str,
        *,
        judge: Judge | None = None,
        keep_every: int = 1,
        watch: Watch | None = None,
        lossless: bool = False,
    ) -> None:
        """Start the writing thread.

        Args:
            judge: adds kinds, true IoUs and truths to labels; runs in the writing thread.
            keep_every: pseudo-labels of the steps that this divides keep their masks; probe
                images always do. Scores are always kept.
            lossless: once rows could not be written, every call but `finish` raises
                RecordingError: for training that can go on from a checkpoint, which then records
                the same steps again. `finish` says failed then, whatever it is told.

        Raises:
            StoreError: another living process records the run, or the store is read-only.
        """
        if keep_every < 1:
            raise ValueError(f"keep_every {keep_every}: expected 1 or more")
        claim_run(store, run_id)
        self._store = store
        self._run_id = run_id
        self._ingest = Ingest(store, run_id, judge, keep_every, watch)
        self._waiting: deque[Item | _Flush] = deque()
        self._lossless = lossless
        self._reserve = Reserve(store.run_directory(run_id), keep=lossless)
        self._label_slots = threading.BoundedSemaphore(LABEL_BATCHES)
        self._wake = threading.Event()
        self._room = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name=f"record {run_id}", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers to plot, by name such as "loss/total"."""
        # Every step pays for this. What costs is to enter functions: after the step's own work none
        # of ours is in the processor's caches. So nothing of Python's is called, ScalarItem()
        # neither; `_put` does the same with a queue that needs a closer look.
        item = tuple.__new__(ScalarItem, (step, dict(values)))
        waiting = self._waiting
        is_refused = self._closing or (self._lossless and self._ingest.unwritten)
        if is_refused or len(waiting) >= WAKE_ITEMS:
            self._put(item)
        else:
            waiting.append(item)

    def pseudo_labels(self, step: int, labels: LabelBatch) -> None:
        """All candidates of some images, or a function that makes them in the writing thread."""
        if not self._label_slots.acquire(blocking=False):
            self._wake.set()
            self._wait_for(lambda: self._label_slots.acquire(timeout=1.0))
        self._put(LabelItem(step, labels, self._label_slots.release))

    def evaluation(self, step: int, evaluation: Evaluation) -> None:
        self._put(EvaluationItem(step, evaluation))

    def checkpoint(self, step: int, path: Path) -> None:
        """A checkpoint has been written to `path`."""
        self._put(CheckpointItem(step, path))

    def applied(self, change: AppliedChange) -> None:
        """The config was changed before the change's step: an event, and the asker's answer."""
        self._put(AppliedItem(change.step, change))

    def finish(self, status: FinalStatus, error: str | None = None) -> None:
        """Write what waits, then how the run ended: that also where the disk is full.

        Raises:
            RecordingError: parts of a run that did not fail could not be written; its status was.
        """
        self.close()
        lost = self._lost()
        said = status if self._written() else "failed"
        sentences = [text for text in (error, lost) if text]
        why = "\n".join(sentences) or None
        self._reserve.spend_on(lambda: finish_run(self._store, self._run_id, said, why))
        if lost and status != "failed":
            raise RecordingError(f"run {self._run_id}: {lost}")

    def flush(self) -> None:
        """Return when everything recorded so far is in the store (or known to be lost)."""
        self._refuse_after_a_loss()
        self._drain()
        self._refuse_after_a_loss()

    def close(self) -> None:
        """Write what waits and end the thread; the status of the run stays as it is."""
        if self._closing:
            return
        atexit.unregister(self.close)
        if self._thread.is_alive():
            self._drain()
        self._closing = True
        self._wake.set()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._closing:
            return
        if error is None:
            self.finish("finished")
        elif isinstance(error, (KeyboardInterrupt, SystemExit)):
            self.finish("stopped", repr(error))
        else:
            self.finish("failed", repr(error))

    def _drain(self) -> None:
        written = threading.Event()
        self._enqueue(_Flush(written))
        self._wake.set()
        self._wait_for(lambda: written.wait(timeout=1.0))

    def _written(self) -> bool:
        """Whether nothing is lost that must not be."""
        return not (self._lossless and self._ingest.unwritten)

    def _refuse_after_a_loss(self) -> None:
        if not self._written():
            raise RecordingError(f"the store cannot be written: {self._ingest.unwritten}")

    def _put(self, item: Item) -> None:
        self._refuse_after_a_loss()
        self._enqueue(item)

    def _enqueue(self, item: Item | _Flush) -> None:
        if self._closing:
            raise StoreError(f"run {self._run_id}: recorded after it was finished")
        waiting = self._waiting
        if len(waiting) >= QUEUE_ITEMS:
            self._wait_for(self._has_room)
        waiting.append(item)
        if len(waiting) >= WAKE_ITEMS:
            self._wake.set()

    def _has_room(self) -> bool:
        self._room.clear()
        self._wake.set()
        return len(self._waiting) < QUEUE_ITEMS or self._room.wait(timeout=1.0)

    def _wait_for(self, attempt: Callable[[], bool]) -> None:
        while not attempt():
            if not self._thread.is_alive():
                raise RecordingError(f"run {self._run_id}: the writing thread has ended")

    def _lost(self) -> str | None:
        failures = self._ingest.failures
        if not failures:
            return None
        return f"{len(failures)} times recording failed, first: {failures[0]}"

    def _work(self) -> None:
        """The writing thread."""
        while not self._closing:
            self._wake.wait(COMMIT_SECONDS)
            self._wake.clear()
            taken = self._take_waiting()
            self._room.set()
            self._ingest.take([item for item in taken if not isinstance(item, _Flush)])
            for item in taken:
                if isinstance(item, _Flush):
                    item.written.set()
        self._ingest.look()

    def _take_waiting(self) -> list[Item | _Flush]:
        return [self._waiting.popleft() for _ in range(len(self._waiting))]
