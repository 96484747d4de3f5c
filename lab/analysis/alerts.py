"""Signs that a run goes wrong in a way that only shows in its pseudo-labels.

Every function looks at the series up to now and says whether the alarm stands at its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lab.analysis.match import Float64Array
from lab.datasets.records import BoolArray, IntArray

AlertKind = Literal[
    "kept_collapse", "unsup_zero", "class_starves", "teacher_behind", "quality_blind"
]


@dataclass(frozen=True, slots=True)
class Alert:
    """One alarm: since when, and its numbers in words for the user."""

    kind: AlertKind
    step: int
    """The first step of the trouble."""
    message: str
    subject: str = ""
    """What it is about when a run can have several of a kind: the class."""

    @property
    def sentence(self) -> str:
        """The message with its step."""
        return f"{self.message} (since step {self.step})"


def kept_collapse(
    steps: IntArray, kept: Float64Array, window: int = 20, fraction: float = 0.2
) -> Alert | None:
    """The mean of the last `window` kept counts fell to `fraction` of the best window's.

    Args:
        steps: (T,) rising.
        kept: (T,) kept labels per image.
        window: summaries in one mean.
        fraction: of the best mean, in (0, 1).
    """
    if len(kept) < 2 * window:
        return None
    sums = np.cumsum(np.append(0.0, kept))
    means = (sums[window:] - sums[:-window]) / window
    best, now = float(means.max()), float(means[-1])
    if best <= 0 or now > fraction * best:
        return None
    first = _start_of_run(means <= fraction * best)
    return Alert(
        "kept_collapse",
        int(steps[first + window - 1]),
        f"kept labels per image fell from {best:.2f} to {now:.2f}",
    )


def unsup_stays_zero(steps: IntArray, losses: Float64Array, patience: int = 50) -> Alert | None:
    """The unsupervised loss was exactly 0 for the last `patience` steps: nothing is kept."""
    first = _start_of_run(losses == 0)
    if len(losses) - first < patience:
        return None
    return Alert(
        "unsup_zero",
        int(steps[first]),
        "the unsupervised loss stays exactly 0: no pseudo-label teaches anything",
    )


def nothing_kept(steps: IntArray, kept: Float64Array, patience: int = 50) -> Alert | None:
    """No label was kept in the last `patience` summaries; for hosts whose unsupervised loss also
    counts background and so never is 0."""
    first = _start_of_run(kept == 0)
    if len(kept) - first < patience:
        return None
    return Alert(
        "unsup_zero",
        int(steps[first]),
        "no pseudo-label is kept: the unlabelled images teach nothing",
    )


def starving_classes(
    steps: IntArray,
    kept: IntArray,
    candidates: IntArray,
    names: Sequence[str],
    window: int = 20,
    min_candidates: int = 20,
) -> list[Alert]:
    """Classes that the teacher keeps proposing and the filter never lets through any more.

    Args:
        steps: (T,) rising.
        kept: (T, K) kept labels of each class.
        candidates: (T, K) labels of each class that deserve to be kept, or all of them.
        names: (K,)
        window: how many of the last summaries must be without a kept label.
        min_candidates: fewer proposals than this in the window say nothing.
    """
    if len(steps) < window:
        return []
    proposed = candidates[-window:].sum(axis=0)
    starved = (kept[-window:].sum(axis=0) == 0) & (proposed >= min_candidates)
    return [
        Alert(
            "class_starves",
            int(steps[_start_of_run(kept[:, label] == 0)]),
            f"none of the last {int(proposed[label])} labels of class {names[label]} was kept",
            names[label],
        )
        for label in np.flatnonzero(starved).tolist()
    ]


def teacher_falls_behind(
    steps: IntArray,
    teacher_ap: Float64Array,
    student_ap: Float64Array,
    patience: int = 3,
    margin: float = 0.5,
) -> Alert | None:
    """The student was better than its teacher by more than `margin` AP in the last `patience`
    evaluations: less is what a small validation set does by chance. All (T,)."""
    first = _start_of_run(student_ap > teacher_ap + margin)
    if len(steps) - first < patience:
        return None
    return Alert(
        "teacher_behind",
        int(steps[first]),
        f"teacher AP {teacher_ap[-1]:.1f} is below student AP {student_ap[-1]:.1f} "
        f"for {len(steps) - first} evaluations: its labels hold the student back",
    )


def quality_stops_ranking(
    steps: IntArray, correlations: Float64Array, floor: float = 0.1, patience: int = 5
) -> Alert | None:
    """The rank correlation of mask quality with true IoU stayed below `floor`; NaN breaks the run.

    Args:
        steps: (T,) rising.
        correlations: (T,) `quality.rank_correlation` of each step's labels.
        floor: below this a threshold on the quality chooses no better than chance.
        patience: how many of the last summaries must be below.
    """
    first = _start_of_run(correlations < floor)
    if len(steps) - first < patience:
        return None
    return Alert(
        "quality_blind",
        int(steps[first]),
        f"mask quality no longer ranks true IoU (rank correlation {correlations[-1]:.2f}): "
        "a mask threshold chooses no better than chance",
    )


def _start_of_run(holds: BoolArray) -> int:
    """Index at which the run of True at the end begins; the length when there is none."""
    broken = np.flatnonzero(~holds)
    return int(broken[-1]) + 1 if len(broken) else 0
