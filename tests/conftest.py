"""Fixtures that every part of the project shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from lab.config import RunConfig
from lab.store.database import VARIABLE
from lab.store.runs import create_run
from lab.store.store import Store
from tests.postgres_server import HOW_TO_GET_IT, find_programs, running_server


@pytest.fixture(autouse=True, scope="session")
def _no_server_of_our_own() -> Iterator[None]:
    """Whoever runs the tests may have a store on a server: it is not for them."""
    with pytest.MonkeyPatch.context() as patched:
        patched.delenv(VARIABLE, raising=False)
        yield


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A new store, at a path that is not easy: spaces and letters beyond ASCII."""
    with Store.open(tmp_path / "Läufe и 実験") as opened:
        yield opened


@pytest.fixture
def run_id(store: Store) -> str:
    """A queued run of the default config."""
    return create_run(store, RunConfig())


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Path]:
    """The socket directory of a PostgreSQL server; skips where there is none to start."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install -e '.[postgres]'")
    programs = find_programs()
    if programs is None:
        pytest.skip(HOW_TO_GET_IT)
    with running_server(programs) as socket:
        yield socket


@pytest.fixture(scope="session")
def new_database(postgres_server: Path) -> Callable[[], str]:
    """Makes an empty database and answers with its URL."""
    import psycopg  # only where it is there, see postgres_server

    numbers = count()

    def make() -> str:
        name = f"store{next(numbers)}"
        with psycopg.connect(f"host={postgres_server} user=seglab dbname=postgres") as connection:
            connection.autocommit = True
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")  # pyright: ignore
        return f"postgresql+psycopg://seglab@/{name}?host={postgres_server}"

    return make
