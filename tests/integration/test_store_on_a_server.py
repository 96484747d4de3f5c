"""A whole run whose rows lie on a PostgreSQL server: queued, trained by a process, looked at."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.cli import main
from app.launch import queue_run
from app.server import build_server
from lab.jobs.devices import slots_of
from lab.jobs.worker import Worker
from lab.store.database import VARIABLE
from lab.store.queries import get_run
from lab.store.store import Store
from tests.integration.conftest import GUIDED, tiny_config
from tests.integration.test_queued_runs import turn_until

SECRET = "geheim"
LOOPBACK = "http://127.0.0.1"

pytestmark = pytest.mark.postgres


@pytest.fixture
def server(new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> str:
    url = new_database().replace("seglab@", f"seglab:{SECRET}@")
    monkeypatch.setenv(VARIABLE, url)
    return url


def test_a_run_is_queued_trained_and_looked_at(
    server: str, root: Path, capsys: pytest.CaptureFixture[str]
):
    with Store.open(root) as store:
        run_id = queue_run(store, tiny_config(GUIDED), command=["test"], with_worker=False)
        worker = Worker(store, slots_of([], 1))
        turn_until(worker, lambda: get_run(store, run_id).status in ("finished", "failed"))

        assert get_run(store, run_id).status == "finished"

    assert not (root / "store.db").exists()
    assert (root / "runs" / run_id / "checkpoints").is_dir()
    said = [asked(capsys, *verb, "--store", str(root)) for verb in VERBS]
    assert json.loads(said[0])[0]["run_id"] == run_id
    with TestClient(build_server(root), base_url=LOOPBACK) as client:
        pages = [client.get(f"/lab/runs{path}") for path in ("", *PATHS)]
    assert [page.status_code for page in pages] == [200] * len(pages)
    assert pages[0].json()["runs"][0]["run_id"] == run_id
    log = (root / "runs" / run_id / "log.txt").read_text()
    assert SECRET not in "".join([*said, *(page.text for page in pages), log])


VERBS = (
    ("runs", "--json"),
    ("show", "last"),
    ("errors", "last"),
    ("jobs", "ls"),
    ("sql", "SELECT kind, count(*) FROM pseudo_labels GROUP BY kind"),
    ("gc", "--masks", "--yes"),
    ("doctor",),
)
PATHS = tuple(f"/last{path}" for path in ("", "/steps", "/live", "/labels", "/what-if"))


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 0, arguments
    return capsys.readouterr().out
