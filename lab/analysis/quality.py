"""How good a set of labels is, and whether a quality score says so: curves, bins, ranks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lab.analysis.match import Float64Array
from lab.datasets.records import BoolArray, ErrorKind, IntArray

Scores = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Agreement:
    """A set of labels against the truth."""

    labels: int
    """Labels that could be judged: neither UNKNOWN nor IGNORED."""
    correct: int
    """Of these, Cor; duplicates count, as in PL-DC."""
    found: int
    """Truths that some label takes: Cor without duplicates."""
    num_truths: int

    @property
    def precision(self) -> float:
        """Cor / judged labels; NaN without labels."""
        return ratio(self.correct, self.labels)

    @property
    def recall(self) -> float:
        """Found truths / truths; NaN without truths."""
        return ratio(self.found, self.num_truths)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 when nothing is right, NaN without truths."""
        return harmonic_mean(self.precision, self.recall)


def agreement(
    kinds: IntArray, duplicates: BoolArray, chosen: BoolArray, num_truths: int
) -> Agreement:
    """Precision and recall of the chosen labels (the kept ones, say). All arrays (N,)."""
    judged = chosen & (kinds != ErrorKind.UNKNOWN) & (kinds != ErrorKind.IGNORED)
    correct = chosen & (kinds == ErrorKind.COR)
    return Agreement(
        labels=int(judged.sum()),
        correct=int(correct.sum()),
        found=int((correct & ~duplicates).sum()),
        num_truths=num_truths,
    )


def ratio(part: float, whole: float) -> float:
    """part / whole; NaN when whole is 0."""
    return part / whole if whole else float("nan")


def harmonic_mean(precision: float, recall: float) -> float:
    """F1; 0 when there are truths and nothing is right, NaN when there is no truth."""
    if not recall:
        return 0.0
    return 2 * precision * recall / (precision + recall)


@dataclass(frozen=True, slots=True)
class Curve:
    """Precision and recall of `score >= threshold`, one point per distinct score, falling."""

    thresholds: Float64Array
    precision: Float64Array
    recall: Float64Array


def precision_recall_curve(scores: Scores, correct: BoolArray, num_truths: int) -> Curve:
    """The curve that a single score traces out.

    Args:
        scores: (N,) higher is better. Labels of equal score enter together.
        correct: (N,) takes a truth, one to one (Cor and no duplicate).
        num_truths: at least 1.

    Raises:
        ValueError: for a NaN score, no truth, or more correct labels than truths.
    """
    if np.isnan(scores).any():
        raise ValueError(f"score {int(np.isnan(scores).argmax())} is NaN")
    if num_truths < max(1, int(correct.sum())):
        raise ValueError(f"num_truths is {num_truths} with {int(correct.sum())} correct labels")
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    ends = np.flatnonzero(np.append(falling[1:] != falling[:-1], len(falling) > 0))
    hits = np.cumsum(correct[order])[ends]
    return Curve(falling[ends].astype(np.float64), hits / (ends + 1), hits / num_truths)


def precision_at_recall(
    scores: Scores, correct: BoolArray, num_truths: int, recall: float
) -> float:
    """Precision at equal recall: the best precision of a threshold that reaches `recall`.

    0 when no threshold reaches it, so that a higher demand never gives a higher answer. Arguments
    as in `precision_recall_curve`; `recall` in (0, 1].
    """
    if not 0 < recall <= 1:
        raise ValueError(f"recall {recall} is not in (0, 1]")
    curve = precision_recall_curve(scores, correct, num_truths)
    return float(curve.precision[curve.recall >= recall].max(initial=0.0))


@dataclass(frozen=True, slots=True)
class Calibration:
    """Quality against what it should mean, per bin of quality; NaN in empty bins."""

    edges: Float64Array
    """(B + 1,) equal bins over [0, 1]; each holds its lower edge, the last one both."""
    counts: IntArray
    """(B,)"""
    mean_quality: Float64Array
    """(B,)"""
    mean_iou: Float64Array
    """(B,) mean true IoU: equal to mean_quality when the quality is calibrated."""

    @property
    def error(self) -> float:
        """Mean |quality - true IoU| over bins, weighted by their labels; NaN without labels."""
        gaps = np.abs(self.mean_quality - self.mean_iou)
        return ratio(float(np.nansum(gaps * self.counts)), int(self.counts.sum()))


def calibration(quality: Scores, true_ious: Scores, num_bins: int = 10) -> Calibration:
    """Does the mask quality mean IoU? Labels where either is NaN are left out. (N,), (N,)."""
    known = ~(np.isnan(quality) | np.isnan(true_ious))
    chosen, ious = quality[known].astype(np.float64), true_ious[known].astype(np.float64)
    if ((chosen < 0) | (chosen > 1)).any():
        raise ValueError(f"quality is in [{chosen.min()}, {chosen.max()}], not in [0, 1]")
    edges = np.arange(num_bins + 1) / num_bins
    bins = np.clip(np.searchsorted(edges, chosen, side="right") - 1, 0, num_bins - 1)
    counts = np.bincount(bins, minlength=num_bins)
    with np.errstate(invalid="ignore"):  # 0 / 0 is the NaN of an empty bin
        mean_quality = np.bincount(bins, chosen, num_bins) / counts
        mean_iou = np.bincount(bins, ious, num_bins) / counts
    return Calibration(edges, counts, mean_quality, mean_iou)


def rank_correlation(quality: Scores, true_ious: Scores) -> float:
    """Spearman's rho in [-1, 1], ties by mean rank: does higher quality mean higher true IoU?

    Labels where either is NaN are left out. NaN when fewer than two remain or one side is constant.
    """
    known = ~(np.isnan(quality) | np.isnan(true_ious))
    left, right = _mean_ranks(quality[known]), _mean_ranks(true_ious[known])
    spread = np.sqrt((left**2).sum() * (right**2).sum())
    return ratio(float((left * right).sum()), float(spread))


def _mean_ranks(values: Scores) -> Float64Array:
    """Ranks around 0; equal values share the mean of theirs. (N,) -> (N,)."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts + 1) / 2)[place] - (len(values) - 1) / 2
