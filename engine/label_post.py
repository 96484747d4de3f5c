"""Labels of all ranks on their way to rank 0, which records them together and once.

It happens in the threads that record, through a group of their own: training waits for nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from queue import Queue
from threading import Thread
from types import TracebackType
from typing import Any, NamedTuple, Self

from torch import distributed

from engine import ranks
from engine.recorder import FinalStatus, LabelBatch, Recorder
from lab.config import AppliedChange
from lab.datasets.records import Evaluation, PseudoLabels

log = logging.getLogger("seglab")

WAITING = 16
"""So many label batches wait on a rank at most: each may hold the masks of a step."""


class Letter(NamedTuple):
    """What one rank has for a step."""

    step: int
    labels: Sequence[PseudoLabels]


class Post:
    """From every rank to rank 0. All ranks make one at the same time."""

    def __init__(self) -> None:
        self._group: Any = distributed.new_group(backend="gloo", timeout=ranks.PATIENCE)

    def send(self, letter: Letter) -> None:
        distributed.send_object_list([letter], dst=0, group=self._group)

    def collect(self, step: int, own: LabelBatch) -> list[PseudoLabels]:
        """On rank 0: everybody's labels of a step, our own first; waits for them."""
        letters = self._letters()
        if any(letter.step != step for letter in letters):
            raise ValueError(f"labels of steps {[one.step for one in letters]} at step {step}")
        made = own() if callable(own) else own
        return [*made, *(label for letter in letters for label in letter.labels)]

    def _letters(self) -> list[Letter]:
        """One of every other rank. None when one is gone: the run ends, and says so elsewhere."""
        letters: list[Any] = [None] * (ranks.share().of - 1)
        try:
            for rank in range(1, len(letters) + 1):
                found: list[Any] = [None]
                distributed.recv_object_list(found, src=rank, group=self._group)
                letters[rank - 1] = found[0]
        except RuntimeError:
            return []
        return letters


class FirstRecorder:
    """Tells rank 0's recorder what happened, with the labels of all ranks."""

    def __init__(self, recorder: Recorder, post: Post) -> None:
        self._recorder, self._post = recorder, post
        self.scalars = recorder.scalars
        self.evaluation = recorder.evaluation
        self.checkpoint = recorder.checkpoint
        self.applied = recorder.applied
        self.flush = recorder.flush
        self.finish = recorder.finish

    def pseudo_labels(self, step: int, labels: LabelBatch) -> None:
        def of_all() -> Sequence[PseudoLabels]:
            return self._post.collect(step, labels)

        self._recorder.pseudo_labels(step, of_all)


class SendingRecorder:
    """The recorder of every other rank: sends its labels to rank 0, which knows all else itself."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._waiting: Queue[tuple[int, LabelBatch] | None] = Queue(WAITING)
        self._thread = Thread(target=self._work, name="send labels", daemon=True)
        self._thread.start()

    def pseudo_labels(self, step: int, labels: LabelBatch) -> None:
        self._waiting.put((step, labels))

    def flush(self) -> None:
        """Return when all labels are on their way."""
        self._waiting.join()

    def finish(self, status: FinalStatus, error: str | None = None) -> None:  # noqa: ARG002
        self._waiting.put(None)
        self._thread.join()

    def scalars(self, step: int, values: object) -> None: ...

    def evaluation(self, step: int, evaluation: Evaluation) -> None: ...

    def checkpoint(self, step: int, path: Path) -> None: ...

    def applied(self, change: AppliedChange) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._thread.is_alive():
            self.finish("finished")

    def _work(self) -> None:
        """The sending thread. When rank 0 is gone, nobody misses what it would have got."""
        while (item := self._waiting.get()) is not None:
            try:
                self._post.send(_written(*item))
            except RuntimeError:
                log.exception("labels of step %d cannot be sent", item[0])
            finally:
                self._waiting.task_done()


def _written(step: int, labels: LabelBatch) -> Letter:
    """Whatever happens, rank 0 gets a letter: it waits for one."""
    try:
        return Letter(step, labels() if callable(labels) else labels)
    except Exception:
        log.exception("labels of step %d are lost", step)
        return Letter(step, ())
