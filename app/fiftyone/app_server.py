"""FiftyOne's App as a process of ours: its server and nothing else.

`fiftyone.launch_app` starts a server behind a service process that outlives its parent. Here the
server itself is the child; the kernel ends it when we are gone, and Ctrl-C reaches us first.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

from app.fiftyone.mongod import start_dependent, stop

START_SECONDS = 120.0
LOOK_SECONDS = 0.1
STOP_SECONDS = 5.0
"""It may wait for a database that is gone; it has nothing of its own to lose."""
DOOR = "/seglab/open"
"""Path of ours on the App's server; `door.py` says where it leads."""


class AppFailed(RuntimeError):
    """The App's server does not start; the message says what it said."""


@dataclass(frozen=True, slots=True)
class AppServer:
    """A server that was started; it needs some seconds to answer."""

    address: str
    process: subprocess.Popen[bytes]
    log: Path

    def wait_until_up(self, seconds: float = START_SECONDS) -> None:
        """Raises AppFailed when it does not answer in time, or ends."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                with urlopen(f"{self.address}/fiftyone", timeout=10):
                    return
            except (URLError, OSError):
                time.sleep(LOOK_SECONDS)
        said = self.log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
        raise AppFailed(f"FiftyOne's App does not answer at {self.address}: {said[-1]}")


@contextmanager
def app_server(directory: Path, port: int, environment: Mapping[str, str]) -> Iterator[AppServer]:
    """The App on loopback until the block ends."""
    log = directory / f"app-{os.getpid()}.log"
    command = [sys.executable, "-m", "app.fiftyone.app_process", str(port)]
    process = start_dependent(command, log, dict(environment))
    try:
        yield AppServer(f"http://127.0.0.1:{port}", process, log)
    finally:
        stop(process, STOP_SECONDS)
        log.unlink(missing_ok=True)


def dataset_address(address: str, dataset_slug: str, view: str | None = None) -> str:
    """The page of a dataset, opened at a saved view."""
    page = f"{address}/datasets/{quote(dataset_slug)}"
    return page if view is None else f"{page}?view={quote(view)}"


def door_address(address: str, dataset: str, field: str) -> str:
    """Where one view or image of a field is asked for; parameters are added to it."""
    return f"{address}{DOOR}?dataset={quote(dataset)}&field={quote(field)}"
