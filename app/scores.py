"""Which of a run's evaluations speaks for it."""

from __future__ import annotations

from collections.abc import Sequence

from lab.store.queries import EvaluationRow


def last_evaluation(scores: Sequence[EvaluationRow]) -> EvaluationRow | None:
    """The newest evaluation, of the teacher where both networks were evaluated."""
    return max(scores, key=lambda one: (one.step, one.model == "teacher"), default=None)
