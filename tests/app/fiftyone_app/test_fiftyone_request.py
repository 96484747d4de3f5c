"""What a request shows, and under which names."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from app.commands.fiftyone import check_address
from app.commands.terminal import WrongUse
from app.fiftyone.content import check_labels, check_same_images
from app.fiftyone.request import Request, build_request, words_of_fields, words_of_runs
from lab.store.errors import StoreError
from lab.store.queries import RunRow, get_run, label_steps
from lab.store.runs import attach_datasets, create_run
from lab.store.store import Store
from tests.factories import example_config, painted_dataset


def names(request: Request) -> list[str]:
    return [field.name for field in request.fields]


def test_the_newest_labels_are_shown_when_nothing_is_said(store: Store, run_id: str):
    assert names(build_request(Path("x"), get_run(store, run_id))) == ["latest"]


def test_every_iteration_is_a_field_and_the_newest_only_when_asked_for(store: Store, run_id: str):
    run = get_run(store, run_id)

    assert names(build_request(Path("x"), run, iterations=(10, 20, 10))) == ["step_10", "step_20"]
    assert names(build_request(Path("x"), run, iterations=(10,), last=True)) == [
        *("step_10", "latest")
    ]


def test_a_compared_run_has_fields_of_its_own_even_under_the_same_name(store: Store, run_id: str):
    run = replace(get_run(store, run_id), name="PL-DC, strict!")
    other = replace(run, run_id="another-id")

    once = build_request(Path("x"), run, others=(other,))
    twice = build_request(Path("x"), run, others=(other, run))

    assert names(once) == ["latest", "latest_pl_dc_strict"]
    assert len(set(names(twice))) == 3


@pytest.mark.parametrize("name", ["x" * 10_000, "<b>../../etc</b>", "実験", "%00 \u202e$."])
def test_names_are_plain_and_short_whatever_runs_are_called(store: Store, run_id: str, name: str):
    run = replace(get_run(store, run_id), name=name)

    request = build_request(Path("x"), run, others=(replace(run, run_id="other"),))

    for made in (request.dataset, *names(request)):
        assert re.fullmatch(r"[a-z0-9_-]{1,150}", made)
    assert len(set(names(request))) == 2


def test_an_evaluation_is_a_dataset_of_its_own(store: Store, run_id: str):
    run = get_run(store, run_id)
    labels, evaluation = (build_request(Path("x"), run, evaluation=flag) for flag in (False, True))

    assert names(evaluation) == ["teacher", "student"]
    assert (labels.split, evaluation.split) == ("train", "val")
    assert labels.dataset != evaluation.dataset


def test_a_request_survives_being_written_down(store: Store, run_id: str):
    request = build_request(Path("x"), get_run(store, run_id), iterations=(3,))

    assert Request.from_info(json.loads(json.dumps(request.as_info()))) == request


def test_a_step_that_a_run_does_not_have_is_refused(fiftyone_lab: Store):
    run = get_run(fiftyone_lab, "teacher")
    first = int(label_steps(fiftyone_lab, run.run_id)[0])

    check_labels(fiftyone_lab, run, (first, run.max_steps))
    with pytest.raises(StoreError, match=f"no step {run.max_steps + 1}; its newest labels are of"):
        check_labels(fiftyone_lab, run, (run.max_steps + 1,))


def test_a_run_with_other_classes_is_not_compared(fiftyone_lab: Store):
    run, other = (get_run(fiftyone_lab, name) for name in ("teacher", "teacher-strict"))
    fewer = replace(other, categories=other.categories[:2])

    check_same_images(fiftyone_lab, run, other, "train")
    with pytest.raises(StoreError, match=f"{other.run_id}: its classes are not those of run"):
        check_same_images(fiftyone_lab, run, fewer, "train")


def test_a_run_on_other_images_is_not_compared(store: Store):
    def run_on_images(seed: int) -> RunRow:
        run_id = create_run(store, example_config(f"run {seed}", "pl_dc", 3))
        data = painted_dataset(store.root / f"pictures-{seed}", "painted", 2, 32, seed)
        attach_datasets(store, run_id, data, data)
        return get_run(store, run_id)

    with pytest.raises(StoreError, match="its validation images are not those of run"):
        check_same_images(store, run_on_images(1), run_on_images(2), "val")


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "127.0.0.1:7860", "http://", "http://["]
)
def test_a_dashboard_that_no_browser_opens_is_refused(address: str):
    check_address("https://lab.example:7860/")
    with pytest.raises(WrongUse, match="--dashboard"):
        check_address(address)


def test_a_run_without_labels_is_shown_only_while_some_may_come(store: Store, run_id: str):
    run = get_run(store, run_id)

    check_labels(store, run, ())
    with pytest.raises(StoreError, match="no pseudo-labels up to step 5; there are none yet"):
        check_labels(store, run, (5,))
    with pytest.raises(StoreError, match="it recorded no pseudo-labels; --evaluation shows"):
        check_labels(store, replace(run, status="finished"), ())


def test_fields_are_named_in_words_and_by_run_where_there_are_several(store: Store, run_id: str):
    run = replace(get_run(store, run_id), name="PL-DC")
    other = replace(run, run_id="another-id", name="single threshold")

    alone = build_request(Path("x"), run, iterations=(1200,), last=True)
    both = build_request(Path("x"), run, others=(other,))
    predictions = build_request(Path("x"), run, evaluation=True)

    assert list(words_of_fields(alone.fields).values()) == [
        "labels up to step 1,200",
        "newest labels",
    ]
    assert words_of_fields(both.fields) == {
        "latest": "PL-DC: newest labels",
        "latest_single_threshold": "single threshold: newest labels",
    }
    assert list(words_of_fields(predictions.fields).values()) == [
        "predictions of the teacher",
        "predictions of the student",
    ]


def test_runs_of_one_name_are_told_apart_by_their_ids(store: Store, run_id: str):
    run = replace(get_run(store, run_id), name="PL-DC")
    other = replace(run, run_id="another-id")

    runs = words_of_runs(build_request(Path("x"), run, others=(other,)).fields)

    assert runs == {run_id: f"PL-DC ({run_id})", "another-id": "PL-DC (another-id)"}


def test_fields_that_were_written_without_the_name_of_their_run_have_its_id(
    store: Store, run_id: str
):
    info = build_request(Path("x"), get_run(store, run_id)).as_info()
    del info["fields"][0]["run_name"]

    assert Request.from_info(info).fields[0].run_name == run_id
