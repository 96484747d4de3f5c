"""A store on a medium that cannot be written to: a read-only mount, an archive, a colleague's."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from lab.config import RunConfig
from lab.store.errors import StoreError
from lab.store.plain_sql import ask_sql
from lab.store.queries import list_runs
from lab.store.runs import create_run
from lab.store.store import Store

NOBODY = 65_534


@pytest.fixture
def shelf() -> Iterator[Path]:
    """A directory that everybody may enter; pytest's own are private to one user."""
    root = Path(tempfile.mkdtemp())
    root.chmod(0o755)
    yield root
    root.chmod(0o755)
    shutil.rmtree(root)


def asked_by_a_reader(root: Path, ask: Callable[[Path], object]) -> object:
    """The answer of a process that may read everything in `root` and write nothing."""
    for path in root.iterdir():
        path.chmod(0o444)
    root.chmod(0o555)
    return asked_by_nobody(root, ask)


def asked_by_nobody(root: Path, ask: Callable[[Path], object]) -> object:
    """The answer of a process that is not root's."""
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe()
    child = fork.Process(target=_ask, args=(theirs, root, ask))
    child.start()
    theirs.close()
    answer = ours.recv() if ours.poll(30) else None
    child.join()
    return answer


def _ask(wire: Connection, root: Path, ask: Callable[[Path], object]) -> None:
    if os.geteuid() == 0:  # root may write anywhere
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    try:
        wire.send(ask(root))
    except StoreError as error:
        wire.send(str(error))


def test_a_read_only_file_says_so_itself(shelf: Path) -> None:
    open_to_write(shelf)
    (shelf / "store.db").chmod(0o444)
    shelf.chmod(0o777)

    answer = asked_by_nobody(shelf, open_to_write)

    assert "store.db: cannot be opened: " in str(answer)
    assert "the file is read-only" in str(answer)


def names(root: Path) -> list[str]:
    with Store.open(root, read_only=True) as store:
        ask_sql(store, "SELECT 1")
        return [run.name for run in list_runs(store)]


def open_to_write(root: Path) -> None:
    Store.open(root).close()


def test_what_lies_in_a_read_only_directory_can_be_read(shelf: Path) -> None:
    with Store.open(shelf) as store:
        create_run(store, RunConfig(name="archived"))
    assert not (shelf / "store.db-wal").exists()

    assert asked_by_a_reader(shelf, names) == ["archived"]
    assert sorted(path.name for path in shelf.iterdir()) == ["store.db"]


def test_an_empty_log_beside_it_changes_nothing(shelf: Path) -> None:
    with Store.open(shelf) as store:
        create_run(store, RunConfig(name="archived"))
    (shelf / "store.db-wal").touch()

    assert asked_by_a_reader(shelf, names) == ["archived"]


def test_what_is_not_in_the_store_yet_is_not_left_out_in_silence(shelf: Path) -> None:
    """A copy of a store in use: the newest run is in its log alone."""
    with Store.open(shelf / "live") as store:
        create_run(store, RunConfig(name="first"))
        held = sqlite3.connect(store.name)  # keeps the log from being folded in
        held.execute("SELECT count(*) FROM runs").fetchone()
        create_run(store, RunConfig(name="newest"))
        copy = shelf / "copy"
        copy.mkdir()
        for name in ("store.db", "store.db-wal"):
            shutil.copy(store.root / name, copy / name)
        held.close()

    answer = asked_by_a_reader(copy, names)

    assert "store.db: cannot be opened: unable to open database file" in str(answer)
    assert "directory is read-only, and store.db-wal holds what is not in store.db" in str(answer)


def test_writing_there_says_why_not(shelf: Path) -> None:
    open_to_write(shelf)

    answer = asked_by_a_reader(shelf, open_to_write)

    assert "its directory is read-only, so it can be read but not written" in str(answer)
