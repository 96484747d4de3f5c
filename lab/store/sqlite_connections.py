"""How a process talks to store.db: write-ahead log, polite writers, read-only readers."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Literal

import numpy as np
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

from lab.store.database import OPTION, Database

BUSY_SECONDS = 30.0
"""How long one process waits for another's transaction."""
POLL_SECONDS = 0.002
"""How often it looks whether the other's is over."""
PAGE_BYTES = 8192
LEAST_ROOM = 64 * 1024
"""store.db-shm takes 32 KiB, and a small change in the log about as much."""
NUMPY_NUMBERS = (np.int8, np.int16, np.int32, np.int64, np.uint8, np.float32, np.bool_)


def adapt_numpy() -> None:
    """Let sqlite3 take numpy's numbers as numbers; it would store an np.int64 as bytes."""
    for kind in NUMPY_NUMBERS:
        sqlite3.register_adapter(kind, _plain_number)


def _plain_number(value: np.generic) -> int | float:
    return value.item()


def reading_address(path: Path) -> str:
    """The URI by which sqlite3 opens a store for reading, as it lies there now."""
    return f"{path.as_uri()}?mode=ro{'&immutable=1' if _is_still(path) else ''}"


def log_is_empty(path: Path) -> bool:
    """Whether everything is in the file itself, nothing in its write-ahead log alone."""
    log = path.with_name(f"{path.name}-wal")
    return not log.exists() or log.stat().st_size == 0


def sqlite_engine(path: Path, mode: Literal["ro", "rwc"], database: Database) -> Engine:
    """Connections for reading, or for writing: those take the write lock when they begin."""

    def connect() -> sqlite3.Connection:
        connection = _reading(path) if mode == "ro" else _connected(f"{path.as_uri()}?mode=rwc")
        if mode == "rwc":
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # counts for new files only
            _switch_to_wal(connection)
            connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA cache_size = -32000")
        return connection

    engine = create_engine(
        "sqlite://",
        creator=connect,
        poolclass=QueuePool,
        pool_size=8,
        max_overflow=-1,
        execution_options={OPTION: database},
    )

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if mode == "ro":
            connection.exec_driver_sql("BEGIN")
        else:
            begin_writing(connection)

    return engine


def begin_writing(connection: Connection) -> None:
    """BEGIN IMMEDIATE, trying again at an even pace until it is our turn.

    SQLite's own waiting looks more and more seldom, up to ten times a second: among eight writers
    an unlucky one waits for seconds while newcomers pass it by.

    Raises:
        OperationalError: another process held the lock for BUSY_SECONDS, or the disk is full.
    """
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    deadline = time.monotonic() + BUSY_SECONDS
    driver.execute("PRAGMA busy_timeout = 0")
    try:
        while time.monotonic() < deadline and _is_locked(driver):
            time.sleep(POLL_SECONDS)
        if not driver.in_transaction:
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # says why not
    finally:
        driver.execute(f"PRAGMA busy_timeout = {int(1000 * BUSY_SECONDS)}")


def _is_locked(driver: sqlite3.Connection) -> bool:
    """Whether another process writes. If not, we do from now on, unless there is other trouble."""
    try:
        driver.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
    return False


def _reading(path: Path) -> sqlite3.Connection:
    """A connection for reading, also where the disk is full: SQLite makes a small file beside a
    store that nobody has open. Without it we can read what is all in store.db."""
    connection = _connected(reading_address(path))
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        if not (is_full(path) and log_is_empty(path)):
            raise
        connection = _connected(f"{path.as_uri()}?mode=ro&immutable=1")
    return connection


def _connected(address: str) -> sqlite3.Connection:
    return sqlite3.connect(
        address,
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,  # we begin transactions ourselves
        check_same_thread=False,
    )


def is_full(path: Path) -> bool:
    """Whether the disk of a store has no room for what SQLite makes beside it."""
    return shutil.disk_usage(path.parent).free < LEAST_ROOM


def _is_still(path: Path) -> bool:
    """Whether the store lies in a directory that cannot be written to, with no log beside it.

    SQLite reads through a file that it makes beside a store (store.db-shm), and cannot here. It
    needs none when everything is in store.db; a log with something in it says that not all is.
    """
    return not os.access(path.parent, os.W_OK) and log_is_empty(path)


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Write-ahead log: readers go on while one writes. Kept in the file once set."""
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    if mode != "wal":
        # Two processes may create the store at once; the lock makes the second one wait, which
        # the switch of the journal mode alone would not do.
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")
