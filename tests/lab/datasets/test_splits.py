"""Labelled and unlabelled images: deterministic, stratified, exact, safe on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.datasets.coco_file import DatasetError
from lab.datasets.records import Annotation, Category, Dataset, ImageRecord
from lab.datasets.splits import Split, apply_split, read_split, split_labeled, write_split

CATEGORIES = tuple(Category(10 + k, f"class {k}", "thing") for k in range(5))


def dataset_of(classes_per_image: list[list[int]], crowd: bool = False) -> Dataset:
    """Image i (id 100 + i) holds one instance of each class named."""
    images = [
        ImageRecord(
            image_id=100 + index,
            path=Path(f"{index}.png"),
            height=8,
            width=8,
            annotations=tuple(
                Annotation(1, label, (0, 0, 4, 4), 16, None, crowd) for label in labels
            ),
        )
        for index, labels in enumerate(classes_per_image)
    ]
    return Dataset("made up", CATEGORIES, tuple(images))


contents = st.lists(st.lists(st.integers(0, 4), max_size=4), min_size=1, max_size=40)
fractions = st.floats(0.01, 1)


@given(contents, fractions, st.integers(0, 99))
def test_every_image_is_on_exactly_one_side(classes, fraction, seed):
    dataset = dataset_of(classes)
    split = split_labeled(dataset, fraction, seed)

    assert sorted(split.labeled + split.unlabeled) == [i.image_id for i in dataset.images]


@given(contents, fractions, st.integers(0, 99))
def test_every_class_that_occurs_keeps_a_labelled_instance(classes, fraction, seed):
    split = split_labeled(dataset_of(classes), fraction, seed)

    kept = {label for one in split.labeled for label in classes[one - 100]}
    assert kept == {label for labels in classes for label in labels}


@given(contents, fractions, st.integers(0, 99))
def test_the_fraction_is_exact_unless_the_classes_need_more(classes, fraction, seed):
    split = split_labeled(dataset_of(classes), fraction, seed)

    wanted = max(1, round(fraction * len(classes)))
    present = len({label for labels in classes for label in labels})
    assert wanted <= len(split.labeled) <= max(wanted, present)


@given(contents, fractions, st.integers(0, 99), st.randoms())
def test_the_draw_does_not_depend_on_the_order_of_the_images(classes, fraction, seed, random):
    dataset = dataset_of(classes)
    shuffled = list(dataset.images)
    random.shuffle(shuffled)

    assert split_labeled(dataset, fraction, seed) == split_labeled(
        dataset.with_images(shuffled), fraction, seed
    )


def test_another_seed_draws_other_images():
    dataset = dataset_of([[0]] * 100)
    splits = {split_labeled(dataset, 0.1, seed) for seed in range(10)}

    assert len(splits) == 10
    assert len({split.digest() for split in splits}) == 10


def test_all_labels_leave_nothing_unlabelled():
    assert split_labeled(dataset_of([[0], [1]]), 1.0, 0) == Split((100, 101), ())


def test_a_crowd_does_not_make_a_class_present():
    split = split_labeled(dataset_of([[0], [1], [2], [3]], crowd=True), 0.25, 0)

    assert len(split.labeled) == 1


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.1, float("nan")])
def test_a_fraction_that_is_none_is_refused(fraction):
    with pytest.raises(DatasetError, match="labeled fraction"):
        split_labeled(dataset_of([[0]]), fraction, 0)


def test_a_dataset_without_images_is_refused():
    with pytest.raises(DatasetError, match="no image"):
        split_labeled(dataset_of([]), 0.5, 0)


def test_applying_a_split_keeps_the_hidden_truth_for_analysis():
    dataset = dataset_of([[0], [1], [2]])

    labeled, unlabeled = apply_split(dataset, Split((101,), (100, 102)))

    assert [i.image_id for i in labeled.images] == [101]
    assert [i.annotations[0].label for i in unlabeled.images] == [0, 2]


def test_a_split_of_another_dataset_is_refused():
    with pytest.raises(DatasetError, match="image 999"):
        apply_split(dataset_of([[0]]), Split((100,), (999,)))


def test_a_split_on_disk_is_read_again(tmp_path):
    split = Split((1, 2), (3,))
    write_split(split, tmp_path / "split.json")

    assert read_split(tmp_path / "split.json") == split


def test_a_split_that_was_changed_by_hand_is_refused(tmp_path):
    path = tmp_path / "split.json"
    write_split(Split((1, 2), (3,)), path)
    path.write_text(path.read_text().replace("[3]", "[4]"))

    with pytest.raises(DatasetError, match="changed after it was written"):
        read_split(path)


@pytest.mark.parametrize("tree", ["x", {}, {"labeled": [1.5], "unlabeled": []}, {"labeled": 3}])
def test_a_file_that_is_no_split_is_refused(tmp_path, tree):
    path = tmp_path / "split.json"
    path.write_text(json.dumps(tree))

    with pytest.raises(DatasetError, match=r"split\.json: "):
        read_split(path)
