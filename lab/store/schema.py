"""The schema's version, and the way forward from every older one.

The version lives in the database itself. A new store is created at the newest version; an older
one walks through the migrations it has not seen, in one transaction.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, insert

from lab.store.database import database_of
from lab.store.errors import StoreMissing, StoreTooNew, StoreTooOld
from lab.store.migrations import MIGRATIONS, Migration
from lab.store.tables import METADATA, counters


def newest_version(migrations: Sequence[Migration] = MIGRATIONS) -> int:
    return 1 + len(migrations)


def create_or_migrate(connection: Connection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring the store to the newest version inside the caller's transaction.

    Raises:
        StoreTooNew: the store is ahead of this seglab.
        StoreError: the database holds something else.
    """
    newest = newest_version(migrations)
    found = check_not_newer(connection, migrations)
    if found == 0:
        METADATA.create_all(connection, checkfirst=False)
        connection.execute(insert(counters).values(name="label_id", value=0))
    else:
        for migrate in migrations[found - 1 :]:
            migrate(connection)
    if found != newest:
        database_of(connection).set_version(connection, newest)


def check_readable(connection: Connection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """A reader cannot migrate: refuse every version but the newest.

    Raises:
        StoreTooNew, StoreError: as `create_or_migrate`.
        StoreTooOld: an older seglab wrote it.
        StoreMissing: the database is empty.
    """
    newest, name = newest_version(migrations), database_of(connection).name
    found = check_not_newer(connection, migrations)
    if found == 0:
        raise StoreMissing(f"{name}: no store here yet; train a run first")
    if found < newest:
        raise StoreTooOld(
            f"{name}: schema version {found}, this seglab reads version {newest}; "
            "open the store once for writing to bring it up to date"
        )


def check_not_newer(connection: Connection, migrations: Sequence[Migration] = MIGRATIONS) -> int:
    """The version of the store, if this seglab knows it; 0 = empty.

    Raises:
        StoreTooNew, StoreError: as `create_or_migrate`.
    """
    database = database_of(connection)
    found, newest = database.version(connection), newest_version(migrations)
    if found > newest:
        raise StoreTooNew(
            f"{database.name}: schema version {found}, this seglab knows up to {newest}; "
            "upgrade seglab, or choose another store (SEGLAB_HOME, SEGLAB_STORE)"
        )
    return found
