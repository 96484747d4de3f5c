"""What other thresholds would have kept, answered in O(1) from one small array of counts.

The two axes are any two scores of the labels: class and mask quality, box and pixel score. What it
means to pass a threshold is said in threshold_grid.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lab.analysis.iou_sums import IouSums
from lab.analysis.match import Float64Array
from lab.analysis.quality import harmonic_mean, ratio
from lab.analysis.threshold_grid import SIDE, STEPS, at_or_above, cells, grid, grid_index
from lab.datasets.records import BoolArray, ErrorKind, FloatArray, IntArray

FOUND = len(ErrorKind)
"""The plane of found truths, behind one plane per ErrorKind."""
PLANES = FOUND + 1
JUDGED = (ErrorKind.COR, ErrorKind.LOC, ErrorKind.SIM, ErrorKind.OTH, ErrorKind.BG)

Counts = NDArray[np.int32]
Metric = Literal[
    "kept", "precision", "recall", "f1", "found", "cor", "loc", "sim", "oth", "bg", "iou"
]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a pair of thresholds keeps."""

    kept: int
    correct: int
    """Cor, duplicates included."""
    found: int
    """Truths that at least one kept label gets right."""
    precision: float
    """Cor / (Cor + Loc + Sim + Oth + BG); NaN when nothing judged is kept."""
    recall: float
    """Found / truths; NaN without truths."""
    kinds: Mapping[ErrorKind, int]
    mean_true_iou: float | None = None
    """Of the kept masks whose own truth is known, NaN without any; None = not asked for."""

    @property
    def duplicates(self) -> int:
        """Correct labels beyond the first of their truth."""
        return self.correct - self.found

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 when nothing is right, NaN without truths."""
        return harmonic_mean(self.precision, self.recall)


@dataclass(frozen=True, slots=True)
class Best:
    """The thresholds with the highest F1; of equals the lowest pair."""

    x_threshold: float
    y_threshold: float
    answer: Answer


@dataclass(frozen=True, slots=True)
class IntegralHistogram:
    """Counts of labels at or above every pair of grid thresholds."""

    cumulative: Counts
    """(8, 101, 101): [plane, x bin, y bin]; planes are the ErrorKinds, then found truths."""
    num_truths: int
    ious: IouSums | None = None
    """Of masks made from boxes, where "right" says little."""

    @classmethod
    def build(
        cls,
        x: FloatArray,
        y: FloatArray,
        kinds: IntArray,
        duplicates: BoolArray,
        num_truths: int,
        truths: IntArray | None = None,
        true_ious: FloatArray | None = None,
    ) -> IntegralHistogram:
        """Count labels; give those that pass the rules which are no part of the question.

        With `truths`, found truths are exact at every threshold. Without, they are approximated by
        the Cor labels that are no duplicates of all labels given: too few where a threshold keeps
        a duplicate and drops the better-scored label.

        Args:
            x: (N,) a score in [0, 1].
            y: (N,) another.
            kinds: (N,) ErrorKind.
            duplicates: (N,) used only without `truths`.
            num_truths: truths of all images and steps the labels come from.
            truths: (N,) a number in 0..2^48 of the truth each label is linked to, one per truth,
                image and step; negative for none.
            true_ious: (N,) what the mean true IoU is of; NaN = not known.
        """
        _check_columns(kinds, x=x, y=y, duplicates=duplicates)
        where = cells(x, y)
        counts = np.bincount(kinds * SIDE**2 + where, minlength=PLANES * SIDE**2)
        histogram = counts.reshape(PLANES, SIDE, SIDE)
        correct = kinds == ErrorKind.COR
        if truths is None:
            first = np.bincount(where[correct & ~duplicates], minlength=SIDE**2)
        else:
            chosen = correct & (truths >= 0)
            first = _first_hits(where[chosen], truths[chosen])
        histogram[FOUND] = first.reshape(SIDE, SIDE)
        ious = None if true_ious is None else IouSums.build(where, true_ious)
        return cls(at_or_above(histogram).astype(np.int32), num_truths, ious)

    def ask(self, x_threshold: float, y_threshold: float) -> Answer:
        """What `>=` both thresholds keeps; each a multiple of 0.01 in [0, 1]."""
        at = grid_index(x_threshold), grid_index(y_threshold)
        return answer(self.cumulative[:, *at], self.num_truths, _iou_at(self.ious, at))

    def plane(self, metric: Metric) -> Float64Array:
        """A number at all thresholds, (101, 101): [x, y]; NaN as in Answer."""
        return metric_of(self.cumulative, self.num_truths, metric, self.ious)

    def best_f1(self) -> Best | None:
        """The best thresholds in hindsight; None without truths."""
        scores = self.plane("f1")
        if np.isnan(scores).all():
            return None
        row, column = divmod(int(np.nanargmax(scores)), SIDE)
        thresholds = row / STEPS, column / STEPS
        return Best(*thresholds, self.ask(*thresholds))

    def as_arrays(self) -> dict[str, NDArray[np.generic]]:
        """What the browser needs: `cumulative` int32 (326 KB), `grid`, `num_truths`."""
        return _arrays(self.cumulative, self.num_truths)


@dataclass(frozen=True, slots=True)
class CoupledHistogram:
    """The same for one threshold on the product of the two scores."""

    cumulative: Counts
    """(8, 101): [plane, product bin]."""
    num_truths: int
    ious: IouSums | None = None

    @classmethod
    def build(
        cls,
        product: FloatArray,
        kinds: IntArray,
        duplicates: BoolArray,
        num_truths: int,
        truths: IntArray | None = None,
        true_ious: FloatArray | None = None,
    ) -> CoupledHistogram:
        """Count labels by the product of their scores, (N,) in [0, 1]; see IntegralHistogram."""
        ones = np.ones_like(product)
        both = IntegralHistogram.build(
            product, ones, kinds, duplicates, num_truths, truths, true_ious
        )
        ious = None if both.ious is None else both.ious.along_x()
        return cls(np.ascontiguousarray(both.cumulative[:, :, 0]), num_truths, ious)

    def ask(self, threshold: float) -> Answer:
        """What `product >= threshold` keeps; a multiple of 0.01 in [0, 1]."""
        at = (grid_index(threshold),)
        return answer(self.cumulative[:, *at], self.num_truths, _iou_at(self.ious, at))

    def line(self, metric: Metric) -> Float64Array:
        """A number at all thresholds: (101,)."""
        return metric_of(self.cumulative, self.num_truths, metric, self.ious)

    def as_arrays(self) -> dict[str, NDArray[np.generic]]:
        """What the browser needs: `cumulative` int32, `grid`, `num_truths`."""
        return _arrays(self.cumulative, self.num_truths)


def answer(counts: Counts, num_truths: int, mean_true_iou: float | None = None) -> Answer:
    """Read one column of planes, (8,)."""
    kinds = {kind: int(counts[kind]) for kind in ErrorKind}
    correct, found = kinds[ErrorKind.COR], int(counts[FOUND])
    judged = sum(kinds[kind] for kind in JUDGED)
    return Answer(
        kept=sum(kinds.values()),
        correct=correct,
        found=found,
        precision=ratio(correct, judged),
        recall=ratio(found, num_truths),
        kinds=kinds,
        mean_true_iou=mean_true_iou,
    )


def metric_of(
    cumulative: Counts, num_truths: int, metric: Metric, ious: IouSums | None = None
) -> Float64Array:
    """One metric from planes of counts: (8, ...) -> (...). "iou" is NaN without `ious`."""
    counts = cumulative.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):  # 0 / 0 is the NaN of "nothing to judge"
        precision = counts[ErrorKind.COR] / counts[list(JUDGED)].sum(axis=0)
        recall = counts[FOUND] / num_truths if num_truths else np.full(counts.shape[1:], np.nan)
        match metric:
            case "kept":
                return counts[:FOUND].sum(axis=0)
            case "precision":
                return precision
            case "recall":
                return recall
            case "f1":
                return np.where(recall == 0, 0.0, 2 * precision * recall / (precision + recall))
            case "found":
                return counts[FOUND]
            case "iou":
                return np.full(counts.shape[1:], np.nan) if ious is None else ious.means()
            case kind:
                return counts[ErrorKind[kind.upper()]]


def _first_hits(where: IntArray, truths: IntArray) -> IntArray:
    """A histogram whose sums at or above any corner count distinct truths: (M,), (M,) -> (101^2,).

    A truth is found at thresholds (i, j) when one of its labels has bins >= (i, j): a union of
    rectangles. The labels on its staircase (none other at or above them in both bins) count +1,
    the inner corner between two neighbours on it -1, which counts the union exactly once.
    """
    if len(truths) == 0:
        return np.zeros(SIDE**2, np.int64)
    if truths.max() >= 2**48:
        raise ValueError(f"truth number {truths.max()} is not below 2^48")
    # One sort: by truth, then x bin falling, then y bin falling.
    order = np.sort(truths * SIDE**2 + (SIDE**2 - 1 - where))
    truth, rest = np.divmod(order, SIDE**2)
    x_bin, y_bin = np.divmod(SIDE**2 - 1 - rest, SIDE)
    group = np.cumsum(np.append(True, truth[1:] != truth[:-1]))
    highest = np.maximum.accumulate(group * SIDE + y_bin)
    before = np.append(0, highest[:-1])
    on_staircase = group * SIDE + y_bin > before
    has_neighbour = on_staircase & (before >= group * SIDE)
    corner = x_bin[has_neighbour] * SIDE + (before - group * SIDE)[has_neighbour]
    outer = np.bincount((x_bin * SIDE + y_bin)[on_staircase], minlength=SIDE**2)
    return outer - np.bincount(corner, minlength=SIDE**2)


def _iou_at(ious: IouSums | None, at: tuple[int, ...]) -> float | None:
    return None if ious is None else ious.mean_at(*at)


def _check_columns(kinds: IntArray, **columns: NDArray[np.generic]) -> None:
    for name, column in columns.items():
        if len(column) != len(kinds):
            raise ValueError(f"{name} has {len(column)} entries for {len(kinds)} kinds")
    wrong = (kinds < 0) | (kinds >= FOUND)
    if wrong.any():
        raise ValueError(f"kinds: {kinds[wrong][0]} of label {wrong.argmax()} is no ErrorKind")


def _arrays(cumulative: Counts, num_truths: int) -> dict[str, NDArray[np.generic]]:
    return {
        "cumulative": cumulative,
        "grid": grid(),
        "num_truths": np.array(num_truths, np.int32),
    }
