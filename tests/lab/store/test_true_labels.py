"""What labels really lie on: the class of the truth that decided their kind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lab.config import RunConfig
from lab.datasets.records import ErrorKind
from lab.store.queries import LabelFilter, find_labels, label_columns, true_labels
from lab.store.recorder import StoreRecorder
from lab.store.runs import attach_datasets, create_run
from lab.store.truth_queries import BACKGROUND, COLUMNS, UNJUDGED, truths_of
from tests.factories import painted_dataset, pseudo_labels

CAT, DOG, CAR, BUS = range(4)
KINDS = (ErrorKind.COR, ErrorKind.SIM, ErrorKind.OTH, ErrorKind.BG, ErrorKind.UNKNOWN)
PREDICTED = (CAT, CAT, CAR, CAR, CAR)


@pytest.fixture
def judged_run(store, tmp_path):
    """An image with one true dog; of its labels a cat and a car lie on the dog."""
    made = painted_dataset(tmp_path, "kinds", 2, 64, 0)
    dog = replace(made.images[0].annotations[0], label=DOG)
    image = replace(made.images[0], annotations=(dog,))
    run = create_run(store, RunConfig())
    attach_datasets(store, run, made.with_images([image, made.images[1]]), made.with_images(()))
    labels = replace(
        pseudo_labels(5, image_id=image.image_id, judged=False),
        labels=np.array(PREDICTED),
        kinds=np.array(KINDS),
        gt_ids=np.array([999, dog.annotation_id, dog.annotation_id, -1, -1]),
        duplicates=np.zeros(5, bool),
        true_ious=np.full(5, 0.3, np.float32),
    )
    with StoreRecorder(store, run) as recorder:
        recorder.pseudo_labels(0, [labels])
    return run


def test_a_wrong_class_is_looked_up_and_a_right_one_is_its_own(store, judged_run):
    columns = label_columns(store, judged_run, LabelFilter(), COLUMNS)

    classes = true_labels(store, judged_run, columns)

    assert classes.tolist() == [CAT, DOG, DOG, BACKGROUND, UNJUDGED]


@pytest.mark.parametrize("true_label", [CAT, DOG, BUS, BACKGROUND])
def test_both_ways_to_read_labels_agree_about_what_they_lie_on(store, judged_run, true_label):
    wanted = LabelFilter(true_label=true_label)

    packed = label_columns(store, judged_run, wanted, ("label_id", "label"))
    page = find_labels(store, judged_run, wanted, sort="label_id")

    assert [row.label_id for row in page.rows] == packed["label_id"].tolist()
    expected = {CAT: [CAT], DOG: [CAT, CAR], BUS: [], BACKGROUND: [CAR]}
    assert packed["label"].tolist() == expected[true_label]
    assert list(packed) == ["label_id", "label"]


def test_it_narrows_with_the_other_filters(store, judged_run):
    cats_on_dogs = LabelFilter(label=CAT, true_label=DOG)

    assert find_labels(store, judged_run, cats_on_dogs).total == 1
    assert len(label_columns(store, judged_run, cats_on_dogs, ("kind",))["kind"]) == 1


def test_a_truth_that_is_not_there_is_no_class(store, judged_run):
    columns = {
        "image_id": np.array([77]),
        "label": np.array([CAT]),
        "kind": np.array([ErrorKind.SIM]),
        "gt_id": np.array([5]),
    }

    assert true_labels(store, judged_run, columns).tolist() == [UNJUDGED]
    assert [len(part) for part in truths_of(store, judged_run, [])] == [0, 0]


def test_no_labels_lie_on_nothing(store, judged_run):
    columns = label_columns(store, judged_run, LabelFilter(first_step=9), COLUMNS)

    assert true_labels(store, judged_run, columns).tolist() == []
