"""What the store answers with: frozen rows. NaN stands for "unknown" in every float."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.datasets.records import Category, DropRule, ErrorKind, LabelSource
from lab.store.run_state import State


@dataclass(frozen=True, slots=True)
class Lately:
    """What the teacher of a run kept in the last steps that were recorded, added up."""

    first_step: int
    last_step: int
    steps: int
    """How many recorded steps that is: `LATELY_STEPS`, or fewer while there are no more."""
    images: int
    kept: int
    kept_per_image: float
    precision: float
    """As that of `StepSummary`."""
    recall: float


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run as a table of runs shows it. Times are Unix seconds."""

    run_id: str
    name: str
    method: str
    host: str
    """The network, not the machine."""
    dataset: str
    status: State
    """Derived, see lab.store.run_state."""
    step: int | None
    """The last step done, counted from 0."""
    done: int
    """Steps behind it, those before its fork included."""
    max_steps: int
    created: float
    started: float | None
    finished: float | None
    seconds_per_step: float
    parent_run_id: str | None
    parent_step: int | None
    config: dict[str, Any]
    categories: tuple[Category, ...]
    best_ap: float
    """The teacher's where there is one, 0 to 100; NaN before the first evaluation."""
    best_ap_model: str | None
    """"student" or "teacher"."""
    lately: Lately | None
    """None = no pseudo-labels recorded."""
    error: str | None
    train_dataset_id: int | None
    val_dataset_id: int | None


@dataclass(frozen=True, slots=True)
class RunOrigin:
    """What made a run, enough to make it again."""

    command: tuple[str, ...]
    machine: str
    git_commit: str | None
    git_diff: str | None
    versions: dict[str, str]
    pid: int | None
    """The process that records, or recorded last; None when none has claimed the run."""


@dataclass(frozen=True, slots=True)
class Series:
    """One scalar over steps, oldest first."""

    steps: NDArray[np.int64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.steps)


@dataclass(frozen=True, slots=True)
class LatestScalar:
    """The newest value of one scalar."""

    step: int
    value: float


@dataclass(frozen=True, slots=True)
class StepSummary:
    """The labels of one step, counted."""

    step: int
    images: int
    candidates: int
    kept: int
    kept_right: int
    """Kept, correct, and not a duplicate."""
    truths: int
    found: int
    """Truths that some kept label gets right."""
    kept_kinds: dict[ErrorKind, int]
    all_kinds: dict[ErrorKind, int]

    @property
    def precision(self) -> float:
        """Share of Cor among the kept labels that can be judged; NaN when 0/0.

        As everywhere in seglab (and in PL-DC) a duplicate is Cor; `kept_right` leaves it out.
        Labels without truth, or on a crowd, cannot be judged.
        """
        unjudged = self.kept_kinds[ErrorKind.UNKNOWN] + self.kept_kinds[ErrorKind.IGNORED]
        return ratio(self.kept_kinds[ErrorKind.COR], self.kept - unjudged)

    @property
    def recall(self) -> float:
        """Share of truths found; NaN when 0/0."""
        return ratio(self.found, self.truths)


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One recorded label; columns as in lab.datasets.records.PseudoLabels."""

    label_id: int
    source: LabelSource
    step: int
    image_id: int
    position: int
    """Its index among the candidates of its image and step."""
    box: tuple[float, float, float, float]
    label: int
    label_before: int
    class_quality: float
    mask_quality: float
    score: float
    area: float
    kept: bool
    rule: DropRule
    rule_value: float
    teacher_before: float
    teacher_after: float
    clip_before: float
    clip_after: float
    uncertainty: float
    weight: float
    kind: ErrorKind
    true_iou: float
    gt_id: int
    duplicate: bool
    has_mask: bool
    target_id: int
    """What follows is of masks made from boxes, see lab.datasets.records.BoxScores; -1 and NaN
    for all others."""
    num_candidates: float
    num_effective: float
    box_score: float
    pixel_score: float
    mask_score: float
    depth_score: float
    match_score: float
    semantic_score: float
    instance_score: float
    target_iou: float
    single_iou: float


@dataclass(frozen=True, slots=True)
class LabelPage:
    """Some of the labels that pass a filter."""

    total: int
    """How many pass."""
    rows: list[LabelRow]


@dataclass(frozen=True, slots=True)
class EventRow:
    """Something that happened to a run: a threshold moved, a fork, a warning."""

    event_id: int
    step: int | None
    kind: str
    payload: dict[str, Any]
    created: float


@dataclass(frozen=True, slots=True)
class EvaluationRow:
    """One evaluation; see lab.datasets.records.Evaluation."""

    step: int
    split: str
    model: str
    metrics: Mapping[str, float]
    per_class: Mapping[str, float]
    kinds: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """A checkpoint that was written; its file may have been rotated away since."""

    step: int
    path: Path
    created: float

    @property
    def exists(self) -> bool:
        return self.path.exists()


@dataclass(frozen=True, slots=True)
class RunSize:
    """What one run holds."""

    run_id: str
    name: str
    scalars: int
    labels: int
    file_bytes: int
    """Of its directory: checkpoints, predictions, log."""


@dataclass(frozen=True, slots=True)
class StoreSizes:
    """What the store holds."""

    database_bytes: int
    """store.db with its write-ahead log; on PostgreSQL the tables with their indexes."""
    runs: tuple[RunSize, ...]


def ratio(part: int, whole: int) -> float:
    """part / whole; NaN when 0/0."""
    return part / whole if whole else float("nan")
