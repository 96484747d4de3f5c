"""What is said of a store is tested on both kinds of database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.store.database import VARIABLE
from lab.store.store import Store
from tests.databases import BOTH, new_url

ROOT = "Läufe и 実験"
"""A path that is not easy: spaces and letters beyond ASCII."""


@pytest.fixture(params=BOTH)
def database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Stores lie in files, or on a server (all of the test in one database); says which."""
    monkeypatch.setenv(VARIABLE, new_url(request))
    return request.param


@pytest.fixture
def store(database: str, tmp_path: Path) -> Iterator[Store]:
    """A new store in a file, and on a server; other processes find it by its directory."""
    with Store.open(tmp_path / ROOT) as opened:
        yield opened


@pytest.fixture
def file_store(tmp_path: Path) -> Iterator[Store]:
    """A new store in a file: for what is said of SQLite alone."""
    with Store.open(tmp_path / ROOT) as opened:
        yield opened
