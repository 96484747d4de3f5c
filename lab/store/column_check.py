"""Does an SQLite file hold in its columns what they are declared to hold?

SQLite keeps text in a column of numbers when it is given some. Stores of ours hold none; a file
that comes from elsewhere may, and nothing that reads a store expects it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import JSON, Boolean, Column, Connection, Float, Integer, LargeBinary, Row, Table

from lab.store.packing import PACKED, PACKED_BOX, PACKED_BOX_3
from lab.store.tables import label_sets

SHOWN = 60
"""So many letters of a wrong value are told."""
LISTS = ("categories", "command")
"""Columns whose JSON is a list; the others' is an object."""
LENGTHS = {"packed": (PACKED,), "packed_boxes": (PACKED_BOX, PACKED_BOX_3)}
"""What the bytes of `label_sets` are records of, one per candidate."""


def misfit(connection: Connection, tables: Sequence[Table]) -> str | None:
    """The first value that does not fit its column, with both named; None = all fit.

    One pass over each table, about 1 s for half a million labels.
    """
    for table in tables:
        wrong = {column.name: _is_wrong(column) for column in table.columns}
        if table is label_sets:
            wrong |= {name: f"({wrong[name]}) OR {_has_wrong_length(name)}" for name in LENGTHS}
        found = _first_wrong(connection, table, wrong) or _first_bad_json(connection, table)
        if found is not None:
            return found
    return None


def _is_wrong(column: Column) -> str:
    """A condition in SQL. Of numbers it is a comparison: text is more than every number, and to
    ask for the type takes three times as long."""
    name = column.name
    if isinstance(column.type, Float):
        return f"{name} >= ''" if column.nullable else f"{name} >= '' OR {name} IS NULL"
    differs = f"typeof({name}) <> '{_storage(column)}'"
    return f"{differs} AND {name} IS NOT NULL" if column.nullable else differs


def _storage(column: Column) -> str:
    """What SQLite calls the way its values are kept."""
    if isinstance(column.type, (Integer, Boolean)):
        return "integer"
    return "blob" if isinstance(column.type, LargeBinary) else "text"


def _has_wrong_length(name: str) -> str:
    sizes = ", ".join(f"{form.itemsize} * candidates" for form in LENGTHS[name])
    return f"length({name}) NOT IN ({sizes})"


def _first_wrong(connection: Connection, table: Table, wrong: dict[str, str]) -> str | None:
    anywhere = " OR ".join(f"({condition})" for condition in wrong.values())
    if not _rows(connection, f"SELECT 1 FROM {table.name} WHERE {anywhere} LIMIT 1"):
        return None
    for column in table.columns:
        query = f"SELECT {column.name} FROM {table.name} WHERE {wrong[column.name]} LIMIT 1"
        for (value,) in _rows(connection, query):
            return _sentence(table, column, value)
    return None


def _first_bad_json(connection: Connection, table: Table) -> str | None:
    for column in table.columns:
        if not isinstance(column.type, JSON):
            continue
        for (value,) in _rows(connection, f"SELECT {column.name} FROM {table.name}"):
            if not _is_json(value, list if column.name in LISTS else dict):
                return _sentence(table, column, value)
    return None


def _is_json(text: str, kind: type) -> bool:
    try:
        return isinstance(json.loads(text), kind)
    except ValueError:
        return False


def _sentence(table: Table, column: Column, value: object) -> str:
    if isinstance(value, bytes) and column.name in LENGTHS:
        return f"{table.name}.{column.name}: {len(value)} bytes, which do not fit its candidates"
    text = repr(value)
    shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
    return f"{table.name}.{column.name}: {shown}, expected {_expected(column)}"


def _expected(column: Column) -> str:
    if isinstance(column.type, JSON):
        return "a list in JSON" if column.name in LISTS else "an object in JSON"
    if isinstance(column.type, Float):
        return "a number"
    return {"integer": "a whole number", "blob": "bytes", "text": "text"}[_storage(column)]


def _rows(connection: Connection, query: str) -> Sequence[Row[Any]]:
    return connection.exec_driver_sql(query).all()
