"""Launching over HTTP: what a form says is what is stored, and what is wrong is said beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from fastapi.testclient import TestClient

from app.guard import Credentials, Guard
from app.presets import SHIPPED, find_preset, find_presets
from app.server import build_routes
from app.wishes import flat, work
from lab.config import ConfigError, RunConfig, load_run_config, parse_run_config
from lab.store.queries import events, get_run, list_runs
from lab.store.recorder import StoreRecorder
from lab.store.runs import create_run
from lab.store.store import Store
from lab.store.worker_rows import living_workers

LOOPBACK = "http://127.0.0.1"
ELSEWHERE = {"schedule.device": "cuda"}
"""Nobody here can train it, so it stays in the queue to be looked at."""
PL_DC = {"method.name": "pl_dc", "method.burn_in_steps": 10}


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    root = tmp_path / "läb"
    yield root
    with Store.open(root) as store:
        for worker in living_workers(store):
            psutil.Process(worker.process.pid).terminate()


@pytest.fixture
def asking(root: Path) -> Iterator[TestClient]:
    app = build_routes(root)
    app.add_middleware(Guard, credentials=None)
    with TestClient(app, base_url=LOOPBACK) as client:
        yield client


def stored(root: Path, run_id: str) -> RunConfig:
    with Store.open(root, read_only=True) as store:
        return parse_run_config(get_run(store, run_id).config)


def parent_with_checkpoint(root: Path) -> str:
    method = {"name": "pl_dc", "burn_in_steps": 0, "dicc": False}
    with Store.open(root) as store:
        run = create_run(
            store,
            parse_run_config({"name": "parent", "method": method, "schedule": {"max_steps": 100}}),
        )
        file = store.run_directory(run) / "checkpoints" / "step-00000040.pt"
        file.parent.mkdir(parents=True)
        file.write_bytes(b"weights")
        with StoreRecorder(store, run) as recorder:
            recorder.scalars(39, {"loss/total": 1.0})
            recorder.checkpoint(40, file)
    return run


def test_presets_are_the_runs_of_experiments_with_their_first_line(asking: TestClient) -> None:
    told = {one["name"]: one["about"] for one in asking.get("/lab/launch").json()["presets"]}

    assert told["shapes_demo"].startswith("The demo's supervised line")
    assert "shapes_semi" not in told  # a sweep lists runs instead of being one
    for name in told:
        assert load_run_config(SHIPPED / f"{name}.toml").name


def test_a_preset_of_ones_own_comes_before_the_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "shapes_demo.toml").write_text("# mine\nname = 'mine'\n")
    (tmp_path / "broken.toml").write_text("name = [")

    found = {one.name: one.about for one in find_presets((tmp_path, SHIPPED))}

    assert found["shapes_demo"] == "mine"
    assert "broken" in found  # choosing it tells what is wrong with it
    assert "nuclei_pl_dc" in found


@pytest.mark.parametrize("name", ["../pyproject", "/etc/passwd", "", "nothing"])
def test_a_preset_is_looked_up_and_never_a_path(name: str) -> None:
    with pytest.raises(ConfigError, match="no such file in experiments"):
        find_preset(name)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"schedule.max_steps": 700, "name": "shorter", "split.labeled_fraction": 0.5},
        PL_DC | {"method.mask_threshold": 0.75},
        PL_DC | {"method.clip.templates": ["a {class}", "b {class}"]},
        PL_DC | {"method.clip.descriptions": {"disc": ["a round thing"]}},
        {"method.name": "pseudo_depth", "method.distil_from": 300},
        {"host.name": "mask2former", "host.preset": "tiny", "host.num_queries": None},
        {"view.short_sides": [64, 96], "view.strong.blur_sigma": [0.2, 1.0]},
    ],
)
def test_the_stored_config_is_what_the_form_said(
    root: Path, asking: TestClient, changes: dict[str, Any]
) -> None:
    wish = {"preset": "shapes_demo", "changes": ELSEWHERE | changes}

    told = asking.post("/lab/launch/check", json=wish).json()
    launched = asking.post("/lab/launch", json=wish | {"shown": told["config"]}).json()

    assert told["problems"] == []
    config = stored(root, launched["run_id"])
    assert flat(config) == told["config"]
    assert config == load_run_config(SHIPPED / "shapes_demo.toml", ELSEWHERE | changes)
    assert {key: told["config"][key] for key in changes} == changes
    nothing_new = {"host.num_queries", "host.preset", "method.clip.descriptions"}
    assert set(changes) <= set(told["differences"]) | nothing_new


def test_what_is_wrong_is_told_beside_its_field(asking: TestClient) -> None:
    changes = {"schedule.max_steps": 0, "split.labeled_fraction": "many", "view.cropsize": 3}

    told = asking.post(
        "/lab/launch/check", json={"preset": "shapes_demo", "changes": changes}
    ).json()

    assert {one["key"]: one["reason"] for one in told["problems"]} == {
        "schedule.max_steps": "must be at least 1",
        "split.labeled_fraction": "expected a number",
        "view.cropsize": "unknown key; did you mean crop_size?",
    }
    assert told["config"] is None
    assert told["base"]["schedule.max_steps"] == 900


def test_what_is_wrong_between_fields_names_all_of_them(asking: TestClient) -> None:
    changes = {"method.name": "guided_distillation", "method.burn_in_steps": 900}

    told = asking.post(
        "/lab/launch/check", json={"preset": "shapes_demo", "changes": changes}
    ).json()

    (problem,) = told["problems"]
    assert problem["about"] == ["method.burn_in_steps", "schedule.max_steps"]


def test_what_the_queue_cannot_give_is_told_before(asking: TestClient) -> None:
    wish = {"preset": "shapes_demo", "changes": {"schedule.device": "mps"}}
    answer = asking.post("/lab/launch/check", json=wish).json()
    if answer["problems"]:
        assert "schedule.device" in answer["problems"][0]["reason"]


@pytest.mark.parametrize(
    "wish",
    [
        {},
        {"preset": "shapes_demo", "run": "last"},
        {"preset": "shapes_demo", "speed": "fast"},
    ],
)
def test_a_wish_has_one_start_and_no_unknown_keys(asking: TestClient, wish: dict[str, Any]) -> None:
    assert asking.post("/lab/launch/check", json=wish).status_code == 422
    assert asking.post("/lab/launch", json=wish).status_code == 422


def test_nothing_is_written_for_a_config_that_cannot_be(root: Path, asking: TestClient) -> None:
    wish = {"preset": "shapes_demo", "changes": {"schedule.max_steps": 0}}

    answer = asking.post("/lab/launch", json=wish)

    assert answer.status_code == 422
    assert "schedule.max_steps = 0" in answer.json()["error"]
    with Store.open(root) as store:
        assert list_runs(store) == []


def test_checking_makes_no_store(root: Path, asking: TestClient) -> None:
    told = asking.post("/lab/launch/check", json={"preset": "shapes_demo", "changes": {}}).json()

    assert told["time"] is None
    assert told["size"]["total"] > 1_000_000
    assert told["command"].startswith("seglab queue ")
    assert not root.exists()


def test_another_config_than_the_confirmed_one_is_refused(asking: TestClient) -> None:
    wish = {"preset": "shapes_demo", "changes": {}}
    shown = asking.post("/lab/launch/check", json=wish).json()["config"] | {"seed": 5}

    answer = asking.post("/lab/launch", json=wish | {"shown": shown})

    assert answer.status_code == 409
    assert "(seed)" in answer.json()["detail"]


def test_a_fork_goes_on_from_its_checkpoint_with_the_confirmed_difference(
    root: Path, asking: TestClient
) -> None:
    parent = parent_with_checkpoint(root)
    changes = {"method.mask_threshold": 0.75, "name": "looser", **ELSEWHERE}
    wish = {"fork": f"{parent}@40", "changes": changes}

    told = asking.post("/lab/launch/check", json=wish).json()
    child = asking.post("/lab/launch", json=wish | {"shown": told["config"]}).json()["run_id"]

    assert told["differences"] == {
        "method.mask_threshold": {"old": 0.9, "new": 0.75},
        "name": {"old": "parent", "new": "looser"},
        "schedule.device": {"old": "auto", "new": "cuda"},
    }
    with Store.open(root, read_only=True) as store:
        row = get_run(store, child)
        (event,) = events(store, child)
        assert (row.parent_run_id, row.parent_step) == (parent, 40)
        assert event.payload["changes"] == told["differences"]
        file = store.run_directory(child) / "checkpoints" / "step-00000040.pt"
        assert file.read_bytes() == b"weights"
    assert flat(stored(root, child)) == told["config"]


def test_a_new_run_has_the_values_of_another_and_says_so(root: Path, asking: TestClient) -> None:
    parent = parent_with_checkpoint(root)
    wish = {"run": parent, "changes": ELSEWHERE}

    told = asking.post("/lab/launch/check", json=wish).json()
    child = asking.post("/lab/launch", json=wish | {"shown": told["config"]}).json()["run_id"]

    with Store.open(root, read_only=True) as store:
        (event,) = events(store, child)
        assert get_run(store, child).parent_run_id is None
    assert (event.kind, event.payload["like"]) == ("launched", parent)


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        ({"fork": "parent@41", "changes": {}}, "it has: 40"),
        ({"fork": "parent@40", "changes": {"schedule.max_steps": 40}}, "nothing is left to train"),
        ({"fork": "parent", "changes": {}}, "expected RUN@STEP"),
    ],
)
def test_a_fork_that_cannot_be_says_why(
    root: Path, asking: TestClient, wish: dict[str, Any], reason: str
) -> None:
    parent_with_checkpoint(root)

    told = asking.post("/lab/launch/check", json=wish).json()
    refused = asking.post("/lab/launch", json=wish)

    assert reason in told["problems"][0]["reason"]
    assert refused.status_code == 422
    assert reason in refused.json()["detail"]


def test_the_time_is_that_of_a_run_alike_scaled_by_pixels(root: Path, asking: TestClient) -> None:
    """The parent reads 16 images of 1024 px per step; half of them take half of the time."""
    parent = parent_with_checkpoint(root)
    with Store.open(root) as store, StoreRecorder(store, parent) as recorder:
        for step in range(40, 60):
            recorder.scalars(step, {"loss/total": 1.0, "time/step": 0.2})
    whole = {"run": parent, "changes": {}}
    half = whole | {"changes": {"schedule.labeled_batch": 4, "schedule.unlabeled_batch": 4}}

    times = [asking.post("/lab/launch/check", json=one).json()["time"] for one in (whole, half)]

    assert work(flat(RunConfig())) == 16 * 1024**2
    if times[0] is not None:
        assert times[1]["seconds"] == pytest.approx(times[0]["seconds"] / 2)
        assert times[1]["name"] == "parent"


def test_launching_needs_the_password_where_there_is_one(root: Path) -> None:
    app = build_routes(root)
    app.add_middleware(Guard, credentials=Credentials("ada", "secret"))
    with TestClient(app, base_url="http://lab.example") as client:
        for path in ("/lab/launch", "/lab/launch/check"):
            assert client.post(path, json={"preset": "shapes_demo"}).status_code == 401


def test_the_first_launch_makes_the_store_and_starts_a_worker(
    root: Path, asking: TestClient
) -> None:
    wish = {"preset": "shapes_demo", "changes": ELSEWHERE}

    first = asking.post("/lab/launch", json=wish | {"priority": 3}).json()
    second = asking.post("/lab/launch", json=wish).json()
    queue = asking.get("/lab/queue").json()["jobs"]

    assert psutil.pid_exists(first["worker"])
    assert [job["run_id"] for job in queue] == [first["run_id"], second["run_id"]]
    assert queue[0]["priority"] == 3
    psutil.Process(first["worker"]).terminate()
