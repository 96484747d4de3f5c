"""A MongoDB for as long as a block lasts: one's own server, or the one that somebody named."""

from __future__ import annotations

import fcntl
import getpass
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.fiftyone.keeper import DOOR, STATE, USERS, listens, take
from app.fiftyone.mongod import URI_VARIABLE, NoDatabase, find_mongod

NAME_VARIABLE = "FIFTYONE_DATABASE_NAME"
ANSWER_MS = 5_000
START_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where FiftyOne finds its database."""

    uri: str
    name: str
    """Of the database: datasets of other users and of other stores lie elsewhere."""
    own_port: int | None = None
    """Of a server of our own; None for one that somebody named."""

    def ended(self) -> bool:
        """Whether our own server is gone."""
        return self.own_port is not None and not listens(self.own_port)

    def answers(self) -> bool:
        """Whether a server is there now."""
        if self.own_port is not None:
            return listens(self.own_port)
        try:
            check_answers(self.uri, URI_VARIABLE)
        except NoDatabase:
            return False
        return True

    def environment(self) -> dict[str, str]:
        """Variables that FiftyOne reads when it is imported."""
        return {URI_VARIABLE: self.uri, NAME_VARIABLE: self.name}


@contextmanager
def database(root: Path) -> Iterator[Address]:
    """The database for the store in `root`, kept up until the block ends.

    That of FIFTYONE_DATABASE_URI if it is set, else a server of our own on the data in
    `root`/fiftyone, which all sessions over this store share and which ends with the last of them.

    Raises:
        NoDatabase: the named server does not answer, or none can be started here.
    """
    uri = os.environ.get(URI_VARIABLE)
    if uri:
        check_answers(uri, URI_VARIABLE)
        yield Address(uri, os.environ.get(NAME_VARIABLE) or database_name(root))
        return
    directory = root / "fiftyone"
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / USERS).open("ab") as users:
        with (directory / DOOR).open("ab") as door:
            fcntl.flock(door, fcntl.LOCK_EX)
            if not take(users, fcntl.LOCK_SH):
                raise NoDatabase(f"{directory / USERS}: another program holds this lock alone")
            port = running_port(directory) or start_keeper(directory)
        yield Address(f"mongodb://127.0.0.1:{port}/", "seglab", port)


def database_name(root: Path) -> str:
    """On a shared server: one for each user and store, such as "seglab_ada_1f0c..."."""
    user = "".join(letter for letter in getpass.getuser() if letter.isalnum())[:20]
    return f"seglab_{user}_{hashlib.sha256(str(root.absolute()).encode()).hexdigest()[:12]}"


def check_answers(uri: str, origin: str, milliseconds: int = ANSWER_MS) -> None:
    """Raises NoDatabase unless a server is there."""
    from pymongo import MongoClient  # it comes with FiftyOne, which need not be installed
    from pymongo.errors import PyMongoError

    try:
        with MongoClient(uri, serverSelectionTimeoutMS=milliseconds) as client:
            client.admin.command("ping")
    except (PyMongoError, ValueError) as error:
        reason = str(error).split(",")[0].split(" (configured")[0]
        raise NoDatabase(f"{origin}: no MongoDB answers there ({reason})") from None


def running_port(directory: Path) -> int | None:
    """The port of the store's own server, if that is up."""
    try:
        port = int(json.loads((directory / STATE).read_text(encoding="utf-8"))["port"])
        check_answers(f"mongodb://127.0.0.1:{port}/", "mongod")
    except (FileNotFoundError, NoDatabase):
        return None
    return port


def start_keeper(directory: Path) -> int:
    """Start the server by a process that outlives us only as long as somebody else uses it."""
    program = find_mongod()
    (directory / STATE).unlink(missing_ok=True)
    with (directory / "keeper.log").open("wb") as said:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "app.fiftyone.keeper", str(directory), str(program)],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while not (directory / STATE).exists():
        if keeper.poll() is not None or time.monotonic() > deadline:
            reason = (directory / "keeper.log").read_text(errors="replace").strip()
            raise NoDatabase(f"MongoDB does not start: {reason.splitlines()[-1:] or 'no reason'}")
        time.sleep(0.02)
    return running_port(directory) or 0
