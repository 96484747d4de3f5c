"""What is right or wrong with each prediction of one image: Cor, Loc, Sim, Oth, BG (PL-DC 4.5).

With I_same the highest mask IoU over truths of the predicted class, the first rule that holds:
  Cor  I_same >= pos
  Loc  I_same >= bg
  Sim  a truth of another class of the same supercategory has IoU >= bg
  Oth  a truth of any other class has IoU >= bg
  BG   everything else
A prediction that is not Cor and whose best overlap is a crowd region is Ignored, as in TIDE.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from lab.analysis.match import Float64Array
from lab.datasets.records import BoolArray, Category, ErrorKind, IntArray


@dataclass(frozen=True, slots=True)
class Thresholds:
    """IoU at least `pos` is a hit, below `bg` is background; both bounds belong to the better side.

    `crowd` is the share of a prediction that must lie on a crowd region for it to be ignored.
    """

    pos: float = 0.5
    bg: float = 0.1
    crowd: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.bg <= self.pos <= 1:
            raise ValueError(f"need 0 < bg <= pos <= 1, got bg={self.bg}, pos={self.pos}")
        if not 0 < self.crowd <= 1:
            raise ValueError(f"need 0 < crowd <= 1, got crowd={self.crowd}")


STANDARD = Thresholds()

SAME, SIBLING, STRANGER, CROWD = range(4)
"""What a truth is to a prediction: its class, a look-alike, any other class, a crowd region."""
DECIDER = (CROWD, SAME, SAME, SIBLING, STRANGER, STRANGER, CROWD)
"""Which relation decided each ErrorKind, in their order; nothing decided UNKNOWN and BG."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the P predictions and G truths of one image."""

    kinds: IntArray
    """(P,) ErrorKind, never UNKNOWN."""
    true_ious: Float64Array
    """(P,) IoU with the truth that decided the kind; for BG the highest with any, 0 with none."""
    gt_index: IntArray
    """(P,) that truth; -1 for BG."""
    duplicates: BoolArray
    """(P,) Cor, but every truth it gets right was taken by a better-scored prediction."""
    missed: BoolArray
    """(G,) no prediction took this truth. A crowd region is never missed."""


class TideKind(IntEnum):
    """TIDE's names (arXiv:2008.08115). Its sixth, Miss, is a kind of truth: `Verdict.missed`."""

    UNKNOWN = 0
    CORRECT = 1
    CLS = 2
    LOC = 3
    BOTH = 4
    DUPE = 5
    BKG = 6
    IGNORED = 7


def classify(
    ious: Float64Array,
    pred_labels: IntArray,
    gt_labels: IntArray,
    supercategory: IntArray,
    scores: NDArray[np.floating],
    is_crowd: BoolArray,
    thresholds: Thresholds = STANDARD,
    area_gaps: Float64Array | None = None,
) -> Verdict:
    """Judge one image.

    Of several truths that decide alike, the linked one has the highest IoU, then the smallest
    difference in area, then the lowest index (give truths in the order of their ids).

    Args:
        ious: (P, G) from `mask_ious`.
        pred_labels: (P,) in 0..K-1.
        gt_labels: (G,) in 0..K-1.
        supercategory: (K,) group of each class; equal number = look-alikes.
        scores: (P,) who comes first when predictions compete for a truth; ties by index.
        is_crowd: (G,)
        thresholds: where hit and background begin.
        area_gaps: (P, G) absolute difference of mask areas; None = ignore areas in ties.
    """
    check_labels(pred_labels, gt_labels, len(supercategory))
    relation = relations(pred_labels, gt_labels, supercategory, is_crowd)
    best = np.stack([np.where(relation == one, ious, 0.0).max(1, initial=0.0) for one in range(4)])
    kinds = decide(best, thresholds)
    gt_index, true_ious = _link(kinds, best, relation, ious, area_gaps)
    taken = one_to_one(np.where(relation == SAME, ious, 0.0), scores, thresholds.pos)
    missed = ~is_crowd
    missed[taken[taken >= 0]] = False
    return Verdict(kinds, true_ious, gt_index, (kinds == ErrorKind.COR) & (taken < 0), missed)


def can_match(pred_labels: IntArray, gt_labels: IntArray, is_crowd: BoolArray) -> BoolArray:
    """Which pairs could be a hit: same class, no crowd. (P,), (G,), (G,) -> (P, G).

    `gt_labels` and `is_crowd` may be (P, G): then each prediction has truths of its own.
    """
    return (pred_labels[:, None] == gt_labels) & ~is_crowd


def one_to_one(ious: Float64Array, scores: NDArray[np.floating], at_least: float) -> IntArray:
    """Greedy matching as COCO does it: (P,) the truth each prediction takes, or -1.

    In falling order of score (ties by index), each takes the free truth with the highest IoU
    (ties: lowest index), if that reaches `at_least`.

    Args:
        ious: (P, G), 0 where a match is not allowed.
        scores: (P,)
        at_least: in (0, 1].
    """
    taken = np.full(len(ious), -1, np.int64)
    pred, gt = np.nonzero(ious >= at_least)
    turn = np.empty(len(ious), np.int64)
    turn[np.argsort(-scores, kind="stable")] = np.arange(len(ious))
    order = np.lexsort((gt, -ious[pred, gt], turn[pred]))
    pairs = take_in_turn(pred[order], gt[order])
    taken[list(pairs)] = list(pairs.values())
    return taken


def take_in_turn(pred: IntArray, gt: IntArray) -> dict[int, int]:
    """Which prediction takes which truth, when pairs are offered in this order: (M,), (M,).

    Each takes at most one, and is taken at most once.
    """
    taken: dict[int, int] = {}
    gone: set[int] = set()
    for p, g in zip(pred.tolist(), gt.tolist(), strict=True):
        if g not in gone and p not in taken:
            taken[p] = g
            gone.add(g)
    return taken


def supercategory_groups(categories: Sequence[Category]) -> IntArray:
    """(K,) group number of each class. A class without a supercategory has no look-alikes."""
    names = [c.supercategory or f"\0{index}" for index, c in enumerate(categories)]
    return np.unique(np.array(names, dtype=object), return_inverse=True)[1].astype(np.int64)


def tide_kinds(
    kinds: IntArray,
    true_ious: NDArray[np.floating],
    duplicates: BoolArray,
    thresholds: Thresholds = STANDARD,
) -> IntArray:
    """The same verdicts in TIDE's words, (P,) TideKind.

    A wrong class is Cls when its mask is a hit and Both when it is not. TIDE looks at the truth of
    another class with the highest IoU; here a look-alike with IoU >= bg goes before it.
    """
    wrong_class = (kinds == ErrorKind.SIM) | (kinds == ErrorKind.OTH)
    hit = true_ious >= thresholds.pos
    return np.select(
        [
            (kinds == ErrorKind.COR) & duplicates,
            kinds == ErrorKind.COR,
            kinds == ErrorKind.LOC,
            wrong_class & hit,
            wrong_class,
            kinds == ErrorKind.BG,
            kinds == ErrorKind.IGNORED,
        ],
        [
            TideKind.DUPE,
            TideKind.CORRECT,
            TideKind.LOC,
            TideKind.CLS,
            TideKind.BOTH,
            TideKind.BKG,
            TideKind.IGNORED,
        ],
        TideKind.UNKNOWN,
    ).astype(np.int64)


def relations(
    pred_labels: IntArray, gt_labels: IntArray, supercategory: IntArray, is_crowd: BoolArray
) -> IntArray:
    """What each truth is to each prediction: (P, G) of SAME, SIBLING, STRANGER, CROWD.

    `gt_labels` and `is_crowd` are (G,) or (P, G), as in `can_match`.
    """
    sibling = supercategory[pred_labels][:, None] == supercategory[gt_labels]
    relation = np.where(sibling, SIBLING, STRANGER)
    relation[can_match(pred_labels, gt_labels, is_crowd)] = SAME
    return np.where(is_crowd, CROWD, relation)


def decide(best: Float64Array, thresholds: Thresholds) -> IntArray:
    """The kinds from the best IoU with the truths of each relation: (4, P) -> (P,)."""
    bg = thresholds.bg
    other_class = np.where(best[STRANGER] >= bg, ErrorKind.OTH, ErrorKind.BG)
    wrong_class = np.where(best[SIBLING] >= bg, ErrorKind.SIM, other_class)
    kinds = np.where(best[SAME] >= bg, ErrorKind.LOC, wrong_class)
    on_crowd = (best[CROWD] >= thresholds.crowd) & (best[CROWD] > best[:CROWD].max(axis=0))
    kinds[on_crowd] = ErrorKind.IGNORED
    kinds[best[SAME] >= thresholds.pos] = ErrorKind.COR
    return kinds.astype(np.int64)


def _link(
    kinds: IntArray,
    best: Float64Array,
    relation: IntArray,
    ious: Float64Array,
    area_gaps: Float64Array | None,
) -> tuple[IntArray, Float64Array]:
    """The truth that decided each kind, (P,), and the IoU with it, (P,)."""
    is_background = kinds == ErrorKind.BG
    decider = np.array(DECIDER)[kinds]
    decided = best[decider, np.arange(len(kinds))]
    true_ious = np.where(is_background, best[:CROWD].max(axis=0), decided)
    if ious.shape[1] == 0:
        return np.full(len(kinds), -1, np.int64), true_ious
    winners = (relation == decider[:, None]) & (ious == decided[:, None])
    gaps = np.zeros(1) if area_gaps is None else area_gaps
    index = np.where(winners, gaps, np.inf).argmin(axis=1)
    return np.where(is_background, -1, index), true_ious


def check_labels(pred_labels: IntArray, gt_labels: IntArray, num_classes: int) -> None:
    for what, labels in (("pred_labels", pred_labels), ("gt_labels", gt_labels)):
        wrong = (labels < 0) | (labels >= num_classes)
        if wrong.any():
            raise ValueError(f"{what}: class {labels[wrong][0]} is not in 0..{num_classes - 1}")
