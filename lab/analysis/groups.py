"""What a rule for keeping labels does to each group of them: to small masks, to every class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lab.analysis.recognition import SIZES
from lab.analysis.what_if import JUDGED
from lab.datasets.records import BoolArray, ErrorKind, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class GroupCounts:
    """Labels of each group, all (G,) integers."""

    labels: IntArray
    judged: IntArray
    """Of these, labels that truth says something about."""
    right: IntArray
    """Of the judged ones, Cor; duplicates among them."""


def count_groups(groups: IntArray, kinds: IntArray, chosen: BoolArray, num: int) -> GroupCounts:
    """Count the chosen labels of each group.

    Args:
        groups: (N,) in 0..num-1.
        kinds: (N,) ErrorKind.
        chosen: (N,) which labels count.
        num: G, how many groups there are.
    """
    judged = chosen & np.isin(kinds, JUDGED)
    right = chosen & (kinds == ErrorKind.COR)
    return GroupCounts(*(np.bincount(groups[of], minlength=num) for of in (chosen, judged, right)))


def size_groups(areas: FloatArray) -> IntArray:
    """(N,) pixels of masks or objects -> (N,) place in SIZES: 0 = small, 1 = medium, 2 = large."""
    return np.digitize(areas, [below for _, _, below in SIZES[:-1]])
