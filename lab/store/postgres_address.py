"""The URL of a PostgreSQL store: read without ever repeating its password."""

from __future__ import annotations

import os

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from lab.store.database import VARIABLE
from lab.store.errors import StoreError

DRIVER = "postgresql+psycopg"
EXAMPLE = f"{DRIVER}://user:password@host:5432/database"
SCHEMES = ("postgresql", "postgres", DRIVER)


def default_address() -> str | None:
    """The URL in SEGLAB_STORE; None when it is unset or empty: the store is a file then."""
    return os.environ.get(VARIABLE) or None


def parse_address(address: str) -> URL:
    """The URL, with psycopg as its driver.

    Raises:
        StoreError: it is none that can be used. The message holds nothing of what follows the
            scheme: in a URL that is written wrong, anything may be part of the password.
    """
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        raise StoreError(
            f"{VARIABLE}: not a URL; expected {EXAMPLE} (a directory goes into SEGLAB_HOME)"
        ) from None
    if url.drivername not in SCHEMES:
        raise StoreError(f"{VARIABLE}: {url.drivername}: expected {EXAMPLE}")
    if "@" in (url.host or "") or "@" in (url.database or ""):
        raise StoreError(
            f"{VARIABLE}: more than one @; in a user or password write @ as %40, : as %3A, / as %2F"
        )
    if not url.database:
        raise StoreError(f"{VARIABLE}: names no database; expected {EXAMPLE}")
    return url.set(drivername=DRIVER)


def shown(url: URL) -> str:
    """The URL for people: user, host, port and database; no password, no options."""
    host = url.host or url.query.get("host") or ""
    place = ",".join(host) if isinstance(host, tuple) else host
    user = f"{url.username}@" if url.username else ""
    port = f":{url.port}" if url.port else ""
    return f"postgresql://{user}{place}{port}/{url.database}"


def without_password(text: str, url: URL) -> str:
    """A driver's message with the password taken out, should it be in there."""
    known = (url.username, url.database, url.host)
    for secret in (url.password, url.query.get("password")):
        if isinstance(secret, str) and secret and secret not in known:
            text = text.replace(secret, "***")
    return text
