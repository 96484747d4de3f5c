"""What the demo found: scores on validation images, and how right each set of pseudo-labels was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from app.candidates import Candidates, load_candidates
from app.scores import last_evaluation
from lab.analysis.threshold_grid import SIDE, STEPS
from lab.analysis.what_if import JUDGED, Answer
from lab.store.queries import RunRow, evaluations, get_run
from lab.store.store import Store

NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run of the comparison."""

    run_id: str
    name: str
    method: str
    ap: float
    ap50: float
    errors: Mapping[str, int]
    """Kinds of its predictions on the validation images: Cor, Loc, Sim, Oth, BG."""
    labels: Answer | None
    """Its kept pseudo-labels since the fork; None when the method makes none."""


@dataclass(frozen=True, slots=True)
class EqualRecall:
    """How right one class threshold is where it finds as much as two thresholds do."""

    recall: float
    class_threshold: float
    precision: float
    precision_of_two: float
    recall_of_two: float
    """Above `recall` when no class threshold, not even 0, finds as much."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The demo's result."""

    since_step: int
    outcomes: tuple[Outcome, ...]
    equal_recall: EqualRecall | None
    """None when there is nothing to compare."""


def compare(store: Store, run_ids: Sequence[str], since_step: int) -> Comparison:
    """Read the outcomes of finished runs, whose pseudo-labels start at `since_step`."""
    rows = [get_run(store, run_id) for run_id in run_ids]
    candidates = {row.method: load_candidates(store, row, since_step, None) for row in rows}
    outcomes = tuple(_outcome(store, row, candidates[row.method]) for row in rows)
    answers = {one.method: one.labels for one in outcomes}
    single, double = candidates.get("guided_distillation"), answers.get("pl_dc")
    equal = None if single is None or double is None else at_equal_recall(single, double)
    return Comparison(since_step, outcomes, equal)


def at_equal_recall(single: Candidates, double: Answer) -> EqualRecall | None:
    """The highest class threshold of `single` that finds at least as much as `double`, else 0."""
    if len(single) == 0 or not single.num_truths:
        return None
    histogram = single.histogram(np.ones(len(single), dtype=bool))
    enough = histogram.plane("recall")[:, 0] >= double.recall
    highest = SIDE - 1 - int(np.argmax(enough[::-1])) if enough.any() else 0
    answer = histogram.ask(highest / STEPS, 0.0)
    return EqualRecall(
        answer.recall, highest / STEPS, answer.precision, double.precision, double.recall
    )


def _outcome(store: Store, row: RunRow, candidates: Candidates) -> Outcome:
    last = last_evaluation(evaluations(store, row.run_id))
    metrics = last.metrics if last else {}
    kinds = {name.lower(): count for name, count in (last.kinds if last else {}).items()}
    return Outcome(
        run_id=row.run_id,
        name=row.name,
        method=row.method,
        ap=metrics.get("AP", NAN),
        ap50=metrics.get("AP50", NAN),
        errors={kind.name.lower(): kinds.get(kind.name.lower(), 0) for kind in JUDGED},
        labels=candidates.answer(candidates.kept) if len(candidates) else None,
    )
