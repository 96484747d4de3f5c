"""Whether FiftyOne could be opened here, found out in two seconds without starting a server."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from threading import Thread

from app.fiftyone.database import check_answers
from app.fiftyone.environment import INSTALL
from app.fiftyone.mongod import PROGRAM_VARIABLE, URI_VARIABLE, NoDatabase, find_mongod

PATIENCE_SECONDS = 2.0
OLDEST = (1, 22)
TO_DO = f"start it, or unset {URI_VARIABLE} and one is started when it is needed"


def fiftyone_version() -> str:
    """The installed version. Raises NoDatabase where there is none, or one that is too old."""
    try:
        found = version("fiftyone")
    except PackageNotFoundError:
        raise NoDatabase(f"not installed: {INSTALL}") from None
    if tuple(int(part) for part in found.split(".")[:2]) < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        raise NoDatabase(f"{found} is too old, {wanted} is needed: {INSTALL}")
    return found


def server_at_hand(seconds: float = PATIENCE_SECONDS) -> str:
    """The MongoDB that `seglab fiftyone` would use, in words without its password.

    Raises NoDatabase, which says what to do.
    """
    uri = os.environ.get(URI_VARIABLE)
    if not uri:
        return f"mongod at {find_mongod(seconds)}"
    within(seconds, lambda: check_answers(uri, URI_VARIABLE, round(600 * seconds)), URI_VARIABLE)
    return f"answers at {uri.partition('://')[2].rpartition('@')[2].partition('/')[0]}"


def is_named() -> bool:
    """Whether somebody named a server or a program: then no other one is tried."""
    return bool(os.environ.get(URI_VARIABLE) or os.environ.get(PROGRAM_VARIABLE))


def within(seconds: float, ask: Callable[[], None], origin: str) -> None:
    """Ask in a thread that nobody waits for longer: a name that is looked up may take minutes.

    Raises NoDatabase, that of `ask` or one that says that it takes too long.
    """
    problems: list[NoDatabase] = []

    def asking() -> None:
        try:
            ask()
        except NoDatabase as problem:
            problems.append(problem)

    thread = Thread(target=asking, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise NoDatabase(f"{origin}: no MongoDB answers there within {seconds:g} s; {TO_DO}")
    if problems:
        raise NoDatabase(f"{problems[0]}; {TO_DO}")
