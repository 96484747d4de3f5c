"""What a visitor may do to runs over HTTP, and what each run answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.guard import Credentials, Guard
from app.server import build_routes
from lab.config import RunConfig, parse_run_config
from lab.jobs.control import put_in_queue
from lab.store.asks import open_asks
from lab.store.queries import get_run, list_runs
from lab.store.recorder import StoreRecorder
from lab.store.runs import create_run, finish_run
from lab.store.store import Store
from lab.store.worker_rows import living_workers

LOOPBACK = "http://127.0.0.1"
OWNER = Credentials("ada", "correct:horse")
CHANGING = ["/lab/acts", "/lab/queue/move", "/lab/runs/last/apply", "/lab/runs/last/apply/check"]
PL_DC = {"name": "pl_dc", "burn_in_steps": 0, "mask_threshold": 0.8, "dicc": False}


def build_server(root: Path, *, credentials: Credentials | None = None) -> FastAPI:
    """All that the real server answers, but for the pages, which take a second to build."""
    app = build_routes(root)
    app.add_middleware(Guard, credentials=credentials)
    return app


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "lab") as opened:
        yield opened
        for worker in living_workers(opened):
            psutil.Process(worker.process.pid).terminate()


@pytest.fixture
def asking(store: Store) -> Iterator[TestClient]:
    with TestClient(build_server(store.root), base_url=LOOPBACK) as client:
        yield client


def ended(store: Store, name: str) -> str:
    run = create_run(store, RunConfig(name=name))
    finish_run(store, run, "stopped")
    return run


@pytest.mark.parametrize("path", CHANGING)
def test_without_the_password_nobody_changes_anything(store: Store, path: str) -> None:
    server = build_server(store.root, credentials=OWNER)
    with TestClient(server, base_url="http://lab.example") as client:
        assert client.post(path, json={}).status_code == 401
        assert client.post(path, json={}, auth=("ada", "wrong")).status_code == 401
        assert client.post(path, json={}, auth=("ada", "correct:horse")).status_code == 422


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1", "sec-fetch-site": "same-origin"}, 200),
        ({"origin": "http://127.0.0.1"}, 200),
        ({}, 200),
    ],
)
def test_a_page_of_another_origin_changes_nothing(
    store: Store, asking: TestClient, headers: dict[str, str], status: int
) -> None:
    run = ended(store, "precious")

    answer = asking.post("/lab/acts", json={"act": "delete", "runs": [run]}, headers=headers)

    assert answer.status_code == status
    assert [row.run_id for row in list_runs(store)] == ([] if status == 200 else [run])


def test_a_page_of_another_origin_may_not_ride_on_the_password(store: Store) -> None:
    server = build_server(store.root, credentials=OWNER)
    with TestClient(server, base_url="http://lab.example") as client:
        answer = client.post(
            "/lab/acts",
            json={"act": "delete", "runs": ["x"]},
            auth=("ada", "correct:horse"),
            headers={"origin": "http://evil.example"},
        )

    assert answer.status_code == 403


@pytest.mark.parametrize("path", CHANGING)
def test_reading_methods_change_nothing(asking: TestClient, path: str) -> None:
    assert asking.get(path).status_code in (404, 405)


def test_every_run_of_a_bulk_act_answers_for_itself(store: Store, asking: TestClient) -> None:
    waiting = create_run(store, RunConfig(name="waiting"))
    put_in_queue(store, waiting)
    over = ended(store, "over")

    answer = asking.post("/lab/acts", json={"act": "cancel", "runs": [waiting, over, "gone"]})

    assert answer.status_code == 200
    said = {one["run_id"]: (one["done"], one["said"]) for one in answer.json()["outcomes"]}
    assert said[waiting] == (True, "taken out of the queue")
    assert said[over][0] is False
    assert "is stopped: cancel is for runs that are" in said[over][1]
    assert said["gone"][0] is False
    assert get_run(store, waiting).status == "stopped"


def test_deleting_takes_the_run_and_its_files_and_nothing_else(
    store: Store, asking: TestClient, tmp_path: Path
) -> None:
    first, second = ended(store, "first"), ended(store, "second")
    outside = tmp_path / "pictures"
    outside.mkdir()
    (store.run_directory(first) / "checkpoints").mkdir(parents=True)
    (store.run_directory(first) / "linked").symlink_to(outside)

    (outcome,) = asking.post("/lab/acts", json={"act": "delete", "runs": [first]}).json()[
        "outcomes"
    ]

    assert outcome["done"] is True
    assert not store.run_directory(first).exists()
    assert outside.exists()
    assert [row.run_id for row in list_runs(store)] == [second]


@pytest.mark.parametrize("key", ["last", "first", "2"])
def test_only_whole_ids_are_acted_on(store: Store, asking: TestClient, key: str) -> None:
    """What a name means can change between looking and clicking."""
    ended(store, "first")

    (outcome,) = asking.post("/lab/acts", json={"act": "delete", "runs": [key]}).json()["outcomes"]

    assert outcome["done"] is False
    assert len(list_runs(store)) == 1


def test_a_run_that_trains_is_not_deleted(store: Store, asking: TestClient) -> None:
    run = create_run(store, RunConfig(name="busy"))
    with StoreRecorder(store, run):
        (outcome,) = asking.post("/lab/acts", json={"act": "delete", "runs": [run]}).json()[
            "outcomes"
        ]

    assert (outcome["done"], outcome["said"]) == (
        False,
        f"run {run} is running: cancel it before it is deleted",
    )
    assert get_run(store, run).name == "busy"


def test_resuming_queues_and_starts_a_worker_when_none_lives(
    store: Store, asking: TestClient
) -> None:
    """The run asks for a GPU that no worker here has, so it stays where it can be looked at."""
    config = parse_run_config({"name": "later", "schedule": {"device": "cuda"}})
    run = create_run(store, config)
    finish_run(store, run, "stopped")

    answer = asking.post("/lab/acts", json={"act": "resume", "runs": [run]}).json()
    again = asking.post("/lab/acts", json={"act": "resume", "runs": [run]}).json()
    queue = asking.get("/lab/queue").json()

    assert answer["outcomes"][0]["done"] is True
    assert psutil.pid_exists(answer["worker"])
    assert again["outcomes"][0]["done"] is False
    assert again["worker"] is None
    assert [(job["run_id"], job["place"]) for job in queue["jobs"]] == [(run, 1)]
    psutil.Process(answer["worker"]).terminate()


def test_the_line_is_moved(store: Store, asking: TestClient) -> None:
    runs = [create_run(store, RunConfig(name=name)) for name in "abc"]
    for run in runs:
        put_in_queue(store, run)

    answer = asking.post("/lab/queue/move", json={"run": runs[2], "to": "front"}).json()

    assert [job["name"] for job in answer["jobs"]] == ["c", "a", "b"]


def test_there_need_not_be_a_store_to_ask_for_its_queue(tmp_path: Path) -> None:
    with TestClient(build_server(tmp_path / "nothing"), base_url=LOOPBACK) as client:
        assert client.get("/lab/queue").json() == {"jobs": [], "workers": []}
    assert not (tmp_path / "nothing").exists()


def test_a_threshold_is_applied_to_a_run_that_trains(store: Store, asking: TestClient) -> None:
    run = create_run(store, parse_run_config({"name": "busy", "method": PL_DC}))
    with StoreRecorder(store, run) as recorder:
        recorder.scalars(0, {"loss/total": 1.0})
        recorder.flush()
        possible = asking.get(f"/lab/runs/{run}/acts").json()
        order = {"values": {"mask_threshold": 0.7}}
        told = asking.post(f"/lab/runs/{run}/apply/check", json=order).json()
        asked = asking.post(f"/lab/runs/{run}/apply", json=order).json()
        waiting = asking.get(f"/lab/asks/{asked['ask']}").json()
        (ask,) = open_asks(store, run)

    assert possible["actions"] == ["apply", "cancel", "fork"]
    assert possible["live"]["method.mask_threshold"] == 0.8
    assert told["differences"] == {"method.mask_threshold": {"old": 0.8, "new": 0.7}}
    assert waiting["answer"] is None
    assert ask.changes == {"method.mask_threshold": 0.7}


def test_the_author_of_a_change_is_who_gave_the_password(store: Store) -> None:
    run = create_run(store, parse_run_config({"name": "busy", "method": PL_DC}))
    server = build_server(store.root, credentials=OWNER)
    with (
        StoreRecorder(store, run) as recorder,
        TestClient(server, base_url="http://lab.example") as client,
    ):
        recorder.scalars(0, {"loss/total": 1.0})
        recorder.flush()
        client.post(
            f"/lab/runs/{run}/apply",
            json={"values": {"mask_threshold": 0.7}},
            auth=("ada", "correct:horse"),
        )
        (ask,) = open_asks(store, run)

    assert ask.author == "ada"


@pytest.mark.parametrize(
    ("values", "status", "reason"),
    [
        ({"mask_threshold": 2}, 422, "must be at most 1"),
        ({"schedule.max_steps": 5}, 422, "cannot change while the run trains"),
        ({}, 422, "values"),
    ],
)
def test_a_value_that_cannot_be_is_refused_in_words(
    store: Store, asking: TestClient, values: dict[str, float], status: int, reason: str
) -> None:
    run = create_run(store, parse_run_config({"name": "busy", "method": PL_DC}))
    with StoreRecorder(store, run) as recorder:
        recorder.scalars(0, {"loss/total": 1.0})
        recorder.flush()
        for path in ("apply/check", "apply"):
            answer = asking.post(f"/lab/runs/{run}/{path}", json={"values": values})
            assert answer.status_code == status
            assert reason in answer.text


def test_a_run_that_is_over_takes_no_values(store: Store, asking: TestClient) -> None:
    run = ended(store, "over")

    answer = asking.post(f"/lab/runs/{run}/apply", json={"values": {"ema_decay": 0.9}})

    assert answer.status_code == 409
    assert "apply is for runs that are running" in answer.json()["error"]
