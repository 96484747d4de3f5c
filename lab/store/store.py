"""What remembers every run: rows in a database, beside files in a directory.

The rows lie in ROOT/store.db, or in the PostgreSQL database that SEGLAB_STORE names; what a run
writes as files (checkpoints, predictions, log) lies in ROOT/runs/<run_id>/ either way.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DatabaseError

from lab.store.database import VARIABLE, Database
from lab.store.errors import StoreError, StoreMissing
from lab.store.postgres_address import default_address
from lab.store.schema import check_not_newer, check_readable, create_or_migrate
from lab.store.sqlite import SqliteFile

RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def default_root() -> Path:
    """Where runs go when nothing else is said: $SEGLAB_HOME, else ./seglab-data."""
    return Path(os.environ.get("SEGLAB_HOME") or "seglab-data")


def database_at(root: Path, url: str | None = None) -> Database:
    """The database of the store in `root`: the one at the URL, else its file.

    Raises:
        StoreError: the URL is none, or its driver is not installed.
    """
    if not url:
        return SqliteFile(root / "store.db")
    try:
        from lab.store.postgres import PostgresServer  # psycopg is needed for nothing else
    except ImportError as error:
        raise StoreError(
            f"{VARIABLE}: a PostgreSQL store needs psycopg, which cannot be imported "
            f"({error}): pip install -e '.[postgres]'"
        ) from None
    return PostgresServer(url)


class Store:
    """An open store. Safe to share between threads; every process opens its own.

    Readers and writers use separate connections: reading never waits for a writer, and a writer
    takes its turn when its transaction begins, so that two of them queue up politely.
    """

    def __init__(
        self, root: Path, database: Database, reader: Engine, writer: Engine | None
    ) -> None:
        self.root = root
        self.database = database
        self._reader = reader
        self._writer = writer

    @classmethod
    def open(
        cls, root: Path | None = None, *, url: str | None = None, read_only: bool = False
    ) -> Self:
        """Open the store at `root`, creating or migrating it unless `read_only`.

        Args:
            url: of a PostgreSQL database; None = the one in SEGLAB_STORE, "" = a file in `root`.

        Raises:
            StoreMissing: there is none to read.
            StoreTooNew: a newer seglab wrote it.
            StoreTooOld: an older one wrote it, and `read_only` cannot bring it up to date.
            StoreError: it is no seglab store, or it cannot be opened.
        """
        root = (root if root is not None else default_root()).expanduser().absolute()
        database = database_at(root, default_address() if url is None else url)
        if read_only and not database.can_be_read():
            raise StoreMissing(
                f"{database.name}: no store here; train a run first, or set SEGLAB_HOME to one "
                "that exists"
            )
        store = cls(root, database, database.reader(), None if read_only else database.writer())
        try:
            store._prepare()
        except (DatabaseError, OSError) as error:
            store.close()
            reason = database.reason(error)
            raise StoreError(f"{database.name}: cannot be opened: {reason}") from error
        except StoreError:
            store.close()
            raise
        return store

    @property
    def name(self) -> str:
        """Where the rows lie: a path, or a URL without its password."""
        return self.database.name

    @property
    def read_only(self) -> bool:
        return self._writer is None

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables that make another process open the same database, beside `root`."""
        return self.database.environment()

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
        """One transaction, alone: all of it is written when the block ends, nothing if it raises.

        What is read in it stays so until it ends: no other `writing` block runs meanwhile.
        """
        with self.appending() as connection:
            self.database.take_turn(connection)
            yield connection

    @contextmanager
    def appending(self) -> Iterator[Connection]:
        """As `writing`, but where a database can, beside others: for rows that one process alone
        writes, such as those of the run it records."""
        if self._writer is None:
            raise StoreError(f"{self.name}: opened read-only")
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
                check_readable(connection)
            return
        self.root.mkdir(parents=True, exist_ok=True)
        if self.database.can_be_read():  # refuse a foreign or newer one before touching it
            with self.reading() as connection:
                check_not_newer(connection)
        with self.writing() as connection:
            create_or_migrate(connection)
