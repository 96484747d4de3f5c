"""What /lab/compare answers about runs of the filled store."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from lab.config import AppliedChange, Change
from lab.datasets.records import LabelSource
from lab.store.asks import record_applied
from lab.store.runs import create_run, delete_run
from lab.store.store import Store
from tests.factories import example_config

BOTH = {"runs": ["teacher", "baseline"]}


def test_runs_stand_side_by_side_in_the_order_asked_for(client: TestClient) -> None:
    told = client.get("/lab/compare", params=BOTH).json()

    assert [run["name"] for run in told["runs"]] == ["teacher", "baseline"]
    assert told["differences"]["method.name"] == ["pl_dc", "supervised"]
    assert told["differences"]["method.mask_threshold"] == [0.8, None]
    assert "schedule.max_steps" not in told["differences"]
    assert told["config"]["schedule.max_steps"] == [60, 60]
    assert told["kept"][0]["kept"] > 0
    assert told["kept"][1]["kept"] == 0
    assert told["scores"][0]["teacher"]["best"]["AP"] > 0


def test_curves_have_one_scalar_of_every_run(client: TestClient) -> None:
    told = client.get("/lab/compare/curves", params=BOTH | {"name": "loss/unsup/mask"}).json()

    teacher, baseline = told["runs"]
    assert teacher["series"]["steps"] == list(range(60))
    assert not baseline["series"] or baseline["series"]["steps"] == []
    assert {one["step"] for one in baseline["evaluations"]} == {10, 20, 30, 40, 50, 60}
    assert "loss/total" in told["names"]


def test_images_are_those_that_every_run_has_labels_of(client: TestClient) -> None:
    told = client.get("/lab/compare/images", params={"runs": ["teacher", "teacher-strict"]}).json()
    alone = client.get("/lab/compare/images", params=BOTH).json()

    assert told["source"] == LabelSource.PROBE_TEACHER
    first = told["images"][0]
    assert len(first["steps"]) == 2
    assert first["steps"][0] == sorted(first["steps"][0])
    seen = client.get(
        f"/lab/runs/teacher/images/{first['id']}",
        params={"it": first["steps"][0][-1], "source": told["source"]},
    ).json()
    assert seen["labels"]
    assert alone["images"] == []


def test_what_was_changed_live_stands_beside_the_configs(
    client: TestClient, lab_root: Path
) -> None:
    with Store.open(lab_root) as store:
        run = create_run(store, example_config("changed", "pl_dc", 10))
        change = {"method.mask_threshold": Change(0.8, 0.7)}
        record_applied(store, run, AppliedChange(5, change, "ada"))
        told = client.get("/lab/compare", params={"runs": [run, "teacher"]}).json()
        delete_run(store, run)

    assert told["applied"][1] == []
    assert told["applied"][0][0]["changes"] == {"method.mask_threshold": {"old": 0.8, "new": 0.7}}


@pytest.mark.parametrize(
    ("runs", "status"),
    [(["teacher"], 200), (["teacher", "teacher"], 200), ([], 422), (["x"] * 5, 422), (["x"], 404)],
)
def test_one_to_four_runs_that_exist_are_compared(
    client: TestClient, runs: list[str], status: int
) -> None:
    for path in ("", "/curves", "/images"):
        assert client.get(f"/lab/compare{path}", params={"runs": runs}).status_code == status
