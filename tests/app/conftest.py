"""A dashboard over a filled store: once as a test client, once as a real server for browsers."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before the first import of Gradio

import uvicorn
from fastapi.testclient import TestClient

from app.main import bind
from app.server import build_server
from lab.store.queries import list_runs
from lab.store.store import Store
from tests.factories import filled_store

LOOPBACK = "http://127.0.0.1"


@pytest.fixture(scope="session")
def lab_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with three runs on pictures, at a path that is not easy."""
    root = tmp_path_factory.mktemp("lab") / "Läufe и 実験"
    filled_store(root).close()
    return root


@pytest.fixture(scope="session")
def run_ids(lab_root: Path) -> dict[str, str]:
    """Run ids by run name."""
    with Store.open(lab_root, read_only=True) as store:
        return {run.name: run.run_id for run in list_runs(store)}


@pytest.fixture(scope="session")
def client(lab_root: Path) -> Iterator[TestClient]:
    """Asks the server without a socket; follows what a browser on this machine would send."""
    with TestClient(build_server(lab_root), base_url=LOOPBACK) as opened:
        yield opened


@pytest.fixture(scope="session")
def address(lab_root: Path) -> Iterator[str]:
    """The address of a real server of the filled store."""
    listener = bind("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(build_server(lab_root), log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.02)
    yield f"{LOOPBACK}:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(timeout=10)
    listener.close()
