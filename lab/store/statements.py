"""SQL for the writer's fast path: plain strings, positional parameters, made from the tables.

SQLAlchemy's own insert costs twice as much per row; `Connection.exec_driver_sql` with these and
a list of tuples is nearly as fast as sqlite3 itself.
"""

from __future__ import annotations

from sqlalchemy import Table


def insert_sql(table: Table, columns: int | None = None) -> str:
    """INSERT with one parameter per column, in the order of the table; the others are NULL.

    `columns` = how many of the table's first columns are given; None = all.
    """
    names = [column.name for column in table.columns][:columns]
    marks = ", ".join("?" for _ in names)
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks})"


def upsert_sql(table: Table, *, only_if: str | None = None) -> str:
    """INSERT that replaces the row with the same primary key, if `only_if` allows it."""
    key = ", ".join(column.name for column in table.primary_key)
    others = [c.name for c in table.columns if not c.primary_key]
    assignments = ", ".join(f"{name} = excluded.{name}" for name in others)
    guard = f" WHERE {only_if}" if only_if else ""
    return f"{insert_sql(table)} ON CONFLICT ({key}) DO UPDATE SET {assignments}{guard}"
