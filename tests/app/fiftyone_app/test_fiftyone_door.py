"""From an address of ours to a view or a sample in FiftyOne."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.fiftyone.request import Request
from lab.datasets.records import ErrorKind
from lab.store.queries import LABEL_COLUMNS, LabelFilter, get_run, newest_columns
from lab.store.store import Store
from lab.store.truth_queries import BACKGROUND, true_labels

pytestmark = pytest.mark.fiftyone


@pytest.fixture(scope="module")
def kept(fiftyone_lab: Store) -> dict[str, np.ndarray]:
    """The newest kept labels as the store has them, and the class under each (-1 = nothing)."""
    run = get_run(fiftyone_lab, "teacher")
    columns = newest_columns(fiftyone_lab, run.run_id, LabelFilter(kept=True), LABEL_COLUMNS)
    return {**columns, "true": true_labels(fiftyone_lab, run.run_id, columns)}


def opened(dataset: Any, **wish: object) -> Any:
    """The view that the address of a wish leads to."""
    from fiftyone.core.utils import to_slug

    from app.fiftyone.door_server import page_for

    page = page_for({"dataset": dataset.name, **{key: str(one) for key, one in wish.items()}})
    dataset.reload()
    slug = page.partition("?view=")[2]
    (name,) = [one for one in dataset.list_saved_views() if to_slug(one) == slug]
    return dataset.load_saved_view(name)


def test_every_cell_holds_the_labels_that_the_store_counts_in_it(
    dataset: Any, fiftyone_lab: Store, kept: dict[str, np.ndarray]
):
    names = [one.name for one in get_run(fiftyone_lab, "teacher").categories]

    for place, called in enumerate(names):
        for true in (BACKGROUND, *range(len(names))):
            under = {} if true == BACKGROUND else {"lies_on": names[true]}
            wanted = int(((kept["label"] == place) & (kept["true"] == true)).sum())
            assert len(opened(dataset, called=called, **under)) == wanted, (called, under)


def test_the_cells_of_the_panel_are_those_of_the_store(
    dataset: Any, fiftyone_lab: Store, kept: dict[str, np.ndarray]
):
    from app.fiftyone.cells import cells_of

    names = [one.name for one in get_run(fiftyone_lab, "teacher").categories]
    judged = kept["true"] >= BACKGROUND
    pairs = zip(kept["label"][judged].tolist(), kept["true"][judged].tolist(), strict=True)
    wanted: dict[tuple[str, str | None], int] = {}
    for label, true in pairs:
        cell = (names[label], None if true == BACKGROUND else names[true])
        wanted[cell] = wanted.get(cell, 0) + 1

    assert cells_of(dataset, "latest").counts == wanted


def test_a_kind_and_moved_thresholds_open_their_labels(
    dataset: Any, fiftyone_lab: Store, kept: dict[str, np.ndarray]
):
    sim = opened(dataset, kind="sim")
    leaves = opened(dataset, moving="leaves", bars="class_quality:0.7,mask_quality:0.9")

    assert sim.count("latest.detections") == int((kept["kind"] == ErrorKind.SIM).sum())
    bar = float(np.float32(0.9))
    assert len(leaves) == int((kept["mask_quality"] < bar).sum()) > 0


def test_an_image_opens_as_its_sample(dataset: Any, request_of_teacher: Request):
    from app.fiftyone.door_server import page_for

    sample = dataset.first()
    page = page_for({"dataset": dataset.name, "image": str(sample.image_id)})

    assert page == f"/datasets/{dataset.slug}?id={sample.id}"


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ({"dataset": "other"}, "dataset=other: there is none"),
        ({"field": "step_9"}, "field=step_9: the dataset has latest"),
        ({"kind": "dup"}, "kind=dup: one of cor, loc, sim, oth, bg"),
        ({"image": "x"}, "image=x: "),
        ({"image": "999"}, "image=999: it has no labels in this dataset"),
        ({"view": "1"}, "view=1: "),
        ({"moving": "up"}, "moving=up: "),
        ({"moving": "enters", "bars": "beauty:1"}, "no score is called 'beauty'"),
        ({"moving": "enters", "bars": "score:2"}, "'2' is not a number from 0 to 1"),
        ({"moving": "enters", "bars": "score:nan"}, "'nan' is not a number from 0 to 1"),
    ],
)
def test_an_address_of_nothing_is_answered_with_a_sentence(
    dataset: Any, wish: dict[str, str], sentence: str
):
    from app.fiftyone.door_server import answer

    response = answer({"dataset": dataset.name, **wish})

    assert response.status_code == 404
    assert sentence in bytes(response.body).decode()


def test_class_names_of_any_length_and_alphabet_open(dataset: Any):
    long = "<b>" + "x" * 10_000

    assert len(opened(dataset, called=long)) == 0
    assert len(opened(dataset, called="実験", lies_on="../..")) == 0
