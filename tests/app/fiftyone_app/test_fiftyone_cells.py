"""Which class is taken for which, counted from labels."""

from __future__ import annotations

from app.fiftyone.cells import count_cells

LABELS = [
    ("Cor", True, "cat", "cat"),
    ("Cor", True, "cat", "cat"),
    ("Loc", True, "cat", "cat"),
    ("Sim", True, "cat", "dog"),
    ("BG", True, "cat", None),
    ("BG", True, "cat", None),
    ("Oth", True, "car", "dog"),
    ("Oth", False, "car", "cat"),
    ("ignored", True, "car", "dog"),
    ("unknown", True, "car", None),
]


def test_kept_and_judged_labels_are_counted_by_both_classes():
    assert count_cells(LABELS).counts == {
        ("cat", "cat"): 3,
        ("cat", "dog"): 1,
        ("cat", None): 2,
        ("car", "dog"): 1,
    }


def test_the_class_with_the_most_mistakes_comes_first():
    assert count_cells(LABELS).called() == {"cat": 6, "car": 1}


def test_what_lies_under_a_class_begins_with_its_mistakes():
    assert list(count_cells(LABELS).lying("cat").items()) == [(None, 2), ("dog", 1), ("cat", 3)]
    assert count_cells(LABELS).lying("dog") == {}


def test_the_square_has_a_row_per_class_and_a_last_column_for_nothing():
    names, found = count_cells(LABELS).square(12)

    assert names == ["car", "cat", "dog"]
    assert found.labels.tolist() == [0, 1, 2]
    assert found.counts.tolist() == [[0, 0, 1, 0], [0, 3, 1, 2], [0, 0, 0, 0]]


def test_no_labels_make_an_empty_square():
    names, found = count_cells([]).square(12)

    assert names == []
    assert found.counts.shape == (0, 1)
