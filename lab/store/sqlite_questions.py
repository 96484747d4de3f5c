"""Questions in SQL to store.db: an authorizer lets nothing through that changes anything."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.store.database import SqlAnswer
from lab.store.errors import BadQuestion
from lab.store.sql_views import SQLITE, VIEWS
from lab.store.sqlite_connections import reading_address

READING = frozenset(
    {
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_RECURSIVE,
    }
)
READING_PRAGMAS = frozenset({"table_info", "table_xinfo", "table_list", "index_list", "index_info"})
STEPS_BETWEEN_SIGNALS = 100_000
"""Instructions of SQLite's machine after which Ctrl-C is heard."""


def ask_file(path: Path, sql: str, limit: int | None) -> SqlAnswer:
    """The first `limit` rows of one SELECT; None = all. Raises BadQuestion."""
    with _reading(path) as connection:
        try:
            cursor = connection.execute(sql)
            rows = cursor.fetchall() if limit is None else cursor.fetchmany(limit + 1)
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise BadQuestion(_in_words(error)) from None
    if cursor.description is None:
        raise BadQuestion("sql: nothing was asked; write one SELECT statement")
    columns = tuple(column[0] for column in cursor.description)
    more = limit is not None and len(rows) > limit
    return SqlAnswer(columns, rows[:limit], more)


def file_columns(path: Path) -> dict[str, tuple[str, ...]]:
    """The tables of the file and their columns."""
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    with _reading(path) as connection:
        names = sorted(name for (name,) in connection.execute(query))
        return {
            name: tuple(row[1] for row in connection.execute(f'PRAGMA table_info("{name}")'))
            for name in names
        }


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(reading_address(path), uri=True)
    try:
        connection.execute("PRAGMA temp_store = MEMORY")
        for statement in (*SQLITE.class_names, *(view.create_sql(SQLITE) for view in VIEWS)):
            connection.execute(statement)
        connection.commit()
        connection.execute("PRAGMA query_only = ON")
        connection.set_authorizer(_allow_reading)
        connection.set_progress_handler(lambda: 0, STEPS_BETWEEN_SIGNALS)
        yield connection
    finally:
        connection.close()


def _allow_reading(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    reads = action in READING or (
        action == sqlite3.SQLITE_PRAGMA and first in READING_PRAGMAS and second is not None
    )
    return sqlite3.SQLITE_OK if reads else sqlite3.SQLITE_DENY


def _in_words(error: Exception) -> str:
    text = str(error)
    if "authoriz" in text or "readonly" in text or "prohibited" in text:
        return "sql: only questions are allowed here, and this statement would change something"
    if "one statement" in text:
        return "sql: write one statement at a time"
    if "no such table" in text or "no such column" in text:
        return f"sql: {text}; `seglab sql --tables` lists what there is"
    return f"sql: {text}"
