"""What /lab/runs/{run}/timeline answers: the labels of one image, linked from step to step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.server import build_server
from lab.config import RunConfig
from lab.datasets.records import LabelSource
from lab.store.queries import LabelFilter, image_steps, label_columns, label_masks
from lab.store.recorder import StoreRecorder
from lab.store.runs import attach_datasets, create_run
from lab.store.store import Store
from tests.factories import painted_dataset, pseudo_labels

LOOPBACK = "http://127.0.0.1"


def ask(client: TestClient, path: str = "", **parameters: object) -> Any:
    answer = client.get(f"/lab/runs/teacher/timeline{path}", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_images_that_were_looked_at_most_often_are_offered(client: TestClient) -> None:
    """Probes are of three images every tenth step, pseudo-labels of twelve in turn."""
    probes, taught = ask(client), ask(client, source="pseudo")

    assert probes["sources"] == ["probe_teacher", "pseudo", "probe_student"]
    assert (probes["source"], probes["total"]) == ("probe_teacher", 3)
    assert [one["visits"] for one in probes["images"]] == [6, 6, 6]
    assert (taught["total"], len(taught["images"])) == (12, 12)
    assert {one["visits"] for one in taught["images"]} == {10}


def test_a_timeline_is_what_the_store_holds(client: TestClient, lab_root: Path) -> None:
    found = ask(client, "/3", source="pseudo")

    with Store.open(lab_root, read_only=True) as store:
        run = client.get("/lab/runs/teacher").json()["run_id"]
        steps = image_steps(store, run, LabelSource.PSEUDO, 3)
        columns = label_columns(
            store, run, LabelFilter(image_id=3), ("label_id", "step", "label", "kept")
        )
        masks = label_masks(store, columns["label_id"].tolist())
    shown = {label["id"]: label for frame in found["frames"] for label in frame["labels"]}
    assert [frame["step"] for frame in found["frames"]] == steps.tolist()
    assert sorted(shown) == sorted(columns["label_id"].tolist())
    for place, label_id in enumerate(columns["label_id"].tolist()):
        assert shown[label_id]["label"] == columns["label"][place]
        assert shown[label_id]["kept"] == columns["kept"][place]
        assert shown[label_id]["mask"]["counts"] == masks[label_id].counts.decode()
    assert found["image"]["id"] == 3
    assert found["left_out"] == 0
    assert found["truth"]


def test_a_true_object_is_followed_and_things_are_born_once(client: TestClient) -> None:
    found = ask(client, "/1", source="probe_teacher")

    labels = [label for frame in found["frames"] for label in frame["labels"]]
    assert {label["track"] for label in labels} == set(range(found["tracks"]))
    assert found["tracks"] < len(labels)
    born = [event["track"] for event in found["events"] if event["event"] == "born"]
    assert sorted(born) == [*range(found["tracks"])]
    for event in found["events"]:
        if event["event"] == "dropped":
            label = found["frames"][event["frame"]]["labels"][event["place"]]
            assert not label["kept"]
            assert label["why"] != "kept"


def test_an_image_that_was_never_looked_at_has_no_frames(client: TestClient) -> None:
    found = ask(client, "/9", source="probe_teacher")

    assert (found["frames"], found["tracks"], found["events"]) == ([], 0, [])
    assert found["image"]["id"] == 9


def test_an_unknown_image_and_an_unknown_source_are_sentences(client: TestClient) -> None:
    nowhere = client.get("/lab/runs/teacher/timeline/777")
    nobody = client.get("/lab/runs/teacher/timeline", params={"source": "me"})

    assert (nowhere.status_code, nobody.status_code) == (404, 422)
    assert "image 777" in nowhere.json()["error"]
    assert "source=me: expected one of" in nobody.json()["detail"]


@pytest.mark.parametrize("source", [None, "pseudo"])
def test_a_run_without_labels_has_no_images(tmp_path: Path, source: str | None) -> None:
    with Store.open(tmp_path) as store:
        run = create_run(store, RunConfig())
    with TestClient(build_server(tmp_path), base_url=LOOPBACK) as client:
        params = {} if source is None else {"source": source}
        found = client.get(f"/lab/runs/{run}/timeline", params=params).json()

    assert found == {"sources": [], "source": "pseudo", "total": 0, "images": []}


def test_of_many_labels_the_kept_and_the_best_are_shown(tmp_path: Path) -> None:
    """Of 60 candidates of one step 40 are sent, all kept ones among them."""
    made = pseudo_labels(60, image_id=1, side=64, judged=False)
    with Store.open(tmp_path) as store:
        run = create_run(store, RunConfig())
        train = painted_dataset(tmp_path / "pictures", "many", 1, 64, 0)
        attach_datasets(store, run, train, train.with_images(()))
        with StoreRecorder(store, run) as recorder:
            recorder.pseudo_labels(0, [made])
    with TestClient(build_server(tmp_path), base_url=LOOPBACK) as client:
        found = client.get(f"/lab/runs/{run}/timeline/1").json()

    [frame] = found["frames"]
    assert (len(frame["labels"]), found["left_out"]) == (40, 20)
    assert sum(label["kept"] for label in frame["labels"]) == int(made.kept.sum()) < 40
