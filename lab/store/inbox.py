"""A run's inbox: changes it is asked to make, fetched by a thread of its own.

The training thread looks into a list in memory; the store is asked once a second, elsewhere.
"""

from __future__ import annotations

import logging
import queue
import threading

from sqlalchemy.exc import DatabaseError

from lab.config import Ask
from lab.store.asks import open_asks, refuse_ask
from lab.store.store import Store

POLL_SECONDS = 1.0

log = logging.getLogger(__name__)


class StoreInbox:
    """The asks of one run; satisfies engine.recorder.Inbox. A context manager.

    What nobody took when the block ends is refused: the run is over.
    """

    def __init__(self, store: Store, run_id: str, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._store = store
        self._run_id = run_id
        self._poll_seconds = poll_seconds
        self._waiting: queue.SimpleQueue[Ask] = queue.SimpleQueue()
        self._refused: queue.SimpleQueue[tuple[Ask, str]] = queue.SimpleQueue()
        self._seen: set[int] = set()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"asks {run_id}", daemon=True)

    def take(self) -> Ask | None:
        """The next ask that waits, at once; None nearly always. Called between steps."""
        return None if self._waiting.empty() else self._waiting.get()

    def refuse(self, ask: Ask, reason: str) -> None:
        """Tell whoever asked why not; written by the thread."""
        self._refused.put((ask, reason))

    def __enter__(self) -> StoreInbox:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()
        self._turn()
        while (ask := self.take()) is not None:
            self.refuse(ask, "the run ended before it could be applied")
        self._turn()

    def _work(self) -> None:
        while not self._closing.wait(self._poll_seconds):
            self._turn()

    def _turn(self) -> None:
        """Fetch what is new, and write what was refused. A store that fails is asked again."""
        try:
            self._fetch()
            self._answer()
        except DatabaseError:
            log.exception("run %s: the store does not answer", self._run_id)

    def _fetch(self) -> None:
        for row in open_asks(self._store, self._run_id):
            if row.ask not in self._seen:
                self._seen.add(row.ask)
                self._waiting.put(Ask(row.ask, row.changes, row.author))

    def _answer(self) -> None:
        while not self._refused.empty():
            ask, reason = self._refused.get()
            refuse_ask(self._store, ask.ask, reason)
