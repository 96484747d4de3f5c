"""What other thresholds would have kept, answered in O(1) from one small array of counts.

The rule, the same here, in the engine's filter and in the browser: a label passes threshold t when
float32(quality) >= float32(t). Thresholds lie on the grid 0.00, 0.01 ... 1.00; a quality's bin is
the index of the highest grid threshold it passes, so "passes t_i" is "bin >= i" in integers, and
no reader of the array compares floats again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lab.analysis.match import Float64Array
from lab.analysis.quality import harmonic_mean, ratio
from lab.datasets.records import BoolArray, ErrorKind, FloatArray, IntArray

STEPS = 100
SIDE = STEPS + 1
FOUND = len(ErrorKind)
"""The plane of found truths, behind one plane per ErrorKind."""
PLANES = FOUND + 1
JUDGED = (ErrorKind.COR, ErrorKind.LOC, ErrorKind.SIM, ErrorKind.OTH, ErrorKind.BG)

Counts = NDArray[np.int32]
Metric = Literal["kept", "precision", "recall", "f1", "found", "cor", "loc", "sim", "oth", "bg"]


def grid() -> FloatArray:
    """The 101 thresholds as float32, as labels are compared with them."""
    return (np.arange(SIDE) / STEPS).astype(np.float32)


def grid_index(threshold: float) -> int:
    """0..100 for a threshold on the grid, however it was rounded on its way here.

    Raises:
        ValueError: for one that is not a multiple of 0.01 in [0, 1]; `passes` takes any.
    """
    index = round(threshold * STEPS) if np.isfinite(threshold) else -1
    if not 0 <= index <= STEPS or abs(threshold - index / STEPS) > 1e-6:
        raise ValueError(f"threshold {threshold} is not one of 0, 0.01 ... 1")
    return index


def bins(quality: FloatArray) -> IntArray:
    """(N,) index of the highest grid threshold each quality passes.

    Raises:
        ValueError: for a quality that is NaN or outside [0, 1].
    """
    thresholds = grid()
    exact = np.asarray(quality, dtype=np.float32)
    wrong = ~((exact >= 0) & (exact <= 1))
    if wrong.any():
        raise ValueError(f"quality {exact[wrong][0]} of label {wrong.argmax()} is not in [0, 1]")
    guess = (exact * np.float32(STEPS)).astype(np.int64)  # off by one bin at most
    guess -= thresholds[guess] > exact
    return guess + (np.append(thresholds, np.inf)[guess + 1] <= exact)


def passes(
    class_quality: FloatArray,
    mask_quality: FloatArray,
    class_threshold: float,
    mask_threshold: float,
) -> BoolArray:
    """(N,) which labels pass both thresholds: the filter itself, for any thresholds."""
    return (np.asarray(class_quality, np.float32) >= np.float32(class_threshold)) & (
        np.asarray(mask_quality, np.float32) >= np.float32(mask_threshold)
    )


def changes(
    class_quality: FloatArray,
    mask_quality: FloatArray,
    before: tuple[float, float],
    after: tuple[float, float],
) -> tuple[BoolArray, BoolArray]:
    """(N,) which labels enter and (N,) which leave between two (class, mask) threshold pairs."""
    old = passes(class_quality, mask_quality, *before)
    new = passes(class_quality, mask_quality, *after)
    return new & ~old, old & ~new


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

    class_threshold: float
    mask_threshold: float
    answer: Answer


@dataclass(frozen=True, slots=True)
class IntegralHistogram:
    """Counts of labels at or above every pair of grid thresholds."""

    cumulative: Counts
    """(8, 101, 101): [plane, class bin, mask bin]; planes are the ErrorKinds, then found truths."""
    num_truths: int

    @classmethod
    def build(
        cls,
        class_quality: FloatArray,
        mask_quality: FloatArray,
        kinds: IntArray,
        duplicates: BoolArray,
        num_truths: int,
        truths: IntArray | None = None,
    ) -> IntegralHistogram:
        """Count labels; give those that pass the rules which are no part of the question.

        With `truths`, found truths are exact at every threshold. Without, they are approximated by
        the Cor labels that are no duplicates of all labels given: too few where a threshold keeps
        a duplicate and drops the better-scored label.

        Args:
            class_quality: (N,) in [0, 1].
            mask_quality: (N,) in [0, 1].
            kinds: (N,) ErrorKind.
            duplicates: (N,) used only without `truths`.
            num_truths: truths of all images and steps the labels come from.
            truths: (N,) a number in 0..2^48 of the truth each label is linked to, one per truth,
                image and step; negative for none.
        """
        _check_columns(
            kinds, class_quality=class_quality, mask_quality=mask_quality, duplicates=duplicates
        )
        cells = bins(class_quality) * SIDE + bins(mask_quality)
        counts = np.bincount(kinds * SIDE**2 + cells, minlength=PLANES * SIDE**2)
        histogram = counts.reshape(PLANES, SIDE, SIDE)
        correct = kinds == ErrorKind.COR
        if truths is None:
            first = np.bincount(cells[correct & ~duplicates], minlength=SIDE**2)
        else:
            chosen = correct & (truths >= 0)
            first = _first_hits(cells[chosen], truths[chosen])
        histogram[FOUND] = first.reshape(SIDE, SIDE)
        return cls(_at_or_above(histogram), num_truths)

    def ask(self, class_threshold: float, mask_threshold: float) -> Answer:
        """What `>=` both thresholds keeps; each a multiple of 0.01 in [0, 1]."""
        at = self.cumulative[:, grid_index(class_threshold), grid_index(mask_threshold)]
        return answer(at, self.num_truths)

    def plane(self, metric: Metric) -> Float64Array:
        """A number at all thresholds, (101, 101): [class, mask]; NaN as in Answer."""
        return metric_of(self.cumulative, self.num_truths, metric)

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
    """The same for one threshold on the product of the two qualities."""

    cumulative: Counts
    """(8, 101): [plane, score bin]."""
    num_truths: int

    @classmethod
    def build(
        cls,
        score: FloatArray,
        kinds: IntArray,
        duplicates: BoolArray,
        num_truths: int,
        truths: IntArray | None = None,
    ) -> CoupledHistogram:
        """Count labels by their recorded coupled score, (N,) in [0, 1]; see IntegralHistogram."""
        ones = np.ones_like(score)
        both = IntegralHistogram.build(score, ones, kinds, duplicates, num_truths, truths)
        return cls(np.ascontiguousarray(both.cumulative[:, :, 0]), num_truths)

    def ask(self, threshold: float) -> Answer:
        """What `score >= threshold` keeps; a multiple of 0.01 in [0, 1]."""
        return answer(self.cumulative[:, grid_index(threshold)], self.num_truths)

    def line(self, metric: Metric) -> Float64Array:
        """A number at all thresholds: (101,)."""
        return metric_of(self.cumulative, self.num_truths, metric)

    def as_arrays(self) -> dict[str, NDArray[np.generic]]:
        """What the browser needs: `cumulative` int32, `grid`, `num_truths`."""
        return _arrays(self.cumulative, self.num_truths)


def answer(counts: Counts, num_truths: int) -> Answer:
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
    )


def metric_of(cumulative: Counts, num_truths: int, metric: Metric) -> Float64Array:
    """One metric from planes of counts: (8, ...) -> (...)."""
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
            case kind:
                return counts[ErrorKind[kind.upper()]]


def _first_hits(cells: IntArray, truths: IntArray) -> IntArray:
    """A histogram whose sums at or above any corner count distinct truths: (M,), (M,) -> (101^2,).

    A truth is found at thresholds (i, j) when one of its labels has bins >= (i, j): a union of
    rectangles. The labels on its staircase (none other at or above them in both bins) count +1,
    the inner corner between two neighbours on it -1, which counts the union exactly once.
    """
    if len(truths) == 0:
        return np.zeros(SIDE**2, np.int64)
    if truths.max() >= 2**48:
        raise ValueError(f"truth number {truths.max()} is not below 2^48")
    # One sort: by truth, then class bin falling, then mask bin falling.
    order = np.sort(truths * SIDE**2 + (SIDE**2 - 1 - cells))
    truth, rest = np.divmod(order, SIDE**2)
    class_bin, mask_bin = np.divmod(SIDE**2 - 1 - rest, SIDE)
    group = np.cumsum(np.append(True, truth[1:] != truth[:-1]))
    highest = np.maximum.accumulate(group * SIDE + mask_bin)
    before = np.append(0, highest[:-1])
    on_staircase = group * SIDE + mask_bin > before
    has_neighbour = on_staircase & (before >= group * SIDE)
    corner = class_bin[has_neighbour] * SIDE + (before - group * SIDE)[has_neighbour]
    outer = np.bincount((class_bin * SIDE + mask_bin)[on_staircase], minlength=SIDE**2)
    return outer - np.bincount(corner, minlength=SIDE**2)


def _at_or_above(histogram: NDArray[np.int64]) -> Counts:
    """Sums over all bins >= (i, j): (PLANES, 101, 101) -> the same shape."""
    turned = histogram[:, ::-1, ::-1].cumsum(axis=1).cumsum(axis=2)
    return np.ascontiguousarray(turned[:, ::-1, ::-1], dtype=np.int32)


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
