"""Fixtures that every part of the project shares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.config import RunConfig
from lab.store.runs import create_run
from lab.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A new store, at a path that is not easy: spaces and letters beyond ASCII."""
    with Store.open(tmp_path / "Läufe и 実験") as opened:
        yield opened


@pytest.fixture
def run_id(store: Store) -> str:
    """A queued run of the default config."""
    return create_run(store, RunConfig())
