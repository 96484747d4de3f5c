"""Counting what is wrong: by time, by class, by pair of classes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.analysis.breakdown import (
    AGAIN,
    FATES,
    Honesty,
    Stretch,
    confused_classes,
    count_fates,
    even_places,
    honesty_over_time,
    stretch_of,
    stretches,
)
from lab.datasets.records import ErrorKind

COR, LOC, SIM, BG = ErrorKind.COR, ErrorKind.LOC, ErrorKind.SIM, ErrorKind.BG
NOTHING = np.zeros(0, np.int64)


def test_recorded_steps_are_cut_into_parts_of_equal_size():
    steps = np.array([10, 20, 30, 40, 50, 70])

    assert stretches(steps, 3) == [Stretch(10, 20), Stretch(30, 40), Stretch(50, 70)]
    assert stretches(steps, 100) == [Stretch(step, step) for step in steps.tolist()]
    assert stretches(NOTHING, 3) == []


def test_a_label_lies_in_the_part_that_its_step_is_in():
    parts = [Stretch(10, 20), Stretch(30, 40), Stretch(50, 70)]

    assert stretch_of(np.array([10, 20, 30, 70, 50]), parts).tolist() == [0, 0, 1, 2, 2]


def test_each_label_has_one_fate_and_a_duplicate_is_right_again():
    kinds = np.array([COR, COR, LOC, BG, BG])
    duplicates = np.array([False, True, True, False, False])

    counts = count_fates(kinds, duplicates, np.array([0, 0, 0, 2, 2]), 3)

    assert counts.shape == (3, len(FATES))
    # Only a right label can be a duplicate: the flag on the Loc changes nothing.
    assert [counts[0, COR], counts[0, AGAIN], counts[0, LOC]] == [1, 1, 1]
    assert counts[1].sum() == 0
    assert counts[2, BG] == 2 == counts[2].sum()


@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, 3)),
        max_size=30,
    )
)
def test_every_label_is_counted_exactly_once(rows):
    kinds, duplicates, groups = (
        np.array(rows).reshape(-1, 3)[:, at].astype(int) for at in range(3)
    )

    counts = count_fates(kinds, duplicates.astype(bool), groups, 4)

    assert counts.sum() == len(rows)
    assert counts.sum(axis=1).tolist() == np.bincount(groups, minlength=4).tolist()


def test_only_classes_that_are_confused_are_shown():
    """Class 0 is right twice, 1 is taken for 2 three times, 2 lies on nothing once, 3 is absent."""
    predicted = np.array([0, 0, 1, 1, 1, 2])
    true = np.array([0, 0, 2, 2, 2, -1])

    found = confused_classes(predicted, true, 4, most=2)

    assert found.labels.tolist() == [1, 2]
    assert found.counts.tolist() == [[0, 3, 0], [0, 0, 1]]
    assert found.totals.tolist() == [3, 1]
    assert found.hidden == 0
    assert confused_classes(predicted, true, 4, most=9).labels.tolist() == [0, 1, 2]


def test_mistakes_whose_cell_is_not_shown_are_told():
    """Class 0 is taken for 1 twice and 2 for 3 once: of two classes, 2 and 3 are left out."""
    found = confused_classes(np.array([0, 0, 2]), np.array([1, 1, 3]), 4, most=2)

    assert found.labels.tolist() == [0, 1]
    assert found.hidden == 1


def test_no_labels_confuse_nothing():
    found = confused_classes(NOTHING, NOTHING, 3, most=5)

    assert found.labels.tolist() == []
    assert found.counts.shape == (0, 1)
    assert found.hidden == 0


def test_honesty_is_told_for_each_stretch():
    """The first two labels are in order, the next two are not, the third stretch has none."""
    quality = np.array([0.2, 0.8, 0.2, 0.8, 0.5], np.float32)
    true_ious = np.array([0.1, 0.9, 0.9, 0.1, np.nan], np.float32)

    first, second, third = honesty_over_time(quality, true_ious, np.array([0, 0, 1, 1, 1]), 3)

    assert first == Honesty(2, pytest.approx(0.5), pytest.approx(0.5), pytest.approx(1.0))
    assert (second.labels, second.correlation) == (2, pytest.approx(-1.0))
    assert third.labels == 0
    assert math.isnan(third.mean_iou) and math.isnan(third.correlation)


def test_a_sample_reaches_from_the_lowest_to_the_highest():
    values = np.array([0.9, 0.1, 0.5, 0.3, 0.7])
    everything = np.ones(5, bool)

    assert even_places(values, everything, 3).tolist() == [1, 2, 0]
    assert even_places(values, everything, 9).tolist() == [1, 3, 2, 4, 0]
    assert even_places(values, ~everything, 3).tolist() == []
