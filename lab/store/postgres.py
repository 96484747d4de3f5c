"""The store's rows in a PostgreSQL database, for runs on several machines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    Engine,
    Float,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    text,
)
from sqlalchemy.exc import DatabaseError
from sqlalchemy.types import TypeEngine

from lab.store.database import VARIABLE, Rows, Shrunk, SqlAnswer
from lab.store.errors import StoreError
from lab.store.postgres_address import parse_address, shown, without_password
from lab.store.postgres_connections import postgres_engine
from lab.store.postgres_questions import ask_server
from lab.store.statements import upsert_sql

VERSION_TABLE = "seglab_schema"
"""One row: the version of the schema. It marks the database as a seglab store."""
LOCK = 0x5E61AB
"""First half of the key of the lock that writers take turns by; the second is the schema's."""
TABLES_HERE = """
    SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p')
    AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = c.oid AND d.deptype = 'e')"""
"""Tables of the schema in use, but for those that came with an extension."""
BIG_TABLES = "label_masks, labels, label_sets, scalars"
REWRITE_SECONDS = 5


class PostgresServer:
    """A `Database`: one schema of a database; writers that must be alone take turns by a lock."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._url = parse_address(address)

    @property
    def name(self) -> str:
        return shown(self._url)

    def can_be_read(self) -> bool:
        """Connecting makes nothing."""
        return True

    def reader(self) -> Engine:
        return postgres_engine(self._url, self, read_only=True)

    def writer(self) -> Engine:
        return postgres_engine(self._url, self, read_only=False)

    def take_turn(self, connection: Connection) -> None:
        """One lock for all writers of this schema. What they read afterwards is what the one
        before them has committed, because the transaction is READ COMMITTED."""
        lock = text("SELECT pg_advisory_xact_lock(:store, hashtext(current_schema()))")
        connection.execute(lock, {"store": LOCK})

    def version(self, connection: Connection) -> int:
        tables = set(connection.scalars(text(TABLES_HERE)))
        if VERSION_TABLE in tables:
            return connection.execute(text(f"SELECT version FROM {VERSION_TABLE}")).scalar_one()
        if tables:
            raise StoreError(
                f"{self.name}: has tables that seglab did not make ({sorted(tables)[0]}); give "
                "seglab a database of its own, or a schema: ?options=-csearch_path%3DNAME"
            )
        return 0

    def set_version(self, connection: Connection, version: int) -> None:
        table = f"{VERSION_TABLE} (version integer NOT NULL)"
        connection.execute(text(f"CREATE TABLE IF NOT EXISTS {table}"))
        connection.execute(text(f"DELETE FROM {VERSION_TABLE}"))
        insert = text(f"INSERT INTO {VERSION_TABLE} (version) VALUES (:version)")
        connection.execute(insert, {"version": version})

    def insert(
        self, connection: Connection, table: Table, columns: Sequence[str], rows: Rows
    ) -> None:
        """By COPY in its binary form: more than twice as fast as INSERT."""
        if not rows:
            return
        kinds = [_kind(table.c[name].type) for name in columns]
        copy = f"COPY {table.name} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)"
        with _cursor(connection) as cursor, cursor.copy(copy) as stream:
            stream.set_types(kinds)
            for row in rows:
                stream.write_row([None if value != value else value for value in row])

    def upsert(
        self, connection: Connection, table: Table, rows: Rows, *, only_if: str | None = None
    ) -> None:
        if rows:
            statement = upsert_sql(table, "%s", only_if=only_if)
            connection.exec_driver_sql(statement, [tuple(row) for row in rows])

    @contextmanager
    def counting(self, connection: Connection) -> Iterator[Connection]:
        """A short transaction of its own: the counter's row is free again at once. Numbers that
        the caller then does not use are lost, which harms nobody.

        It need not wait for the disk: whatever is committed later takes it along.
        """
        with connection.engine.begin() as own:
            own.execute(text("SET LOCAL synchronous_commit = off"))
            yield own

    def size(self, connection: Connection, /) -> int:
        """Bytes of the tables with their indexes."""
        listed = f"SELECT format('%I', relname)::regclass AS id FROM ({TABLES_HERE}) AS here"
        query = text(f"SELECT coalesce(sum(pg_total_relation_size(id)), 0) FROM ({listed}) AS t")
        return int(connection.execute(query).scalar_one())

    def shrink(self, going: Sequence[str]) -> Shrunk:
        """VACUUM, which lets new rows use the space; when nothing is recorded, VACUUM FULL, which
        gives it back to the disk."""
        engine = self.writer().execution_options(isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                before = self.size(connection)
                why_not = self._vacuum(connection, going)
                return Shrunk(before, self.size(connection), why_not)
        finally:
            engine.dispose()

    def _vacuum(self, connection: Connection, going: Sequence[str]) -> str | None:
        connection.execute(text(f"VACUUM (ANALYZE) {BIG_TABLES}"))
        if going:
            return (
                f"{len(going)} runs are being recorded ({', '.join(going[:3])}): the freed space "
                "is used again by new rows; run gc when they have ended to give it to the disk"
            )
        try:
            connection.execute(text(f"SET lock_timeout = '{REWRITE_SECONDS}s'"))
            connection.execute(text(f"VACUUM (FULL, ANALYZE) {BIG_TABLES}"))
        except DatabaseError as error:
            reason = self.reason(error)
            return f"the tables are in use ({reason}): run gc again later to make them smaller"
        return None

    def ask(self, sql: str, limit: int | None) -> SqlAnswer:
        return ask_server(self._url, sql, limit)

    def columns(self) -> dict[str, tuple[str, ...]]:
        query = text(
            "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE table_schema = current_schema() ORDER BY table_name, ordinal_position"
        )
        found: dict[str, tuple[str, ...]] = {}
        engine = self.reader()
        with engine.connect() as connection:
            for table, column in connection.execute(query):
                found[table] = (*found.get(table, ()), column)
        engine.dispose()
        found.pop(VERSION_TABLE, None)
        return found

    def reason(self, error: DatabaseError | OSError) -> str:
        """The first line of what libpq says; the next ones repeat it per address."""
        said = str(error.orig) if isinstance(error, DatabaseError) else str(error)
        line = said.strip().splitlines()[0] if said.strip() else type(error).__name__
        return without_password(line.removeprefix("connection failed: "), self._url)

    def environment(self) -> Mapping[str, str]:
        return {VARIABLE: self._address}


def _kind(kind: TypeEngine) -> str:
    """The type's name in PostgreSQL, for COPY's binary form."""
    match kind:
        case SmallInteger():
            return "int2"
        case BigInteger():
            return "int8"
        case Integer():
            return "int4"
        case Float():
            return "float8"
        case Boolean():
            return "bool"
        case LargeBinary():
            return "bytea"
        case _:
            return "text"


def _cursor(connection: Connection):
    """psycopg's own cursor, in the transaction of the connection."""
    driver = connection.connection.driver_connection
    assert driver is not None
    return driver.cursor()
