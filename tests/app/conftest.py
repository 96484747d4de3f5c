"""A dashboard over a filled store: once as a test client, once as a real server for browsers."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before the first import of Gradio

import uvicorn
from fastapi.testclient import TestClient
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

from app.main import bind
from app.server import build_server
from lab.store.queries import list_runs
from lab.store.store import Store
from tests.factories import filled_store

LOOPBACK = "http://127.0.0.1"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
PATIENCE_MS = 25_000


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
    with serving(lab_root) as address:
        yield address


@contextmanager
def serving(root: Path, port: int = 0) -> Iterator[str]:
    """A real server of a store, on a free port if none is given; its address."""
    listener = bind("127.0.0.1", port)
    server = uvicorn.Server(uvicorn.Config(build_server(root), log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.02)
    yield f"{LOOPBACK}:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(timeout=10)
    listener.close()


@dataclass
class Watch:
    """What went wrong or out while a page was open."""

    complaints: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def see(self, request: Request) -> None:
        self.asked.append(request.url)
        if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            self.outside.append(request.url)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = next(filter(None, map(shutil.which, NAMES)), None)
    if executable is None:
        pytest.skip("no chromium on PATH: `apt-get install chromium` brings one")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def page(browser: Browser, address: str, watch: Watch) -> Iterator[Page]:
    with watched_page(browser, address, watch, PATIENCE_MS) as page:
        yield page


@contextmanager
def watched_page(browser: Browser, address: str, watch: Watch, patience: int) -> Iterator[Page]:
    """A page that waits `patience` milliseconds at most; nothing may have gone wrong or out."""
    context = browser.new_context(base_url=address, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(patience)
    expect.set_options(timeout=patience)
    page = context.new_page()
    page.on("console", watch.hear)
    page.on("pageerror", lambda error: watch.complaints.append(str(error)))
    page.on("request", watch.see)
    yield page
    context.close()
    assert watch.complaints == []
    assert watch.outside == []
