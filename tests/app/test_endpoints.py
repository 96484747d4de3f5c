"""What /lab/* answers about a filled store."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.parts import STATIC
from app.server import build_server
from lab.analysis.watch import Watch
from lab.config import AppliedChange, Change, RunConfig
from lab.datasets.records import LabelSource
from lab.store.asks import record_applied
from lab.store.lately import LATELY_STEPS
from lab.store.queries import LabelFilter, label_columns, step_summaries
from lab.store.recorder import StoreRecorder
from lab.store.runs import create_run, delete_run
from lab.store.store import Store

LOOPBACK = "http://127.0.0.1"


def test_runs_are_listed_newest_first(client: TestClient) -> None:
    answer = client.get("/lab/runs").json()

    assert answer["exists"] is True
    assert [run["name"] for run in answer["runs"]] == ["teacher-strict", "teacher", "baseline"]
    assert answer["runs"][0]["parent_run_id"] == answer["runs"][1]["run_id"]


def test_a_run_says_how_it_keeps_pseudo_labels(client: TestClient) -> None:
    teacher = client.get("/lab/runs/teacher").json()
    baseline = client.get("/lab/runs/baseline").json()

    assert teacher["thresholds"] == {
        "kind": "dual",
        "class_quality": 0.7,
        "mask_quality": 0.8,
        "coupled": 0.7,
    }
    assert baseline["thresholds"]["kind"] == "none"


def test_there_need_not_be_a_store(tmp_path: Path) -> None:
    with TestClient(build_server(tmp_path / "nothing"), base_url=LOOPBACK) as client:
        answer = client.get("/lab/runs").json()
        steps = client.get("/lab/runs/last/steps")

    assert answer == {"root": str(tmp_path / "nothing"), "exists": False, "runs": []}
    assert steps.status_code == 404
    assert "no store here" in steps.json()["error"]
    assert not (tmp_path / "nothing").exists()


def test_an_empty_store_has_no_runs(tmp_path: Path) -> None:
    Store.open(tmp_path).close()

    with TestClient(build_server(tmp_path), base_url=LOOPBACK) as client:
        assert client.get("/lab/runs").json()["runs"] == []


def test_a_run_without_anything_recorded_answers_everywhere(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        run = create_run(store, RunConfig())
    with TestClient(build_server(tmp_path), base_url=LOOPBACK) as client:
        for path in ("", "/steps", "/live", "/labels", "/what-if", "/moving", "/groups"):
            assert client.get(f"/lab/runs/{run}{path}").status_code == 200, path


def test_a_run_deleted_under_the_page_is_a_sentence(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        run = create_run(store, RunConfig())
        with TestClient(build_server(tmp_path), base_url=LOOPBACK) as client:
            before = client.get(f"/lab/runs/{run}/live").status_code
            delete_run(store, run)
            after = client.get(f"/lab/runs/{run}/live")

    assert before == 200
    assert after.status_code == 404
    assert run in after.json()["error"]


def test_live_sends_only_what_is_new(client: TestClient) -> None:
    everything = client.get("/lab/runs/teacher/live").json()
    news = client.get(
        "/lab/runs/teacher/live", params={"since": 57, "since_label": 57, "since_event": 10**9}
    ).json()

    assert everything["series"]["loss/total"]["steps"] == list(range(60))
    assert news["series"]["loss/total"]["steps"] == [58, 59]
    assert [summary["step"] for summary in news["summaries"]] == [58, 59]
    assert news["events"] == []
    assert everything["log"] == "60 steps recorded\n"


def test_live_tells_the_alarms_that_stand_and_the_list_those_that_were_told(
    tmp_path: Path,
) -> None:
    with Store.open(tmp_path) as store:
        run = create_run(store, RunConfig())
        with StoreRecorder(store, run, watch=Watch(store, run, str)) as recorder:
            for step in range(50):
                recorder.scalars(step, {"loss/unsup/mask": 0.0})
    with TestClient(build_server(tmp_path), base_url=LOOPBACK) as client:
        (alert,) = client.get(f"/lab/runs/{run}/live").json()["alerts"]
        (row,) = client.get("/lab/runs").json()["runs"]

    assert (alert["kind"], alert["step"]) == ("unsup_zero", 0)
    assert row["alerts"] == [alert]


def test_steps_come_with_a_cursor(client: TestClient) -> None:
    news = client.get("/lab/runs/teacher/steps", params={"since": 57}).json()

    assert news["steps"] == [58, 59]
    assert news["total"] == 60


def test_labels_pass_the_filter_and_come_sorted(client: TestClient) -> None:
    question = {"span": 0, "kept": "false", "kind": ["cor", "bg"], "desc": "true", "size": 10}
    rows = client.get("/lab/runs/teacher/labels", params=question).json()["rows"]

    assert len(rows) == 10
    assert {row["kind"] for row in rows} <= {"cor", "bg"}
    assert not any(row["kept"] for row in rows)
    qualities = [row["mask_quality"] for row in rows]
    assert qualities == sorted(qualities, reverse=True)


def test_a_dropped_label_says_why(client: TestClient) -> None:
    question = {"span": 0, "rule": "mask_quality", "size": 1}
    (row,) = client.get("/lab/runs/teacher/labels", params=question).json()["rows"]

    assert row["why"] == f"mask quality {row['mask_quality']:.2f} < 0.80"


def test_pages_of_labels_do_not_overlap(client: TestClient) -> None:
    pages = [
        client.get("/lab/runs/teacher/labels", params={"span": 0, "size": 5, "pg": pg}).json()
        for pg in (1, 2)
    ]

    ids = [row["id"] for page in pages for row in page["rows"]]
    assert len(set(ids)) == 10
    assert pages[0]["total"] == pages[1]["total"] > 10


@pytest.mark.parametrize(
    ("question", "complaint"),
    [
        ({"kind": "corr"}, "kind=corr: expected one of unknown, cor"),
        ({"range": "mask_quality"}, "range=mask_quality: expected column:low:high"),
        ({"range": "nonsense:0:1"}, "no such column"),
        ({"sort": "path"}, "sort 'path'"),
    ],
)
def test_a_senseless_question_is_refused_by_name(
    client: TestClient, question: dict[str, str], complaint: str
) -> None:
    answer = client.get("/lab/runs/teacher/labels", params=question)

    assert answer.status_code == 422
    assert complaint in answer.json()["detail"]


def test_one_image_has_all_its_labels_and_its_truth(client: TestClient) -> None:
    first = client.get("/lab/runs/teacher/labels", params={"size": 1}).json()["rows"][0]

    image = client.get(
        f"/lab/runs/teacher/images/{first['image_id']}", params={"it": first["step"]}
    ).json()

    assert first["id"] in [label["id"] for label in image["labels"]]
    assert all(label["step"] == first["step"] for label in image["labels"])
    assert image["truth"]
    assert all(truth["mask"]["size"] == [96, 96] for truth in image["truth"])
    assert image["image"]["name"].endswith(".png")


def test_pictures_are_jpegs_of_known_images_only(client: TestClient) -> None:
    known = client.get("/lab/runs/teacher/pictures/1", params={"side": 64})
    unknown = client.get("/lab/runs/teacher/pictures/987654")
    path = client.get("/lab/runs/teacher/pictures/..%2f..%2fstore.db")

    assert known.headers["content-type"] == "image/jpeg"
    assert known.content.startswith(b"\xff\xd8")
    assert unknown.status_code == 404
    assert path.status_code in (404, 422)


def test_a_picture_is_sent_once(client: TestClient) -> None:
    first = client.get("/lab/runs/teacher/pictures/1")

    again = client.get(
        "/lab/runs/teacher/pictures/1", headers={"If-None-Match": first.headers["etag"]}
    )

    assert again.status_code == 304
    assert again.content == b""


def test_the_threshold_plane_agrees_with_a_count_of_the_labels(
    client: TestClient, lab_root: Path, run_ids: dict[str, str]
) -> None:
    answer = client.get("/lab/runs/teacher/what-if", params={"span": 0}).json()
    with Store.open(lab_root, read_only=True) as store:
        labels = label_columns(
            store,
            run_ids["teacher"],
            LabelFilter(),
            ["class_quality", "mask_quality", "kind", "area"],
        )
        summaries = step_summaries(store, run_ids["teacher"], LabelSource.PSEUDO)
    fits = labels["area"] > 5
    passes = (
        fits
        & (labels["class_quality"] >= np.float32(0.7))
        & (labels["mask_quality"] >= np.float32(0.8))
    )
    counts = np.array(answer["pair"]).reshape(8, 101, 101)[:, 70, 80]

    np.testing.assert_array_equal(counts[:7], np.bincount(labels["kind"][passes], minlength=7))
    assert answer["labels"] == fits.sum()
    assert answer["truths"] == sum(summary.truths for summary in summaries)


def test_what_enters_and_leaves_is_what_lies_between_the_thresholds(client: TestClient) -> None:
    question = {
        "span": 0, "from_x": 0.7, "from_y": 0.8, "to_x": 0.7, "to_y": 0.6, "size": 5
    }  # fmt: skip
    answer = client.get("/lab/runs/teacher/moving", params=question).json()
    plane = np.array(
        client.get("/lab/runs/teacher/what-if", params={"span": 0}).json()["pair"]
    ).reshape(8, 101, 101)[:7]

    between = plane[:, 70, 60].sum() - plane[:, 70, 80].sum()
    assert answer["enter"]["total"] == between > 0
    assert answer["leave"] == {"total": 0, "rows": []}
    assert all(0.6 <= row["mask_quality"] < 0.8 for row in answer["enter"]["rows"])


def test_labels_are_found_by_size_and_by_the_class_before_correction(client: TestClient) -> None:
    def ask(**question: object) -> dict:
        path = "/lab/runs/teacher/labels"
        return client.get(path, params={"span": 0, "size": 120, **question}).json()

    everything, medium = ask()["total"], ask(min_area=1024, max_area=9215)
    dogs = ask(before=1, changed=True)

    assert 0 < medium["total"] < everything
    assert medium["total"] + ask(max_area=1023)["total"] == everything
    assert all(row["area"] >= 1024 for row in medium["rows"])
    assert dogs["total"] > 0
    assert all(row["label_before"] == 1 != row["label"] for row in dogs["rows"])
    assert client.get("/lab/runs/teacher/labels?min_area=-1").status_code == 422


def test_sizes_and_classes_add_up_to_what_both_rules_keep(client: TestClient) -> None:
    question = {"span": 0, "from_x": 0.7, "from_y": 0.8, "to_x": 0.5, "to_y": 0.6}
    told = client.get("/lab/runs/teacher/groups", params=question).json()
    plane = np.array(
        client.get("/lab/runs/teacher/what-if", params={"span": 0}).json()["pair"]
    ).reshape(8, 101, 101)
    of_class = client.get("/lab/runs/teacher/what-if", params={"span": 0, "cls": 1}).json()

    assert [one["name"] for one in told["sizes"]] == ["small", "medium"]
    for groups in told.values():
        for whose, (x, y) in {"all": (0, 0), "before": (70, 80), "after": (50, 60)}.items():
            assert sum(one[whose]["labels"] for one in groups) == plane[:7, x, y].sum()
            assert sum(one[whose]["right"] for one in groups) == plane[1, x, y]
    dogs = next(one for one in told["classes"] if one["name"] == 1)
    assert dogs["all"]["labels"] == of_class["labels"]


def test_a_pair_of_thresholds_can_give_way_to_one_on_the_product(client: TestClient) -> None:
    pair = {"span": 0, "from_x": 0.7, "from_y": 0.8}
    answer = client.get("/lab/runs/teacher/moving", params=pair | {"to_coupled": 0.6}).json()

    assert answer["enter"]["total"] > 0
    for row in answer["enter"]["rows"]:
        assert row["score"] >= 0.6
        assert row["class_quality"] < 0.7 or row["mask_quality"] < 0.8


def test_one_class_knows_no_number_of_truths(client: TestClient) -> None:
    answer = client.get("/lab/runs/teacher/what-if", params={"span": 0, "cls": 1}).json()

    assert answer["truths"] is None
    assert answer["labels"] > 0


def test_unchanged_answers_cost_no_bytes(client: TestClient) -> None:
    first = client.get("/lab/runs/teacher/what-if", headers={"Accept-Encoding": "gzip"})

    again = client.get(
        "/lab/runs/teacher/what-if", headers={"If-None-Match": first.headers["etag"]}
    )

    assert first.headers["content-encoding"] == "gzip"
    assert again.status_code == 304
    assert again.content == b""


def test_not_a_number_is_null(client: TestClient) -> None:
    answer = client.get("/lab/runs/teacher/live", headers={"Accept-Encoding": "identity"})

    evaluation = json.loads(answer.content)["evaluations"][0]
    assert evaluation["metrics"]["APs"] is None
    assert b"NaN" not in answer.content


def test_every_page_is_served(client: TestClient) -> None:
    for path in ("/", "/live", "/labels", "/what-if", "/live?run=teacher&it=3&pg=2"):
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert "seglab" in answer.text


def test_scripts_come_from_this_server(client: TestClient) -> None:
    for path in ("/lab/plotly.min.js", "/lab/static/bar.js", "/lab/static/app.css"):
        assert client.get(path).status_code == 200, path


def test_the_table_of_runs_names_the_window_of_its_numbers() -> None:
    script = (STATIC / "runs.js").read_text(encoding="utf-8")

    assert f'"over the last {LATELY_STEPS} recorded steps"' in script


def test_the_list_and_live_say_the_same_of_what_is_kept_lately(client: TestClient) -> None:
    (listed,) = [
        run["lately"] for run in client.get("/lab/runs").json()["runs"] if run["name"] == "teacher"
    ]
    live = client.get("/lab/runs/teacher/live").json()

    last = live["summaries"][-LATELY_STEPS:]
    kept, right = (sum(one[name] for one in last) for name in ("kept", "right"))
    assert live["run"]["lately"] == listed
    assert listed["kept_per_image"] == kept / sum(one["images"] for one in last)
    assert listed["precision"] == right / kept
    assert (listed["first_step"], listed["last_step"]) == (10, 59)


def test_a_run_says_the_thresholds_that_a_live_change_left(
    tmp_path: Path, client: TestClient
) -> None:
    config = client.get("/lab/runs/teacher").json()["config"]
    with Store.open(tmp_path) as store:
        run = create_run(store, RunConfig.model_validate(config))
        strict = {"method.mask_threshold": Change(old=0.8, new=0.95)}
        record_applied(store, run, AppliedChange(step=3, changes=strict, author="a test"))

    with TestClient(build_server(tmp_path), base_url=LOOPBACK) as changed:
        entries = [changed.get(f"/lab/runs/{run}{page}").json() for page in ("", "/steps", "/live")]

    told = [entries[0], entries[1]["run"], entries[2]["run"]]
    assert [one["thresholds"]["mask_quality"] for one in told] == [0.95] * 3
    assert [one["config"]["method"]["mask_threshold"] for one in told] == [0.8] * 3
