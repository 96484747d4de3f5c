"""The store's rows in one SQLite file, store.db: nothing to install, nothing to start."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from sqlalchemy import Connection, Engine, Table
from sqlalchemy.exc import DatabaseError

from lab.store.database import A_FILE, VARIABLE, Rows, Shrunk, SqlAnswer
from lab.store.errors import StoreError
from lab.store.sqlite_connections import adapt_numpy, is_full, log_is_empty, sqlite_engine
from lab.store.sqlite_questions import ask_file, file_columns
from lab.store.sqlite_space import shrink_file
from lab.store.statements import insert_sql, upsert_sql

ROWS_PER_INSERT = 50
"""Rows that one statement takes: a tenth less time than one each."""

APPLICATION_ID = 0x5E61AB
"""Marks the file as a seglab store (PRAGMA application_id)."""


class SqliteFile:
    """A `Database`: one file; writers take turns by its lock, from the start of a transaction."""

    def __init__(self, path: Path) -> None:
        self.path = path
        adapt_numpy()

    @property
    def name(self) -> str:
        return str(self.path)

    def can_be_read(self) -> bool:
        return self.path.is_file()

    def reader(self) -> Engine:
        return sqlite_engine(self.path, "ro", self)

    def writer(self) -> Engine:
        return sqlite_engine(self.path, "rwc", self)

    def take_turn(self, connection: Connection) -> None:
        """BEGIN IMMEDIATE did."""

    def version(self, connection: Connection) -> int:
        """The version of the file (PRAGMA user_version), 0 when it is still empty."""
        if _pragma(connection, "application_id") == APPLICATION_ID:
            return _pragma(connection, "user_version")
        if connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one():
            raise StoreError(f"{self.name}: an SQLite database, but not one that seglab made")
        return 0

    def set_version(self, connection: Connection, version: int) -> None:
        connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.exec_driver_sql(f"PRAGMA user_version = {version}")

    def insert(
        self, connection: Connection, table: Table, columns: Sequence[str], rows: Rows
    ) -> None:
        whole = len(rows) - len(rows) % ROWS_PER_INSERT
        for start, end, size in ((0, whole, ROWS_PER_INSERT), (whole, len(rows), 1)):
            groups = [
                tuple(chain.from_iterable(rows[first : first + size]))
                for first in range(start, end, size)
            ]
            if groups:
                connection.exec_driver_sql(insert_sql(table, columns, rows=size), groups)

    def upsert(
        self, connection: Connection, table: Table, rows: Rows, *, only_if: str | None = None
    ) -> None:
        if rows:
            statement = upsert_sql(table, only_if=only_if)
            connection.exec_driver_sql(statement, [tuple(row) for row in rows])

    @contextmanager
    def counting(self, connection: Connection) -> Iterator[Connection]:
        """The same transaction: there is only one at a time."""
        yield connection

    def size(self, _: Connection, /) -> int:
        """Bytes of the file with its write-ahead log."""
        files = (self.path, self.path.with_name(f"{self.path.name}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def shrink(self, going: Sequence[str]) -> Shrunk:
        return shrink_file(self.path, going)

    def ask(self, sql: str, limit: int | None) -> SqlAnswer:
        return ask_file(self.path, sql, limit)

    def columns(self) -> dict[str, tuple[str, ...]]:
        return file_columns(self.path)

    def reason(self, error: DatabaseError | OSError) -> str:
        text = str(error.orig) if isinstance(error, DatabaseError) else str(error)
        directory = self.path.parent
        if directory.is_dir() and is_full(self.path):
            return f"{text}; no space is left on its disk"
        if not directory.is_dir() or os.access(directory, os.W_OK):
            is_locked = self.path.is_file() and not os.access(self.path, os.W_OK)
            return f"{text}; the file is read-only" if is_locked else text
        if log_is_empty(self.path):
            return f"{text}; its directory is read-only, so it can be read but not written"
        return (
            f"{text}; its directory is read-only, and {self.path.name}-wal holds what is not in "
            f"{self.path.name} yet: open the store once where it can be written, or copy its "
            "directory"
        )

    def environment(self) -> Mapping[str, str]:
        return {VARIABLE: A_FILE}


def _pragma(connection: Connection, name: str) -> int:
    return int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
