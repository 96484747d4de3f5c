"""Views that somebody asked for come and go; those that somebody made stay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.fiftyone.database import Address
from app.fiftyone.request import Request, build_request
from app.fiftyone.views import confusion_view, kind_view, moving_views, standing_views
from lab.analysis.judge import build_judge
from lab.datasets.records import ErrorKind, LabelSource
from lab.store.queries import get_run
from lab.store.recorder import StoreRecorder
from lab.store.runs import attach_datasets, create_run
from lab.store.store import Store
from tests.app.commands.conftest import record_by_hand
from tests.factories import example_config, guesses, painted_dataset

pytestmark = pytest.mark.fiftyone


@pytest.fixture
def request_by_hand(store: Store) -> Request:
    return build_request(store.root, get_run(store, record_by_hand(store)))


@pytest.fixture
def dataset(store: Store, request_by_hand: Request, mongo: Address) -> Any:
    from app.fiftyone.showing import show

    return show(store, request_by_hand)[1]


def ask(dataset: Any, called: str, lies_on: str | None = "dog") -> str:
    from app.fiftyone.asked_views import save_asked_view

    return save_asked_view(dataset, confusion_view("latest", called, lies_on))


def not_standing(dataset: Any, request: Request) -> set[str]:
    every = {plan.name for field in request.fields for plan in standing_views(field)}
    return set(dataset.list_saved_views()) - every


def test_what_is_asked_for_again_is_the_same_view(dataset: Any, request_by_hand: Request):
    once, again = ask(dataset, "cat"), ask(dataset, "cat")

    assert once == again == "latest: cat for dog"
    assert not_standing(dataset, request_by_hand) == {once}


def test_other_thresholds_take_the_place_of_those_before(dataset: Any, request_by_hand: Request):
    from app.fiftyone.asked_views import save_asked_view

    for bar in (0.5, 0.9):
        save_asked_view(dataset, moving_views("latest", {"mask_quality": bar}, 0)[1])

    (name,) = not_standing(dataset, request_by_hand)
    assert dataset.get_saved_view_info(name)["description"].endswith("mask_quality ≥ 0.9")


def test_the_newest_eight_stay(dataset: Any, request_by_hand: Request):
    names = [ask(dataset, f"class {number}") for number in range(10)]
    ask(dataset, "class 2")
    ask(dataset, "class 10")

    assert not_standing(dataset, request_by_hand) == {
        *names[4:],
        "latest: class 2 for dog",
        "latest: class 10 for dog",
    }


def test_a_view_that_somebody_made_keeps_its_name_and_stays(dataset: Any, request_by_hand: Request):
    dataset.save_view("latest: cat for dog", dataset.limit(1), description="mine")

    name = ask(dataset, "cat")
    for number in range(10):
        ask(dataset, f"class {number}")

    assert name == "latest: cat for dog (2)"
    assert dataset.get_saved_view_info("latest: cat for dog")["description"] == "mine"
    assert len(dataset.load_saved_view("latest: cat for dog")) == 1
    assert len(not_standing(dataset, request_by_hand)) == 9


def test_a_view_that_somebody_renamed_is_theirs(dataset: Any):
    name = ask(dataset, "cat")
    dataset.update_saved_view_info(name, {"name": "to show on Monday"})

    for number in range(10):
        ask(dataset, f"class {number}")
    dataset.reload()

    assert "to show on Monday" in dataset.list_saved_views()


def test_a_view_that_every_field_has_is_opened_as_it_is(dataset: Any, request_by_hand: Request):
    from app.fiftyone.asked_views import save_asked_view

    plan = kind_view("latest", ErrorKind.SIM)
    dataset.update_saved_view_info(plan.name, {"description": "look here"})

    assert save_asked_view(dataset, plan) == plan.name
    assert dataset.get_saved_view_info(plan.name)["description"] == "look here"
    assert not_standing(dataset, request_by_hand) == set()


def test_classes_that_read_the_same_in_a_link_have_a_view_each(dataset: Any):
    names = [ask(dataset, called) for called in ("cat", "Cat", "実験", "犬", "<b>cat</b>")]

    assert len(set(names)) == 5
    assert set(names) <= set(dataset.list_saved_views())


def test_they_are_still_known_after_the_run_was_opened_again(
    dataset: Any, store: Store, request_by_hand: Request
):
    from app.fiftyone.showing import show

    name = ask(dataset, "cat")
    show(store, request_by_hand)
    dataset.reload()

    assert ask(dataset, "cat") == name
    assert not_standing(dataset, request_by_hand) == {name}


def test_somebodys_view_with_the_name_of_a_standing_one_is_left_alone(
    store: Store, request_by_hand: Request, dataset: Any
):
    from app.fiftyone.showing import show

    dataset.delete_saved_view("latest: Sim")
    dataset.save_view("Latest SIM", dataset.limit(1))

    show(store, request_by_hand)
    dataset.reload()

    assert "Latest SIM" in dataset.list_saved_views()


def test_cut_outs_of_a_saved_view_are_those_of_the_labels_that_are_there_now(
    store: Store, mongo: Address
):
    from app.fiftyone.showing import show

    train = painted_dataset(store.root / "pictures", "painted", 3, 64, 1)
    run_id = create_run(store, example_config("going on", "pl_dc", 3))
    attach_datasets(store, run_id, train, train)
    rng = np.random.default_rng(5)
    request = build_request(store.root, get_run(store, run_id))
    found: list[int] = []
    with StoreRecorder(store, run_id, judge=build_judge(train)) as recorder:
        for step, image in enumerate(train.images):
            recorder.pseudo_labels(step, [guesses(rng, image, LabelSource.PSEUDO, 1.0)])
            recorder.flush()
            dataset = show(store, request)[1]
            cut_out = dataset.load_saved_view("latest: Cor, cut out")
            found.append(dataset.load_saved_view("latest: Cor").count("latest.detections"))
            assert len(cut_out) == found[-1]
        recorder.finish("finished")

    assert found[0] < found[-1]
