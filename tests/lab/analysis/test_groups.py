import numpy as np

from lab.analysis.groups import count_groups, size_groups
from lab.datasets.records import ErrorKind


def test_a_mask_of_32_by_32_pixels_is_medium_and_one_of_96_by_96_large():
    areas = np.array([0, 1023.9, 1024, 9215, 9216], np.float32)

    assert size_groups(areas).tolist() == [0, 0, 1, 1, 2]


def test_labels_without_truth_count_as_labels_and_are_not_judged():
    groups = np.array([0, 0, 0, 2])
    kinds = np.array([ErrorKind.COR, ErrorKind.UNKNOWN, ErrorKind.BG, ErrorKind.COR])
    chosen = np.array([True, True, True, False])

    counts = count_groups(groups, kinds, chosen, 3)

    assert counts.labels.tolist() == [3, 0, 0]
    assert counts.judged.tolist() == [2, 0, 0]
    assert counts.right.tolist() == [1, 0, 0]


def test_no_labels_leave_empty_groups():
    none = np.zeros(0, np.int64)

    counts = count_groups(none, none, none.astype(bool), 2)

    assert counts.labels.tolist() == [0, 0]
