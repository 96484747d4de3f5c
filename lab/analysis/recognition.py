"""How well somebody recognises the classes of objects whose masks are given (PL-DC, App. D)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lab.analysis.confusion import confusion_matrix
from lab.datasets.records import BoolArray, Category, FloatArray, IntArray

NOT_JUDGED = -1
"""In place of a class: the object was too small, or its class is not in the vocabulary."""
SIZES = (("small", 0.0, 32.0**2), ("medium", 32.0**2, 96.0**2), ("large", 96.0**2, np.inf))
"""COCO's sizes by mask area, pixels: (name, from, below)."""
MOST_CONFUSIONS = 20


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One class: what it is taken for, and what is taken for it."""

    name: str
    supercategory: str
    known: bool
    """Whether the vocabulary has a word for it."""
    objects: int
    judged: int
    named: int
    """How often it was the answer."""
    right: int
    precision: float | None
    """right / named; None when it was never named."""
    recall: float | None
    """right / judged; None when there was nothing to judge."""


@dataclass(frozen=True, slots=True)
class SizeScore:
    """The objects of one size."""

    size: str
    objects: int
    judged: int
    right: int
    accuracy: float | None
    """right / judged; None when there was nothing to judge."""


@dataclass(frozen=True, slots=True)
class Confusion:
    """One class taken for another."""

    truth: str
    named: str
    count: int
    share: float
    """Of the judged objects of the true class."""
    similar: bool
    """Both have the same supercategory."""


@dataclass(frozen=True, slots=True)
class Recognition:
    """Everything there is to say about the answers; shares are of the judged objects."""

    objects: int
    judged: int
    unseen: int
    """Too small to be judged."""
    unknown: int
    """Of a class that the vocabulary has no word for."""
    right: int
    accuracy: float | None
    similar_accuracy: float | None
    """Right, or at least of the right supercategory."""
    macro_precision: float | None
    """Mean over the classes that were named."""
    macro_recall: float | None
    """Mean over the classes that had objects to judge."""
    classes: tuple[ClassScore, ...]
    sizes: tuple[SizeScore, ...]
    confusions: tuple[Confusion, ...]
    """The most frequent ones first."""


def recognition(
    categories: Sequence[Category],
    known: BoolArray,
    truth: IntArray,
    answers: IntArray,
    areas: FloatArray,
) -> Recognition:
    """Compare answers with the truth.

    Args:
        categories: K classes.
        known: (K,) which of them the vocabulary has.
        truth: (N,) class of each object.
        answers: (N,) class it was taken for, or NOT_JUDGED.
        areas: (N,) mask pixels.
    """
    judged = answers != NOT_JUDGED
    counts = confusion_matrix(answers[judged], truth[judged], len(categories))[:-1, :-1]
    objects = np.bincount(truth, minlength=len(categories))
    scores = tuple(
        _class_score(label, one, bool(known[label]), int(objects[label]), counts)
        for label, one in enumerate(categories)
    )
    alike = _similar(categories)
    total = int(judged.sum())
    unknown = int((~known[truth]).sum())
    return Recognition(
        objects=len(truth),
        judged=total,
        unseen=len(truth) - total - unknown,
        unknown=unknown,
        right=int(counts.trace()),
        accuracy=_share(int(counts.trace()), total),
        similar_accuracy=_share(int(counts[alike].sum()), total),
        macro_precision=_mean([score.precision for score in scores]),
        macro_recall=_mean([score.recall for score in scores]),
        classes=scores,
        sizes=_size_scores(truth == answers, judged, areas),
        confusions=_confusions(categories, counts, alike),
    )


def _class_score(
    label: int, category: Category, known: bool, objects: int, counts: IntArray
) -> ClassScore:
    right, judged, named = (
        int(counts[label, label]),
        int(counts[:, label].sum()),
        int(counts[label].sum()),
    )
    return ClassScore(
        name=category.name,
        supercategory=category.supercategory,
        known=known,
        objects=objects,
        judged=judged,
        named=named,
        right=right,
        precision=_share(right, named),
        recall=_share(right, judged),
    )


def _size_scores(right: BoolArray, judged: BoolArray, areas: FloatArray) -> tuple[SizeScore, ...]:
    scores = []
    for size, least, below in SIZES:
        chosen = (areas >= least) & (areas < below)
        count, correct = int((chosen & judged).sum()), int((chosen & right).sum())
        scores.append(SizeScore(size, int(chosen.sum()), count, correct, _share(correct, count)))
    return tuple(scores)


def _confusions(
    categories: Sequence[Category], counts: IntArray, alike: BoolArray
) -> tuple[Confusion, ...]:
    """Off the diagonal, largest first; rows are answers, columns the truth."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSIONS]
    pairs = (divmod(int(cell), len(categories)) for cell in order)
    return tuple(
        Confusion(
            truth=categories[truth].name,
            named=categories[answer].name,
            count=int(wrong[answer, truth]),
            share=float(wrong[answer, truth] / counts[:, truth].sum()),
            similar=bool(alike[answer, truth]),
        )
        for answer, truth in pairs
        if wrong[answer, truth] > 0
    )


def _similar(categories: Sequence[Category]) -> BoolArray:
    """(K, K): whether two classes share their supercategory."""
    names = np.array([one.supercategory for one in categories])
    return names[:, None] == names[None, :]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
