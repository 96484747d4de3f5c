"""Precision, recall and confusion of answers about objects whose class is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.analysis.recognition import NOT_JUDGED, Recognition, recognition
from lab.datasets.records import Category

CATEGORIES = (
    Category(1, "cat", "animal"),
    Category(2, "dog", "animal"),
    Category(3, "car", "vehicle"),
    Category(4, "bus", "vehicle"),
)
ALL_KNOWN = np.ones(4, dtype=bool)


def compared(truth: list[int], answers: list[int], areas: list[float] | None = None) -> Recognition:
    sizes = [100.0] * len(truth) if areas is None else areas
    return recognition(
        CATEGORIES,
        ALL_KNOWN,
        np.array(truth, dtype=np.int64),
        np.array(answers, dtype=np.int64),
        np.array(sizes, dtype=np.float32),
    )


def test_precision_is_about_the_answers_and_recall_about_the_objects():
    # Three cats: two recognised, one taken for a dog. One dog, recognised. A car taken for a cat.
    result = compared([0, 0, 0, 1, 2], [0, 0, 1, 1, 0])

    cat, dog, car, bus = result.classes
    assert (cat.precision, cat.recall) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert (dog.precision, dog.recall) == (0.5, 1.0)
    assert (car.precision, car.recall) == (None, 0.0)
    assert (bus.precision, bus.recall) == (None, None)
    assert (cat.objects, cat.judged, cat.named, cat.right) == (3, 3, 3, 2)
    assert result.accuracy == pytest.approx(3 / 5)
    # The cat taken for a dog is at least an animal.
    assert result.similar_accuracy == pytest.approx(4 / 5)


def test_a_mean_counts_each_class_once_and_leaves_out_what_is_undefined():
    result = compared([0, 0, 0, 1, 2], [0, 0, 1, 1, 0])

    assert result.macro_precision == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert result.macro_recall == pytest.approx((2 / 3 + 1 + 0) / 3)


def test_what_was_too_small_counts_as_an_object_and_nowhere_else():
    result = compared([0, 0, 1], [0, NOT_JUDGED, 1])

    assert (result.objects, result.judged, result.unseen) == (3, 2, 1)
    assert result.accuracy == 1
    assert (result.classes[0].objects, result.classes[0].recall) == (2, 1.0)


def test_an_object_without_a_word_for_it_is_not_called_too_small():
    known = np.array([True, True, True, False])
    truth, answers = np.array([0, 3, 3, 1]), np.array([0, -1, -1, -1])

    result = recognition(CATEGORIES, known, truth, answers, np.full(4, 9.0, np.float32))

    assert (result.unknown, result.unseen, result.judged) == (2, 1, 1)
    assert [one.known for one in result.classes] == [True, True, True, False]


def test_sizes_are_those_of_coco():
    areas = [1023.0, 1024.0, 9215.0, 9216.0]

    small, medium, large = compared([0, 0, 0, 0], [0, 1, 0, NOT_JUDGED], areas).sizes

    assert (small.objects, small.accuracy) == (1, 1.0)
    assert (medium.objects, medium.accuracy) == (2, 0.5)
    assert (large.objects, large.judged, large.accuracy) == (1, 0, None)


def test_the_most_frequent_confusion_comes_first_and_says_how_alike_they_are():
    result = compared([0, 0, 0, 2, 1], [1, 1, 0, 0, 1])

    first, second = result.confusions
    assert (first.truth, first.named, first.count, first.similar) == ("cat", "dog", 2, True)
    assert first.share == pytest.approx(2 / 3)
    assert (second.truth, second.named, second.count, second.similar) == ("car", "cat", 1, False)


def test_without_objects_there_is_nothing_to_say():
    result = compared([], [])

    assert (result.objects, result.accuracy, result.macro_recall) == (0, None, None)
    assert result.confusions == ()


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 3)), max_size=40))
def test_everything_adds_up(pairs: list[tuple[int, int]]):
    truth, answers = [one for one, _ in pairs], [one for _, one in pairs]

    result = compared(truth, answers)

    assert sum(one.judged for one in result.classes) == result.judged
    assert sum(one.named for one in result.classes) == result.judged
    assert sum(one.right for one in result.classes) == result.right
    assert sum(one.objects for one in result.sizes) == result.objects == len(pairs)
    assert sum(one.count for one in result.confusions) == result.judged - result.right
    assert (result.accuracy or 0) <= (result.similar_accuracy or 0)
