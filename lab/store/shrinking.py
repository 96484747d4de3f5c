"""Making the file smaller after rows were deleted, without standing in a recorder's way."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass

from lab.store.run_queries import list_runs
from lab.store.store import BUSY_SECONDS, Store

PAGES_PER_TRANSACTION = 512
INCREMENTAL = 2


@dataclass(frozen=True, slots=True)
class Shrunk:
    """Bytes of store.db before and after; a sentence when it could not be made smaller."""

    before: int
    after: int
    why_not: str | None = None


def shrink(store: Store) -> Shrunk:
    """Give the file's free pages back to the disk.

    A store made by this version gives pages back a few at a time, while others record. An older
    file is rewritten once (and from then on behaves the same); that needs it for itself, so it
    waits until no run is recorded.
    """
    _fold_log_in(store)
    before = store.path.stat().st_size
    mode, free = _pragma(store, "auto_vacuum"), _pragma(store, "freelist_count")
    why_not = None
    if mode == INCREMENTAL:
        _give_pages_back(store)
    elif free:
        why_not = _rewrite(store)
    _fold_log_in(store)
    return Shrunk(before, store.path.stat().st_size, why_not)


def _give_pages_back(store: Store) -> None:
    left = _pragma(store, "freelist_count")
    with closing(_plain_connection(store)) as connection:
        while left:
            # As a script, which runs to its end: the pragma frees one page per step.
            connection.executescript(f"PRAGMA incremental_vacuum({PAGES_PER_TRANSACTION})")
            now = _pragma(store, "freelist_count")
            if now >= left:  # others free pages as fast as we give them back
                return
            left = now


def _rewrite(store: Store) -> str | None:
    going = [run.run_id for run in list_runs(store) if run.status in ("running", "stopping")]
    if going:
        return (
            f"{len(going)} runs are being recorded ({', '.join(going[:3])}): the freed pages are "
            "used again by new rows; run gc when they have ended to make the file smaller"
        )
    room, need = shutil.disk_usage(store.root).free, 2 * store.path.stat().st_size
    if room < need:
        return f"rewriting the file needs {need:,} bytes of free disk, there are {room:,}"
    with closing(_plain_connection(store)) as connection:
        try:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("VACUUM")
        except sqlite3.OperationalError as error:
            return f"the file is in use ({error}): run gc again later to make it smaller"
    return None


def _fold_log_in(store: Store) -> None:
    """Move the write-ahead log into the file; what readers still need of it stays."""
    with closing(_plain_connection(store)) as connection:
        connection.execute("PRAGMA busy_timeout = 1000")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _plain_connection(store: Store) -> sqlite3.Connection:
    """One that begins no transactions by itself, which VACUUM does not stand."""
    return sqlite3.connect(store.path, timeout=BUSY_SECONDS, isolation_level=None)


def _pragma(store: Store, name: str) -> int:
    with store.reading() as connection:
        return int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
