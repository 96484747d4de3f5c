"""One directory that remembers every run: store.db beside runs/<run_id>/."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Self

import numpy as np
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import QueuePool

from lab.store.errors import StoreError
from lab.store.schema import check_not_newer, check_readable, create_or_migrate

BUSY_SECONDS = 30.0
"""How long one process waits for another's transaction."""
PAGE_BYTES = 8192
NUMPY_NUMBERS = (np.int8, np.int16, np.int32, np.int64, np.uint8, np.float32, np.bool_)
RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def default_root() -> Path:
    """Where runs go when nothing else is said: $SEGLAB_HOME, else ./seglab-data."""
    return Path(os.environ.get("SEGLAB_HOME") or "seglab-data")


class Store:
    """An open store. Safe to share between threads; every process opens its own.

    Readers and writers use separate connections: reading never waits for a writer, and a writer
    takes the write lock when its transaction begins, so that two of them queue up politely.
    """

    def __init__(self, root: Path, reader: Engine, writer: Engine | None) -> None:
        self.root = root
        self._reader = reader
        self._writer = writer

    @classmethod
    def open(cls, root: Path | None = None, *, read_only: bool = False) -> Self:
        """Open the store at `root`, creating or migrating it unless `read_only`.

        Raises:
            StoreTooNew: a newer seglab wrote it.
            StoreError: there is none to read, it is no seglab store, or it cannot be opened.
        """
        root = (root if root is not None else default_root()).expanduser().absolute()
        path = root / "store.db"
        _adapt_numpy()
        if read_only and not path.is_file():
            raise StoreError(
                f"{path}: no store here; train a run first, or set SEGLAB_HOME to one that exists"
            )
        store = cls(root, _engine(path, "ro"), None if read_only else _engine(path, "rwc"))
        try:
            store._prepare()
        except (DatabaseError, OSError) as error:
            store.close()
            raise StoreError(f"{path}: cannot be opened: {_reason(error, path)}") from error
        except StoreError:
            store.close()
            raise
        return store

    @property
    def path(self) -> Path:
        return self.root / "store.db"

    @property
    def read_only(self) -> bool:
        return self._writer is None

    def run_directory(self, run_id: str) -> Path:
        """Where a run keeps its files: checkpoints/, predictions/, log.txt. Not created here."""
        if not RUN_ID.fullmatch(run_id):
            raise StoreError(f"run id {run_id!r}: letters, digits, '-', '_' and '.' only")
        return self.root / "runs" / run_id

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one consistent moment of the store and cannot change it."""
        with self._reader.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction: all of it is written when the block ends, nothing if it raises."""
        if self._writer is None:
            raise StoreError(f"{self.path}: opened read-only")
        with self._writer.begin() as connection:
            yield connection

    def close(self) -> None:
        self._reader.dispose()
        if self._writer is not None:
            self._writer.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _prepare(self) -> None:
        if self._writer is None:
            with self.reading() as connection:
                check_readable(connection, self.path)
            return
        self.root.mkdir(parents=True, exist_ok=True)
        if self.path.is_file():  # refuse a foreign or newer file before touching it
            with self.reading() as connection:
                check_not_newer(connection, self.path)
        with self.writing() as connection:
            create_or_migrate(connection, self.path)


def _adapt_numpy() -> None:
    """Let sqlite3 take numpy's numbers as numbers; it would store an np.int64 as bytes."""
    for kind in NUMPY_NUMBERS:
        sqlite3.register_adapter(kind, _plain_number)


def _plain_number(value: np.generic) -> int | float:
    return value.item()


def reading_address(path: Path) -> str:
    """The URI by which sqlite3 opens a store for reading, as it lies there now."""
    return f"{path.as_uri()}?mode=ro{'&immutable=1' if _is_still(path) else ''}"


def _is_still(path: Path) -> bool:
    """Whether the store lies in a directory that cannot be written to, with no log beside it.

    SQLite reads through a file that it makes beside a store (store.db-shm), and cannot here. It
    needs none when everything is in store.db; a log with something in it says that not all is.
    """
    return not os.access(path.parent, os.W_OK) and _log_is_empty(path)


def _log_is_empty(path: Path) -> bool:
    log = path.with_name(f"{path.name}-wal")
    return not log.exists() or log.stat().st_size == 0


def _engine(path: Path, mode: Literal["ro", "rwc"]) -> Engine:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            reading_address(path) if mode == "ro" else f"{path.as_uri()}?mode={mode}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,  # we begin transactions ourselves, below
            check_same_thread=False,
        )
        if mode == "rwc":
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # counts for new files only
            _switch_to_wal(connection)
            connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA cache_size = -32000")
        return connection

    engine = create_engine(
        "sqlite://", creator=connect, poolclass=QueuePool, pool_size=8, max_overflow=-1
    )
    begin = "BEGIN" if mode == "ro" else "BEGIN IMMEDIATE"

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Write-ahead log: readers go on while one writes. Kept in the file once set."""
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    if mode != "wal":
        # Two processes may create the store at once; the lock makes the second one wait, which
        # the switch of the journal mode alone would not do.
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")


def _reason(error: Exception, path: Path) -> str:
    text = str(error.orig) if isinstance(error, DatabaseError) else str(error)
    if not path.parent.is_dir() or os.access(path.parent, os.W_OK):
        return text
    if _log_is_empty(path):
        return f"{text}; its directory is read-only, so it can be read but not written"
    return (
        f"{text}; its directory is read-only, and {path.name}-wal holds what is not in {path.name} "
        "yet: open the store once where it can be written, or copy its directory"
    )
