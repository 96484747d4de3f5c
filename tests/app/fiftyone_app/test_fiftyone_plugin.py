"""Our plugin, as FiftyOne finds and runs it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.fiftyone.database import Address
from app.fiftyone.request import build_request
from lab.store.queries import events, get_run, list_runs
from lab.store.store import Store
from tests.app.commands.conftest import record_by_hand

pytestmark = pytest.mark.fiftyone


@pytest.fixture
def run_id(store: Store) -> str:
    """A finished run with thresholds at 0.8 and a checkpoint at step 10."""
    return record_by_hand(store)


@pytest.fixture
def dataset(store: Store, run_id: str, mongo: Address) -> Any:
    from app.fiftyone.showing import show

    return show(store, build_request(store.root, get_run(store, run_id)))[1]


def run_operator(name: str, dataset: Any, params: dict[str, Any], **more: Any) -> Any:
    """In a thread of its own: where a loop runs (playwright's), the result would be a promise."""
    import fiftyone.operators as foo

    context = {"dataset": dataset, "params": params, **more}
    with ThreadPoolExecutor(1) as alone:
        asked = alone.submit(foo.execute_operator, f"@seglab/errors/{name}", context)
        return asked.result().result


def test_the_button_forks_with_the_thresholds_of_its_form(store: Store, run_id: str, dataset: Any):
    params = {"class_quality": 0.6, "mask_quality": 0.7, "how": "fork", "worker": False}

    told = run_operator("relaunch", dataset, params)

    child = get_run(store, told["run_id"])
    assert child.config["method"]["class_threshold"] == 0.6
    assert child.config["method"]["mask_threshold"] == 0.7
    assert (child.parent_run_id, child.parent_step) == (run_id, 10)


@pytest.mark.parametrize(
    "params",
    [{"class_quality": 1.5}, {"class_quality": "much"}, {"step": "twelve"}, {"how": "again"}],
)
def test_what_the_form_does_not_offer_is_refused_by_fiftyone(
    store: Store, dataset: Any, params: dict[str, Any]
):
    from fiftyone.operators.executor import ExecutionError

    (name,) = params
    with pytest.raises(ExecutionError, match=f"Validation error. Path: {name}"):
        run_operator("relaunch", dataset, {"how": "fork", "worker": False, **params})
    assert len(list_runs(store)) == 1


def test_a_threshold_that_is_no_number_is_told_in_a_sentence(store: Store, dataset: Any):
    params = {"class_quality": float("nan"), "how": "fork", "worker": False}

    told = run_operator("relaunch", dataset, params)

    assert "class_threshold" in told["said"]
    assert len(list_runs(store)) == 1


def test_a_selection_comes_back_as_labels_of_the_run(store: Store, run_id: str, dataset: Any):
    label = dataset.first().latest.detections[0]
    selected = {"label_id": label.id, "sample_id": dataset.first().id, "field": "latest"}

    run_operator("send_selection", dataset, {"name": "odd cats"}, selected_labels=[selected])

    (event,) = [one for one in events(store, run_id) if one.kind == "selection"]
    assert event.payload["label_ids"] == [label.label_id]


def test_cut_outs_that_are_picked_in_the_grid_are_a_selection(
    store: Store, run_id: str, dataset: Any
):
    cut_outs = dataset.to_patches("latest")
    picked = cut_outs.first()

    run_operator("send_selection", dataset, {"name": "odd"}, view=cut_outs, selected=[picked.id])

    (event,) = [one for one in events(store, run_id) if one.kind == "selection"]
    assert event.payload["label_ids"] == [picked.latest.label_id]


def test_without_a_selection_nothing_is_sent(store: Store, run_id: str, dataset: Any):
    told = run_operator("send_selection", dataset, {"name": "odd"}, selected=[dataset.first().id])

    assert told["said"].startswith("No pseudo-label is selected")
    assert not [one for one in events(store, run_id) if one.kind == "selection"]


def choices(name: str, dataset: Any, parameter: str, **params: Any) -> dict[str, str]:
    """What the form of an operator offers for a parameter: values and their words."""
    import fiftyone.operators as foo

    operator = foo.get_operator(f"@seglab/errors/{name}")
    context = foo.ExecutionContext({"dataset_name": dataset.name, "params": params})
    shown = operator.resolve_input(context).to_json()["type"]["properties"]
    return {one["value"]: one["label"] for one in shown[parameter]["view"]["choices"]}


def test_forms_offer_runs_and_labels_by_their_names(fiftyone_lab: Store, mongo: Address):
    from app.fiftyone.showing import show

    run, other = (get_run(fiftyone_lab, name) for name in ("teacher", "teacher-strict"))
    request = build_request(fiftyone_lab.root, run, iterations=(4,), last=True, others=(other,))
    both = show(fiftyone_lab, request)[1]

    assert choices("open_cell", both, "field") == {
        "step_4": "teacher: labels up to step 4",
        "latest": "teacher: newest labels",
        "step_4_teacher_strict": "teacher-strict: labels up to step 4",
        "latest_teacher_strict": "teacher-strict: newest labels",
    }
    assert choices("relaunch", both, "field", field="latest") == {
        "latest": "teacher",
        "step_4_teacher_strict": "teacher-strict",
    }


def test_refreshing_a_run_without_news_writes_nothing(dataset: Any):
    assert run_operator("refresh", dataset, {})["written"] == {"latest": 0}
