"""Questions in SQL, by people: they can read everything and change nothing."""

from __future__ import annotations

from lab.store.database import SqlAnswer
from lab.store.errors import BadQuestion
from lab.store.store import Store

__all__ = ["BadQuestion", "SqlAnswer", "ask_sql", "table_columns"]


def ask_sql(store: Store, sql: str, limit: int | None = 1000) -> SqlAnswer:
    """The first `limit` rows of one SELECT; None = all.

    Raises:
        BadQuestion: it is no single statement that only reads, or it cannot be answered.
    """
    return store.database.ask(sql, limit)


def table_columns(store: Store) -> dict[str, tuple[str, ...]]:
    """The store's own tables and their columns, as in tables.py."""
    return store.database.columns()
