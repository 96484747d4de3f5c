"""The process that runs one store's MongoDB for as long as anybody uses it.

Whoever uses the server holds a shared lock on USERS; the kernel takes it back when that process
ends, by whatever means. When the keeper can take the lock alone, nobody is left: it stops the
server and ends. DOOR makes coming and going take turns.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, NoReturn

from app.fiftyone.mongod import start_mongod, stop

DOOR, USERS, STATE = "door.lock", "users.lock", "mongod.json"
LOOK_SECONDS = 0.25
START_SECONDS = 60.0
TRIES = 8


def main(directory: Path, program: Path) -> None:
    """Start the server, say where it is, and stop it when nobody is left."""
    signal.signal(signal.SIGTERM, _leave)
    process, port = start_somewhere(directory, program)
    state = directory / STATE
    try:
        with _written(state) as file:
            json.dump({"port": port, "keeper": os.getpid(), "mongod": process.pid}, file)
        Path(f"{state}.new").replace(state)
        while process.poll() is None:
            time.sleep(LOOK_SECONDS)
            with nobody_left(directory) as alone:
                if alone:
                    state.unlink(missing_ok=True)
                    stop(process)
    finally:
        state.unlink(missing_ok=True)
        stop(process)


def start_somewhere(directory: Path, program: Path) -> tuple[subprocess.Popen[bytes], int]:
    """A server that answers, and its port. One that is still closing its data is waited for."""
    for _ in range(TRIES):
        port = free_port()
        process = start_mongod(program, directory, port)
        if _answers(process, port):
            return process, port
        stop(process)
        time.sleep(LOOK_SECONDS)
    sys.exit(f"{program}: does not stay up; see {directory / 'mongod.log'}")


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port: int) -> bool:
    """Whether somebody listens on a port of loopback."""
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def nobody_left(directory: Path) -> Iterator[bool]:
    """Whether no user holds the lock; while the block lasts nobody can come in either."""
    with (directory / DOOR).open("ab") as door, (directory / USERS).open("ab") as users:
        yield take(door, fcntl.LOCK_EX) and take(users, fcntl.LOCK_EX)


def take(file: IO[bytes], how: int) -> bool:
    """Take a lock if that is possible now. It lasts until the file is closed."""
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if listens(port):
            return True
        time.sleep(0.02)
    return False


def _written(state: Path) -> IO[str]:
    return Path(f"{state}.new").open("w", encoding="utf-8")


def _leave(*_: object) -> NoReturn:
    sys.exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
