"""What is wrong with labels, counted: over time, per class, class against class."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lab.analysis.confusion import NONE, confusion_matrix
from lab.analysis.match import Float64Array
from lab.analysis.quality import Scores, rank_correlation
from lab.datasets.records import BoolArray, ErrorKind, IntArray

AGAIN = len(ErrorKind)
"""Column of labels that are right, but for an object that a better one already has."""
FATES = (*(kind.name.lower() for kind in ErrorKind), "again")
"""What the columns of counts are called."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some consecutive recorded steps, both ends included."""

    first: int
    last: int


def stretches(steps: IntArray, most: int) -> list[Stretch]:
    """Recorded steps (S,), ascending, in at most `most` parts of about equal size."""
    if len(steps) == 0:
        return []
    parts = np.array_split(steps, min(most, len(steps)))
    return [Stretch(int(part[0]), int(part[-1])) for part in parts]


def stretch_of(steps: IntArray, parts: list[Stretch]) -> IntArray:
    """Which of the parts the step of each label lies in; all of them lie in one. (N,) -> (N,)"""
    return np.searchsorted(np.array([part.last for part in parts]), steps)


def count_fates(
    kinds: IntArray, duplicates: BoolArray, groups: IntArray, num_groups: int
) -> IntArray:
    """Labels by group and fate: (N,), (N,), (N,) in 0..G-1 -> (G, len(FATES)).

    Unlike elsewhere Cor leaves duplicates out here: they have a column of their own, so that each
    label is counted once.
    """
    fates = np.where(duplicates & (kinds == ErrorKind.COR), AGAIN, kinds)
    cells = groups.astype(np.int64) * len(FATES) + fates
    return np.bincount(cells, minlength=num_groups * len(FATES)).reshape(num_groups, len(FATES))


@dataclass(frozen=True, slots=True)
class ConfusedClasses:
    """The classes that are confused most, and how often each is taken for each."""

    labels: IntArray
    """(C,) classes, ascending."""
    counts: IntArray
    """(C, C + 1): labels by predicted and true class; the last column is background."""
    totals: IntArray
    """(C,) labels of each predicted class, classes that are not shown included."""
    hidden: int
    """Labels of a wrong class whose cell is not shown."""


def confused_classes(
    pred_labels: IntArray, true_labels: IntArray, num_classes: int, most: int
) -> ConfusedClasses:
    """Who is taken for whom, of at most `most` classes.

    Args:
        pred_labels: (N,) in 0..K-1.
        true_labels: (N,) the same, -1 for background.
        num_classes: K.
    """
    matrix = confusion_matrix(pred_labels, true_labels, num_classes)[:num_classes]
    crossed = matrix[:, :num_classes].copy()
    np.fill_diagonal(crossed, 0)
    labels = _most_confused(matrix, crossed, most)
    shown = matrix[np.ix_(labels, np.append(labels, NONE))]
    seen = int(crossed[np.ix_(labels, labels)].sum())
    return ConfusedClasses(labels, shown, matrix[labels].sum(axis=1), int(crossed.sum()) - seen)


def _most_confused(matrix: IntArray, crossed: IntArray, most: int) -> IntArray:
    """The classes in most mistakes; of equals, those with more labels. Classes without any go."""
    mistakes = crossed.sum(axis=0) + crossed.sum(axis=1)
    present = matrix.sum(axis=1) + matrix[:, :-1].sum(axis=0)
    order = np.lexsort((-present, -mistakes))
    return np.sort(order[present[order] > 0][:most])


@dataclass(frozen=True, slots=True)
class Honesty:
    """What a quality score was worth in one stretch; NaN where nothing is known."""

    labels: int
    """Whose true IoU and score are known."""
    mean_quality: float
    mean_iou: float
    correlation: float
    """Spearman's rho of score and true IoU."""


def honesty_over_time(
    quality: Scores, true_ious: Scores, places: IntArray, num_stretches: int
) -> list[Honesty]:
    """One entry per stretch. quality (N,), true_ious (N,), places (N,) ascending."""
    ends = np.searchsorted(places, np.arange(num_stretches + 1))
    return [
        _honesty(quality[start:end], true_ious[start:end]) for start, end in pairwise(ends.tolist())
    ]


def _honesty(quality: Scores, true_ious: Scores) -> Honesty:
    known = ~(np.isnan(quality) | np.isnan(true_ious))
    chosen, ious = quality[known], true_ious[known]
    return Honesty(int(known.sum()), _mean(chosen), _mean(ious), rank_correlation(chosen, ious))


def _mean(values: NDArray[np.floating]) -> float:
    return float(values.mean(dtype=np.float64)) if len(values) else float("nan")


def even_places(values: Float64Array | Scores, chosen: BoolArray, most: int) -> IntArray:
    """Places of at most `most` chosen values, evenly from the lowest value to the highest."""
    places = np.flatnonzero(chosen)
    ordered = places[np.argsort(values[places])]
    return ordered[np.linspace(0, len(ordered) - 1, min(most, len(ordered))).astype(np.int64)]
