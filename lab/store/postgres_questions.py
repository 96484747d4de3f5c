"""Questions in SQL to a PostgreSQL store: in a transaction that cannot write and is rolled back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from sqlalchemy import URL, text
from sqlalchemy.exc import DatabaseError

from lab.store.database import SqlAnswer
from lab.store.errors import BadQuestion
from lab.store.postgres_connections import DriverError, question_engine
from lab.store.sql_views import POSTGRES, VIEWS

QUESTIONS = ("SELECT", "WITH", "VALUES", "TABLE", "EXPLAIN", "SHOW")
"""What a statement that only asks begins with. COPY, DO, SET and the like can do more."""
BEFORE_IT = re.compile(r"(\s|\(|--[^\n]*(\n|$)|/\*.*?\*/)*", re.DOTALL)
READ_ONLY = "25006"
UNKNOWN_NAMES = ("42P01", "42703")
"""SQLSTATE of an unknown table, or column."""


def ask_server(url: URL, sql: str, limit: int | None) -> SqlAnswer:
    """The first `limit` rows of one SELECT; None = all. Raises BadQuestion."""
    _check_asks(sql)
    with _reading(url) as cursor:
        try:
            found = cursor.stream(sql)  # reads no further than we do, and takes one statement only
            rows = [tuple(row) for row in islice(found, None if limit is None else limit + 1)]
            found.close()
            if not rows:  # then the stream did not learn the columns
                cursor.execute(sql, prepare=True)
            columns = tuple(column.name for column in cursor.description or ())
        except DriverError as error:
            raise BadQuestion(_in_words(error)) from None
    return SqlAnswer(columns, rows[:limit], limit is not None and len(rows) > limit)


def _check_asks(sql: str) -> None:
    begin = BEFORE_IT.match(sql)
    rest = sql[begin.end() if begin else 0 :]
    if not rest.strip(" ;\n\t"):
        raise BadQuestion("sql: nothing was asked; write one SELECT statement")
    if not rest.upper().startswith(QUESTIONS):
        raise BadQuestion(
            "sql: only questions are allowed here: statements that begin with "
            f"{', '.join(QUESTIONS[:-1])} or {QUESTIONS[-1]}"
        )


@contextmanager
def _reading(url: URL) -> Iterator[Any]:
    """A psycopg cursor in a transaction that has the views, and cannot write any more."""
    with question_engine(url).connect() as connection:
        try:
            for statement in (*POSTGRES.class_names, *(v.create_sql(POSTGRES) for v in VIEWS)):
                connection.exec_driver_sql(statement)
            connection.execute(text("SET TRANSACTION READ ONLY"))
        except DatabaseError as error:
            raise BadQuestion(f"sql: the views cannot be made: {error.orig}") from None
        driver = connection.connection.driver_connection
        assert driver is not None
        yield driver.cursor()


def _in_words(error: Exception) -> str:
    line = str(error).strip().splitlines()[0]
    state = getattr(error, "sqlstate", None)
    if state == READ_ONLY:
        return "sql: only questions are allowed here, and this statement would change something"
    if "multiple commands" in line:
        return "sql: write one statement at a time"
    if state in UNKNOWN_NAMES:
        return f"sql: {line}; `seglab sql --tables` lists what there is"
    return f"sql: {line}"
