"""The schema's version, and the way forward from every older one.

The version lives in the file itself (PRAGMA user_version). A new store is created at the newest
version; an older one walks through the migrations it has not seen, in one transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, insert

from lab.store.errors import StoreError, StoreTooNew
from lab.store.migrations import MIGRATIONS, Migration
from lab.store.tables import METADATA, counters

APPLICATION_ID = 0x5E61AB
"""Marks the file as a seglab store (PRAGMA application_id)."""


def newest_version(migrations: Sequence[Migration] = MIGRATIONS) -> int:
    return 1 + len(migrations)


def create_or_migrate(
    connection: Connection, path: Path, migrations: Sequence[Migration] = MIGRATIONS
) -> None:
    """Bring the store to the newest version inside the caller's transaction.

    Raises:
        StoreTooNew: the store is ahead of this seglab.
        StoreError: the file is some other SQLite database.
    """
    newest = newest_version(migrations)
    found = check_not_newer(connection, path, migrations)
    if found == 0:
        METADATA.create_all(connection)
        connection.execute(insert(counters).values(name="label_id", value=0))
        connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
    else:
        for migrate in migrations[found - 1 :]:
            migrate(connection)
    if found != newest:
        connection.exec_driver_sql(f"PRAGMA user_version = {newest}")


def check_readable(
    connection: Connection, path: Path, migrations: Sequence[Migration] = MIGRATIONS
) -> None:
    """A reader cannot migrate: refuse every version but the newest.

    Raises:
        StoreTooNew, StoreError: as `create_or_migrate`, and for an older or empty store.
    """
    newest = newest_version(migrations)
    found = check_not_newer(connection, path, migrations)
    if found < newest:
        raise StoreError(
            f"{path}: schema version {found}, this seglab reads version {newest}; "
            "open the store once for writing to bring it up to date"
        )


def check_not_newer(
    connection: Connection, path: Path, migrations: Sequence[Migration] = MIGRATIONS
) -> int:
    """The version of the store, if this seglab knows it.

    Raises:
        StoreTooNew, StoreError: as `create_or_migrate`.
    """
    found = stored_version(connection, path)
    newest = newest_version(migrations)
    if found > newest:
        raise StoreTooNew(
            f"{path}: schema version {found}, this seglab knows up to {newest}; "
            "upgrade seglab, or point SEGLAB_HOME at another directory"
        )
    return found


def stored_version(connection: Connection, path: Path) -> int:
    """The version of the file, 0 when it is still empty."""
    if _pragma(connection, "application_id") == APPLICATION_ID:
        return _pragma(connection, "user_version")
    if connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one():
        raise StoreError(f"{path}: an SQLite database, but not one that seglab made")
    return 0


def _pragma(connection: Connection, name: str) -> int:
    return int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
