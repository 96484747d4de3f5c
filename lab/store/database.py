"""What SQLite and PostgreSQL do differently, as one set of verbs; all else is SQLAlchemy Core.

`SqliteFile` (sqlite.py) and `PostgresServer` (postgres.py) are the two. A connection knows its
own: `database_of(connection)`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, Table
from sqlalchemy.exc import DatabaseError

VARIABLE = "SEGLAB_STORE"
"""Names the URL of a PostgreSQL database; unset or empty = a file in the store's directory."""
A_FILE = ""
"""In place of a URL: the rows lie in a file, whatever SEGLAB_STORE says."""
OPTION = "seglab_database"
"""The execution option of an engine that holds its Database."""

Rows = Sequence[Sequence[object]]
"""Rows of plain values, in the order of the columns that are named beside them. NaN is NULL."""


@dataclass(frozen=True, slots=True)
class Shrunk:
    """Bytes of the database before and after; a sentence when it could not be made smaller."""

    before: int
    after: int
    why_not: str | None = None


@dataclass(frozen=True, slots=True)
class SqlAnswer:
    """A table of plain values."""

    columns: tuple[str, ...]
    rows: list[tuple[object, ...]]
    more: bool
    """There are more rows than were asked for."""


class Database(Protocol):
    """Where the rows of a store lie."""

    @property
    def name(self) -> str:
        """What people call it: a path or a URL, never with a password."""
        ...

    def can_be_read(self) -> bool:
        """Whether there is something to connect to that connecting would not make."""
        ...

    def reader(self) -> Engine:
        """Connections that see one moment of the store and cannot change it."""
        ...

    def writer(self) -> Engine: ...

    def take_turn(self, connection: Connection) -> None:
        """Wait until no other transaction of this kind is open; ends with the transaction."""
        ...

    def version(self, connection: Connection) -> int:
        """Of the schema; 0 = empty. Raises StoreError when it holds something else."""
        ...

    def set_version(self, connection: Connection, version: int) -> None: ...

    def insert(
        self, connection: Connection, table: Table, columns: Sequence[str], rows: Rows
    ) -> None:
        """Write many rows, as fast as it goes. No JSON; columns left out are NULL or numbered."""
        ...

    def upsert(
        self, connection: Connection, table: Table, rows: Rows, *, only_if: str | None = None
    ) -> None:
        """Write rows of all columns in place of those with the same primary key."""
        ...

    def counting(self, connection: Connection) -> AbstractContextManager[Connection]:
        """Where a counter is moved on, so that others who need the next number need not wait."""
        ...

    def size(self, connection: Connection, /) -> int:
        """Bytes on disk."""
        ...

    def shrink(self, going: Sequence[str]) -> Shrunk:
        """Give freed space back to the disk; `going` = ids of the runs that are being recorded."""
        ...

    def ask(self, sql: str, limit: int | None) -> SqlAnswer:
        """Answer a person's question. Raises BadQuestion."""
        ...

    def columns(self) -> dict[str, tuple[str, ...]]:
        """The tables there are, with their columns."""
        ...

    def reason(self, error: DatabaseError | OSError) -> str:
        """Why it failed, in one sentence without secrets."""
        ...

    def environment(self) -> Mapping[str, str]:
        """What makes another process open the same database."""
        ...


def database_of(connection: Connection) -> Database:
    """The database of a store's connection."""
    options: Mapping[str, Any] = connection.get_execution_options()
    return options[OPTION]
