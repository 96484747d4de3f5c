"""What /lab/runs/{run}/errors answers: every number is the number of labels behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.api_errors import readable
from app.server import build_server
from app.window import StepWindow
from lab.analysis.quality import rank_correlation
from lab.config import RunConfig
from lab.datasets.records import ErrorKind
from lab.store.queries import LabelFilter, label_columns, step_summaries, true_labels
from lab.store.runs import create_run
from lab.store.store import Store

LOOPBACK = "http://127.0.0.1"
WHOLE = {"span": 0}


@pytest.fixture
def store(lab_root: Path):
    with Store.open(lab_root, read_only=True) as opened:
        yield opened


def ask(client: TestClient, path: str = "", **parameters: object) -> Any:
    answer = client.get(f"/lab/runs/teacher/errors{path}", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def labels_behind(client: TestClient, window: dict[str, int], **filters: object) -> int:
    """How many labels the page Labels finds for a link."""
    steps = {"it": window["last"], "span": window["last"] - window["first"] + 1, "size": 1}
    return client.get("/lab/runs/teacher/labels", params=steps | filters).json()["total"]


def test_the_bars_of_a_class_are_the_labels_of_that_class(client: TestClient) -> None:
    found = ask(client, **WHOLE)

    assert found["classes"]
    for row in found["classes"]:
        counts = dict(zip(found["fates"], row["counts"], strict=True))
        for fate, number in counts.items():
            filters: dict[str, object] = {"kind": fate, "kept": True, "cls": row["label"]}
            if fate in ("cor", "again"):
                filters |= {"kind": "cor", "duplicate": fate == "again"}
            assert labels_behind(client, found["window"], **filters) == number


def test_the_cells_of_the_matrix_are_the_labels_on_that_class(client: TestClient) -> None:
    found = ask(client, of="all", **WHOLE)
    labels, counts = found["confusion"]["labels"], found["confusion"]["counts"]

    assert len(labels) == 4
    for label, row in zip(labels, counts, strict=True):
        for truth, number in zip([*labels, -1], row, strict=True):
            assert labels_behind(client, found["window"], cls=label, truth=truth) == number
    assert sum(map(sum, counts)) == sum(found["confusion"]["totals"]) == found["labels"]


def test_the_stretches_are_the_labels_of_their_steps(client: TestClient) -> None:
    history = ask(client, "/history", of="dropped")

    assert history["first"] is None
    assert len(history["stretches"]) == 40
    assert [history["stretches"][at][end] for at, end in ((0, "first"), (-1, "last"))] == [0, 59]
    for stretch in history["stretches"][::13]:
        assert labels_behind(client, stretch, kept=False) == sum(stretch["counts"])


def test_the_bins_are_the_labels_of_their_score(client: TestClient) -> None:
    found = ask(client, score="class_quality", **WHOLE)
    bins = found["honesty"]["bins"]

    assert sum(bins["counts"]) == found["honesty"]["labels"]
    for at, number in enumerate(bins["counts"]):
        low, high = bins["edges"][at : at + 2]
        asked = labels_behind(
            client, found["window"], kept=True, range=f"class_quality:{low}:{high}"
        )
        assert asked == number


def test_rank_correlation_is_that_of_all_the_labels(client: TestClient, store: Store) -> None:
    run = client.get("/lab/runs/teacher").json()["run_id"]
    columns = label_columns(store, run, LabelFilter(kept=True), ("mask_quality", "true_iou"))

    found = ask(client, **WHOLE)

    assert found["score"] == "mask_quality"
    expected = rank_correlation(columns["mask_quality"], columns["true_iou"])
    assert found["honesty"]["correlation"] == pytest.approx(expected)


def test_points_name_labels_that_are_there(client: TestClient, store: Store) -> None:
    points = ask(client, **WHOLE)["honesty"]["points"]
    run = client.get("/lab/runs/teacher").json()["run_id"]
    columns = label_columns(store, run, LabelFilter(), ("label_id", "step", "true_iou"))

    place = np.searchsorted(columns["label_id"], points["label_id"])
    assert columns["label_id"][place].tolist() == points["label_id"]
    assert columns["step"][place].tolist() == points["step"]
    assert columns["true_iou"][place].tolist() == pytest.approx(points["true_iou"], abs=1e-6)


def test_missed_objects_are_those_of_the_kept_labels_of_all_classes(
    client: TestClient, store: Store
) -> None:
    run = client.get("/lab/runs/teacher").json()["run_id"]
    summaries = step_summaries(store, run, since_step=49)

    found = ask(client, it=59, span=10)

    assert found["missed"] == {
        "truths": sum(one.truths for one in summaries),
        "found": sum(one.found for one in summaries),
    }
    assert ask(client, cls=1)["missed"] is None
    assert ask(client, of="all")["missed"] is None


def test_a_class_narrows_every_part(client: TestClient, store: Store) -> None:
    run = client.get("/lab/runs/teacher").json()["run_id"]
    names = ("image_id", "label", "kind", "gt_id")
    columns = label_columns(store, run, LabelFilter(label=2), names)

    found = ask(client, of="all", cls=2, **WHOLE)
    history = ask(client, "/history", of="all", cls=2)

    assert [row["label"] for row in found["classes"]] == [2]
    assert found["labels"] == len(columns["kind"])
    assert sum(sum(one["counts"]) for one in history["stretches"]) == len(columns["kind"])
    wrong = int((true_labels(store, run, columns) != 2).sum())
    assert wrong == int((columns["kind"] > ErrorKind.LOC).sum()) > 0


def test_a_run_without_labels_answers_with_nothing(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        run = create_run(store, RunConfig())
    with TestClient(build_server(tmp_path), base_url=LOOPBACK) as client:
        errors = client.get(f"/lab/runs/{run}/errors").json()
        history = client.get(f"/lab/runs/{run}/errors/history").json()

    assert (errors["window"], errors["labels"]) == (None, 0)
    assert history["stretches"] == []


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"score": "speed"}, "score=speed: this run has no such score; it has class_quality"),
        ({"of": "some"}, "of=some"),
        ({"span": -1}, "span=-1"),
        ({"kind": "cor"}, "kind=cor: there is no such parameter"),
    ],
)
def test_a_senseless_question_is_refused_with_its_name(
    client: TestClient, parameters: dict[str, object], named: str
) -> None:
    answer = client.get("/lab/runs/teacher/errors", params=parameters)

    assert answer.status_code == 422
    assert named in answer.json()["detail"]


def test_a_window_with_too_many_labels_begins_later(client: TestClient, store: Store) -> None:
    """The last step holds labels of two images; so many and no more are read."""
    run = client.get("/lab/runs/teacher").json()["run_id"]
    *_, before, last = (one.candidates for one in step_summaries(store, run))
    everything = StepWindow(0, 59)

    assert readable(store, run, everything) == everything
    assert readable(store, run, everything, before + last) == StepWindow(58, 59)
    assert readable(store, run, everything, 1) == StepWindow(59, 59)
