"""Making store.db smaller after rows were deleted, without standing in a recorder's way."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from lab.store.database import Shrunk
from lab.store.sqlite_connections import BUSY_SECONDS

PAGES_PER_TRANSACTION = 512
INCREMENTAL = 2


def shrink_file(path: Path, going: Sequence[str]) -> Shrunk:
    """Give the file's free pages back to the disk.

    A store made by this version gives pages back a few at a time, while others record. An older
    file is rewritten once (and from then on behaves the same); that needs it for itself, so it
    waits until no run is recorded. `going` = ids of those that are.
    """
    _fold_log_in(path)
    before = path.stat().st_size
    mode, free = _pragma(path, "auto_vacuum"), _pragma(path, "freelist_count")
    why_not = None
    if mode == INCREMENTAL:
        _give_pages_back(path)
    elif free:
        why_not = _rewrite(path, going)
    _fold_log_in(path)
    return Shrunk(before, path.stat().st_size, why_not)


def _give_pages_back(path: Path) -> None:
    left = _pragma(path, "freelist_count")
    with closing(_plain_connection(path)) as connection:
        while left:
            # As a script, which runs to its end: the pragma frees one page per step.
            connection.executescript(f"PRAGMA incremental_vacuum({PAGES_PER_TRANSACTION})")
            now = _pragma(path, "freelist_count")
            if now >= left:  # others free pages as fast as we give them back
                return
            left = now


def _rewrite(path: Path, going: Sequence[str]) -> str | None:
    if going:
        return (
            f"{len(going)} runs are being recorded ({', '.join(going[:3])}): the freed pages are "
            "used again by new rows; run gc when they have ended to make the file smaller"
        )
    room, need = shutil.disk_usage(path.parent).free, 2 * path.stat().st_size
    if room < need:
        return f"rewriting the file needs {need:,} bytes of free disk, there are {room:,}"
    with closing(_plain_connection(path)) as connection:
        try:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("VACUUM")
        except sqlite3.OperationalError as error:
            return f"the file is in use ({error}): run gc again later to make it smaller"
    return None


def _fold_log_in(path: Path) -> None:
    """Move the write-ahead log into the file; what readers still need of it stays."""
    with closing(_plain_connection(path)) as connection:
        connection.execute("PRAGMA busy_timeout = 1000")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _plain_connection(path: Path) -> sqlite3.Connection:
    """One that begins no transactions by itself, which VACUUM does not stand."""
    return sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)


def _pragma(path: Path, name: str) -> int:
    with closing(_plain_connection(path)) as connection:
        return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
