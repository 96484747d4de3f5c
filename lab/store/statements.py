"""SQL for the writer's fast path: plain strings, positional parameters, made from the tables.

SQLAlchemy's own insert costs twice as much per row; `Connection.exec_driver_sql` with these and
a list of tuples is nearly as fast as the driver itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Table


def insert_sql(table: Table, columns: Sequence[str], mark: str = "?", rows: int = 1) -> str:
    """INSERT of so many rows, with one parameter per column of each.

    `mark` = how the driver writes a parameter.
    """
    row = f"({', '.join(mark for _ in columns)})"
    return f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES {', '.join([row] * rows)}"


def upsert_sql(table: Table, mark: str = "?", *, only_if: str | None = None) -> str:
    """INSERT of all columns that replaces the row with the same key, if `only_if` allows it."""
    insert = insert_sql(table, column_names(table), mark)
    guard = f" WHERE {only_if}" if only_if else ""
    return f"{insert} {on_conflict_sql(table)}{guard}"


def on_conflict_sql(table: Table) -> str:
    """ON CONFLICT: what stands under the same primary key is replaced."""
    key = ", ".join(column.name for column in table.primary_key)
    others = [column.name for column in table.columns if not column.primary_key]
    assignments = ", ".join(f"{name} = excluded.{name}" for name in others)
    return f"ON CONFLICT ({key}) DO UPDATE SET {assignments}"


def column_names(table: Table) -> list[str]:
    return [column.name for column in table.columns]
