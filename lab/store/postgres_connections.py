"""How a process talks to PostgreSQL: the only file that imports psycopg."""

from __future__ import annotations

from typing import Any

import numpy as np
import psycopg
from psycopg.types.numeric import FloatDumper
from psycopg.types.string import TextLoader
from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.pool import ConnectionPoolEntry, NullPool, QueuePool

from lab.store.database import OPTION, Database

DriverError = psycopg.Error
CONNECT_SECONDS = 10
WAIT_FOR_OTHERS = "SET lock_timeout = '30s'"
"""How long one process waits for another's transaction."""


class NumberDumper(FloatDumper):
    """NaN becomes NULL, as in an SQLite file; numpy's floats are numbers."""

    def dump(self, obj: Any) -> Any:
        return None if obj != obj else super().dump(float(obj))


class BinaryCursor(psycopg.Cursor[Any]):
    """Answers come in binary form: packed labels need not be spelled out as hexadecimal."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.format = psycopg.pq.Format.BINARY


class NumericLoader(TextLoader):
    """Sums and means as int or float, not as Decimal."""

    def load(self, data: Any) -> Any:
        text = bytes(data).decode()
        return float(text) if "." in text or "N" in text else int(text)


def postgres_engine(url: URL, database: Database, *, read_only: bool) -> Engine:
    """Connections for reading, each transaction one moment of the store, or for writing."""
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=8,
        max_overflow=-1,
        pool_pre_ping=True,  # a server that was restarted has forgotten us
        use_native_hstore=False,
        connect_args=_arguments(url),
        execution_options={OPTION: database},
    )

    @event.listens_for(engine, "connect")
    def _connected(connection: psycopg.Connection, _: ConnectionPoolEntry) -> None:
        _speak_as_sqlite_does(connection)
        if read_only:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            connection.cursor_factory = BinaryCursor
        else:
            connection.execute(WAIT_FOR_OTHERS)
            connection.commit()

    return engine


def question_engine(url: URL) -> Engine:
    """Connections for a person's question: JSON stays text, and nothing lives on."""
    engine = create_engine(
        url, poolclass=NullPool, use_native_hstore=False, connect_args=_arguments(url)
    )

    @event.listens_for(engine, "connect")
    def _connected(connection: psycopg.Connection, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        for name in ("json", "jsonb"):
            connection.adapters.register_loader(name, TextLoader)
        connection.adapters.register_loader("numeric", NumericLoader)

    return engine


def _speak_as_sqlite_does(connection: psycopg.Connection) -> None:
    for kind in (float, np.float32, np.float64):
        connection.adapters.register_dumper(kind, NumberDumper)


def _arguments(url: URL) -> dict[str, object]:
    """What the URL does not say itself."""
    wanted = {"connect_timeout": CONNECT_SECONDS, "application_name": "seglab"}
    return {key: value for key, value in wanted.items() if key not in url.query}
