"""The demo: its three runs differ in what they do with unlabelled images, and in nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.axes import Points
from app.candidates import Candidates, truth_numbers
from app.commands.demo import equal_recall_in_words
from app.demo import CONTINUATIONS, SUPERVISED, plan_demo
from app.demo_report import at_equal_recall
from app.scores import last_evaluation
from engine.optimization import learning_rate
from lab.analysis.what_if import Answer
from lab.config import ConfigError, flatten
from lab.datasets.records import ErrorKind
from lab.store.queries import EvaluationRow

OF_THE_METHOD = ("name", "method.")


def double(recall: float) -> Answer:
    """What two thresholds keep, as far as it matters here."""
    return Answer(kept=10, correct=9, found=9, precision=0.9, recall=recall, kinds={})


def single() -> Candidates:
    """Class qualities 0.9, 0.7, 0.5, 0.3 for truth 1, nothing, truth 2, truth 3; 4 truths."""
    quality = np.array([0.9, 0.7, 0.5, 0.3], np.float32)
    return Candidates(
        points=Points(quality, np.ones(4, np.float32), quality),
        kinds=np.array([ErrorKind.COR, ErrorKind.BG, ErrorKind.COR, ErrorKind.COR]),
        duplicates=np.zeros(4, bool),
        truths=np.array([1, -1, 2, 3]),
        kept=np.array([True, True, False, False]),
        num_truths=4,
    )


def test_the_runs_go_on_from_the_burn_in_with_the_same_everything_but_the_method():
    plan = plan_demo()
    flat = [flatten(config.model_dump(mode="json")) for config in plan.continuations]
    shared = [
        {key: value for key, value in one.items() if not key.startswith(OF_THE_METHOD)}
        for one in flat
    ]

    assert shared[0] == shared[1] == shared[2]
    assert len({config.name for config in plan.continuations}) == 3
    assert {config.method.name for config in plan.continuations} == {
        *("supervised", "guided_distillation", "pl_dc")
    }
    assert plan.fork_step < plan.continuations[0].schedule.max_steps


def test_the_burn_in_s_last_step_is_where_both_teachers_start():
    plan = plan_demo(burn_in=7, steps=20)

    assert plan.burn_in.schedule.max_steps == plan.fork_step == 7
    starts = {getattr(config.method, "burn_in_steps", 7) for config in plan.continuations}
    assert starts == {7}
    assert {config.schedule.max_steps for config in plan.continuations} == {20}
    for step in range(7):
        rates = {learning_rate(step, config.schedule) for config in plan.continuations}
        assert rates == {learning_rate(step, plan.burn_in.schedule)}


def test_a_burn_in_that_leaves_no_steps_is_refused():
    with pytest.raises(ConfigError, match="leaves no step"):
        plan_demo(burn_in=20, steps=20)


def test_the_demo_s_files_exist_in_the_experiments():
    experiments = Path(__file__).resolve().parents[2] / "experiments"

    assert all((experiments / file).is_file() for file in {SUPERVISED, *CONTINUATIONS})


@pytest.mark.parametrize(
    ("recall", "threshold", "precision"), [(0.25, 0.9, 1.0), (0.5, 0.5, 2 / 3), (0.75, 0.3, 0.75)]
)
def test_one_threshold_is_lowered_until_it_finds_as_much(
    recall: float, threshold: float, precision: float
):
    equal = at_equal_recall(single(), double(recall))

    assert equal is not None
    assert (equal.class_threshold, equal.recall) == (threshold, recall)
    assert equal.precision == pytest.approx(precision)
    assert equal.precision_of_two == 0.9


def test_where_one_threshold_never_finds_as_much_the_loosest_is_told():
    """All four labels: 3 of 4 truths found, 3 of 4 labels right."""
    equal = at_equal_recall(single(), double(0.8))

    assert equal is not None
    assert (equal.class_threshold, equal.recall, equal.precision) == (0.0, 0.75, 0.75)
    assert (equal.recall_of_two, equal.precision_of_two) == (0.8, 0.9)
    assert equal_recall_in_words(equal).startswith("No class threshold finds as much")


def test_the_newest_evaluation_is_the_teacher_s_where_there_are_two():
    rows = [
        EvaluationRow(step, "val", model, {"AP": step}, {}, {})
        for step, model in ((5, "teacher"), (9, "teacher"), (9, "student"))
    ]

    found = last_evaluation(rows)

    assert found is not None
    assert (found.step, found.model) == (9, "teacher")
    assert last_evaluation([]) is None


def test_a_truth_has_another_number_in_every_step():
    steps = np.array([1, 1, 2, 2])
    gt_ids = np.array([7, -1, 7, 8])

    numbers = truth_numbers(steps, gt_ids)

    assert numbers[1] == -1
    assert len({numbers[0], numbers[2], numbers[3]}) == 3
