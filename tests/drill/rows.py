"""What a store holds, read from its file with SQLite alone: nothing of ours stands between.

`soundness` says what is wrong with a store, whatever was done to it; `Witness` remembers every row
it has seen committed, and says which are gone or have changed.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from tests.drill.stage import Fault, demand

COUNTS_OF_PLACES = (
    ("scalars", "run, name_id, step"),
    ("latest_scalars", "run, name_id"),
    ("label_sets", "run, source, step, image_id"),
    ("labels", "run, source, step, image_id, position"),
    ("step_summaries", "run, source, step"),
    ("evaluations", "run, step, split, model"),
    ("checkpoints", "run, step"),
    ("events", "run, step, kind, payload"),
    ("runs", "run_id"),
    ("jobs", "run"),
)
"""Table, and what no two rows of it may share."""
HAVE_TO_BE_NONE = (
    (
        "label sets whose labels are not all there",
        "SELECT count(*) FROM label_sets AS s WHERE s.candidates <> "
        "(SELECT count(*) FROM labels AS l WHERE l.run = s.run AND l.source = s.source "
        "AND l.step = s.step AND l.image_id = s.image_id)",
    ),
    (
        "labels of no set",
        "SELECT count(*) FROM labels AS l WHERE NOT EXISTS (SELECT 1 FROM label_sets AS s WHERE "
        "l.run = s.run AND l.source = s.source AND l.step = s.step AND l.image_id = s.image_id)",
    ),
    (
        "masks of no label",
        "SELECT count(*) FROM label_masks WHERE label_id NOT IN (SELECT label_id FROM labels)",
    ),
    (
        "steps whose summary is not the sum of its images",
        "SELECT count(*) FROM step_summaries AS m WHERE (m.images, m.candidates, m.kept) <> "
        "(SELECT count(*), sum(candidates), sum(kept) FROM label_sets AS s "
        "WHERE s.run = m.run AND s.source = m.source AND s.step = m.step)",
    ),
    (
        "newest values that are not the newest",
        "SELECT count(*) FROM latest_scalars AS n WHERE n.step <> "
        "(SELECT max(step) FROM scalars AS s WHERE s.run = n.run AND s.name_id = n.name_id)",
    ),
)
EVERYTHING = (
    (
        "scalars",
        "SELECT r.run_id, n.name, s.step, s.value FROM scalars AS s "
        "JOIN scalar_names AS n USING (name_id) JOIN runs AS r USING (run)",
    ),
    (
        "labels",
        "SELECT r.run_id, s.source || ' ' || s.image_id, s.step, s.packed FROM label_sets AS s "
        "JOIN runs AS r USING (run)",
    ),
    (
        "evaluations",
        "SELECT r.run_id, e.split || ' ' || e.model, e.step, e.metrics FROM evaluations AS e "
        "JOIN runs AS r USING (run)",
    ),
    (
        "checkpoints",
        "SELECT r.run_id, '', c.step, c.path FROM checkpoints AS c JOIN runs AS r USING (run)",
    ),
)
"""Kind of row, and its run, what it is about, its step and its value."""
CHANGES = ("time/", "sys/")
"""Scalars that another try of the same step may give another value; all others may not."""


class Place(NamedTuple):
    """Where a row belongs."""

    kind: str
    run_id: str
    about: str
    step: int

    @property
    def is_certain(self) -> bool:
        """Whether the row has the same value however often its step is trained."""
        return not self.about.startswith(CHANGES)

    def is_before(self, checkpoint: int) -> bool:
        """Whether a run that resumes after so many steps keeps the row."""
        in_a_step = self.kind == "scalars" or self.about.startswith("0 ")
        return self.step < checkpoint or (self.step == checkpoint and not in_a_step)


class Seen(NamedTuple):
    value: object
    writer: object
    """The process that was recording the run; None while it had not begun to."""


def soundness(database: Path) -> None:
    """Raises Fault unless the file is whole, no row is there twice, and all of it fits together."""
    with closing(_connect(database)) as connection:
        verdict = [row[0] for row in connection.execute("PRAGMA integrity_check")]
        demand(verdict == ["ok"], f"integrity_check of {database}: {verdict[:3]}")
        for table, place in COUNTS_OF_PLACES:
            groups = f"SELECT 1 FROM {table} NOT INDEXED GROUP BY {place} HAVING count(*) > 1"
            twice = _number(connection, f"SELECT count(*) FROM ({groups})")
            demand(twice == 0, f"{twice} rows of {table} are there twice")
        for what, query in HAVE_TO_BE_NONE:
            found = _number(connection, query)
            demand(found == 0, f"{found} {what}")


def certain_rows(database: Path, run_id: str) -> dict[tuple[str, str, int], object]:
    """What a run recorded that every run of its recipe has to record too."""
    with closing(_connect(database)) as connection:
        found = dict(_rows(connection, [run_id]))
    return {
        (place.kind, place.about, place.step): value
        for place, value in found.items()
        if place.is_certain and place.kind != "checkpoints"
    }


def demand_same(database: Path, run_id: str, model: str) -> None:
    """Raises Fault unless a run recorded what another of its recipe did."""
    mine, others = certain_rows(database, run_id), certain_rows(database, model)
    wrong = [place for place in mine.keys() | others.keys() if mine.get(place) != others.get(place)]
    sentence = f"run {run_id} is not as the unbroken {model} in {len(wrong)} rows: {wrong[:3]}"
    demand(not wrong, sentence)


class Witness:
    """Reads the store again and again, as the dashboard does; a context manager."""

    def __init__(self, database: Path, every: float = 0.25) -> None:
        self.database = database
        self.seen: dict[Place, Seen] = {}
        self.to_come_again: dict[Place, object] = {}
        """What a run that was resumed has taken out, to record it anew."""
        self.looks = 0
        self._every = every
        self._fault: Exception | None = None
        self._resting: set[str] = set()
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def look(self) -> None:
        """Compare with what was seen before, and remember what is new. Raises Fault."""
        with self._lock, closing(_connect(self.database)) as connection:
            connection.execute("BEGIN")
            writers = dict(_writers(connection))
            runs = [run_id for run_id in writers if run_id not in self._resting]
            found = dict(_rows(connection, runs))
            finished = connection.execute("SELECT run_id FROM runs WHERE status = 'finished'")
            at_rest = {run_id for (run_id,) in finished}
            for place, seen in list(self.seen.items()):
                if place.run_id not in self._resting:
                    self._compare(place, seen, found, writers)
            self.seen.update(
                {place: Seen(value, writers[place.run_id]) for place, value in found.items()}
            )
            self._resting |= at_rest
            self.looks += 1

    def demand_all(self) -> None:
        """Everything ever seen is there, with the value it had, but for what may differ."""
        with closing(_connect(self.database)) as connection:
            found = dict(_rows(connection, sorted({place.run_id for place in self.seen})))
        now = {place: seen.value for place, seen in self.seen.items()}
        for place, value in {**self.to_come_again, **now}.items():
            if place.is_certain:
                demand(found.get(place) == value, f"lost or changed in the end: {place}")

    def __enter__(self) -> Witness:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def answer(self) -> None:
        """Look now; raises also what was found in the background."""
        if self._fault is not None:
            raise self._fault
        self.look()

    def _compare(
        self,
        place: Place,
        seen: Seen,
        found: Mapping[Place, object],
        writers: Mapping[str, object],
    ) -> None:
        if place in found:
            same = not place.is_certain or found[place] == seen.value
            demand(same, f"changed: {place}")
            return
        saved = [at.step for at in self.seen if at.kind == "checkpoints" and at[1] == place.run_id]
        is_kept = place.is_before(max(saved, default=0))
        demand(not is_kept, f"lost, though it is older than a checkpoint: {place}")
        is_new = seen.writer is None or writers[place.run_id] != seen.writer
        demand(is_new, f"lost, though nobody resumed the run: {place}")
        self.to_come_again[place] = self.seen.pop(place).value

    def _work(self) -> None:
        while not self._ending.wait(self._every):
            try:
                self.look()
            except (Fault, sqlite3.Error) as error:
                self._fault = error
                return


def _connect(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=30)


def _number(connection: sqlite3.Connection, query: str) -> int:
    return connection.execute(query).fetchone()[0]


def _rows(connection: sqlite3.Connection, run_ids: list[str]) -> Iterator[tuple[Place, object]]:
    marks = ", ".join("?" * len(run_ids))
    for kind, query in EVERYTHING:
        for row in connection.execute(f"{query} WHERE r.run_id IN ({marks})", run_ids):
            yield Place(kind, *row[:3]), _short(row[3])


def _short(value: Any) -> object:
    return hashlib.sha256(value).digest() if isinstance(value, bytes) else value


def _writers(connection: sqlite3.Connection) -> Iterator[tuple[str, object]]:
    query = (
        "SELECT r.run_id, p.pid, p.process_started, p.first_step FROM runs AS r "
        "LEFT JOIN pulses AS p USING (run)"
    )
    for run_id, pid, started, first_step in connection.execute(query):
        yield run_id, None if first_step is None else (pid, started)
