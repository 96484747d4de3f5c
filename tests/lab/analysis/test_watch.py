"""Alarms from what a run recorded: each trouble rings its own, a normal run none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lab.analysis.alerts import Alert
from lab.analysis.watch import Watch, class_counts, correlations, run_alerts, standing_alerts
from lab.datasets.records import ErrorKind, Evaluation, PseudoLabels
from lab.store.queries import events, list_runs
from lab.store.recorder import StoreRecorder
from lab.store.runs import rewind_run, set_categories
from lab.store.store import Store
from tests.factories import CATEGORIES, filled_store, pseudo_labels


def made(kept: int, *, count: int = 10, label: int = 1, quality: np.ndarray | None = None):
    """`count` Cor labels of one class, the first `kept` of them kept; true IoU rises evenly."""
    labels = pseudo_labels(count)
    rising = np.linspace(0.5, 0.9, count, dtype=np.float32)
    return replace(
        labels,
        labels=np.full(count, label),
        kept=np.arange(count) < kept,
        kinds=np.full(count, int(ErrorKind.COR)),
        true_ious=rising,
        mask_quality=rising if quality is None else quality.astype(np.float32),
    )


def record(
    store: Store,
    run_id: str,
    steps: list[list[PseudoLabels]],
    *,
    unsup: float = 0.5,
    first: int = 0,
    watch: Watch | None = None,
) -> None:
    with StoreRecorder(store, run_id, watch=watch) as recorder:
        for step, labels in enumerate(steps, start=first):
            images = [replace(one, image_id=index) for index, one in enumerate(labels)]
            recorder.pseudo_labels(step, images)
            recorder.scalars(step, {"loss/unsup/mask": unsup, "loss/unsup/box": 0.0})


def kinds(store: Store, run_id: str) -> list[tuple[str, int, str]]:
    return [(one.kind, one.step, one.subject) for one in run_alerts(store, run_id)]


@pytest.fixture
def named(store: Store, run_id: str) -> str:
    set_categories(store, run_id, CATEGORIES)
    return run_id


def test_a_run_without_anything_has_no_alarm(store: Store, run_id: str):
    assert run_alerts(store, run_id) == []
    assert standing_alerts(store) == {}


def test_a_normal_short_run_has_no_alarm(tmp_path: Path):
    with filled_store(tmp_path) as store:
        assert {row.run_id: run_alerts(store, row.run_id) for row in list_runs(store)} == {
            row.run_id: [] for row in list_runs(store)
        }


def test_kept_labels_that_collapse_ring(store: Store, named: str):
    record(store, named, [[made(8)]] * 40 + [[made(1)]] * 25)

    # Windows of 20: at most 1.6 = 0.2 * 8 first when 19 of 20 hold 1: (8 + 19) / 20 = 1.35 at 58;
    # with 18 of 20, (16 + 18) / 20 = 1.7.
    (alert,) = run_alerts(store, named)
    assert (alert.kind, alert.step) == ("kept_collapse", 58)
    assert alert.sentence == "kept labels per image fell from 8.00 to 1.00 (since step 58)"


def test_an_unsupervised_loss_that_stays_0_rings(store: Store, named: str):
    record(store, named, [[made(5)]] * 10)
    record(store, named, [[made(5)]] * 50, unsup=0.0, first=10)

    assert kinds(store, named) == [("unsup_zero", 10, "")]


def test_nothing_kept_from_the_start_rings_once(store: Store, named: str):
    """Both the counts and the loss say so; every class starves, which would add nothing."""
    record(store, named, [[made(0)]] * 55, unsup=0.0)

    assert kinds(store, named) == [("unsup_zero", 0, "")]


def test_a_class_that_is_right_and_never_kept_starves(store: Store, named: str):
    """Dogs are kept, cars never, although one in each of 25 steps is right."""
    steps = [[made(5), made(0, count=1, label=2)]] * 25

    record(store, named, steps)

    assert kinds(store, named) == [("class_starves", 0, "car")]
    (alert,) = run_alerts(store, named)
    assert alert.message == "none of the last 25 labels of class car was kept"


def test_a_class_that_is_rarely_right_does_not_starve(store: Store, named: str):
    wrong = replace(made(0, count=4, label=2), kinds=np.full(4, int(ErrorKind.OTH)))

    record(store, named, [[made(5), wrong]] * 25)

    assert run_alerts(store, named) == []


def test_a_student_that_leaves_its_teacher_behind_rings(store: Store, run_id: str):
    with StoreRecorder(store, run_id) as recorder:
        for step, student in ((10, 20.0), (20, 25.0), (30, 26.0), (40, 27.0)):
            for model, value in (("student", student), ("teacher", 22.0)):
                recorder.evaluation(step, Evaluation("val", model, {"AP": value}, {}))
        recorder.evaluation(50, Evaluation("val", "student", {"AP": 5.0}, {}))

    (alert,) = run_alerts(store, run_id)
    assert (alert.kind, alert.step) == ("teacher_behind", 20)
    assert "teacher AP 22.0 is below student AP 27.0 for 3 evaluations" in alert.message


def test_a_quality_without_order_rings_and_one_with_order_does_not(store: Store, named: str):
    rng = np.random.default_rng(0)
    blind = [[made(5, count=200, quality=rng.random(200))] for _ in range(6)]
    seeing = [[made(5, count=200)] for _ in range(6)]

    record(store, named, seeing)
    assert run_alerts(store, named) == []

    record(store, named, blind, first=6)
    correlation = {alert.kind: alert.step for alert in run_alerts(store, named)}
    assert correlation == {"quality_blind": 6}


def test_labels_that_nobody_can_judge_starve_by_the_lowest_quality_kept():
    columns = {
        "step": np.array([0, 0, 4, 4]),
        "label": np.array([0, 1, 1, 1]),
        "kept": np.array([True, False, False, False]),
        "kind": np.full(4, int(ErrorKind.UNKNOWN)),
        "class_quality": np.array([0.8, 0.8, 0.79, 0.9]),
    }

    kept, deserving = class_counts(columns, np.array([0, 4]), 2)

    assert kept.tolist() == [[1, 0], [0, 0]]
    assert deserving.tolist() == [[1, 1], [0, 1]]


def test_correlations_come_in_full_groups_and_the_oldest_rest_is_left_out():
    quality = np.concatenate([np.full(50, 9.0), np.arange(200.0), -np.arange(200.0)])
    columns = {
        "mask_quality": quality,
        "true_iou": np.concatenate([np.zeros(50), np.arange(200.0), np.arange(200.0)]),
        "step": np.arange(450),
    }

    steps, found = correlations(columns)

    assert steps.tolist() == [50, 250]
    assert found.tolist() == pytest.approx([1.0, -1.0])


def test_a_watch_tells_the_log_and_the_store_once_and_when_it_is_over(store: Store, named: str):
    said: list[str] = []
    record(store, named, [[made(0)]] * 55, watch=Watch(store, named, said.append))

    told = "alert: no pseudo-label is kept: the unlabelled images teach nothing (since step 0)"
    assert said == [told]
    assert [alert.sentence for alert in standing_alerts(store)[named]] == [told[7:]]

    Watch(store, named, said.append)()
    assert len(said) == 1

    record(store, named, [[made(5)]] * 5, first=55, watch=Watch(store, named, said.append))
    assert said[1:] == [
        "no longer so: no pseudo-label is kept: the unlabelled images teach nothing"
    ]
    assert standing_alerts(store) == {}
    assert [(one.kind, one.step) for one in events(store, named)] == [
        ("alert", 0),
        ("alert_over", 59),
    ]


def test_an_alarm_of_a_time_that_a_resume_forgets_is_forgotten(store: Store, named: str):
    steps = [[made(8)]] * 40 + [[made(1)]] * 25
    record(store, named, steps, watch=Watch(store, named, str))
    assert named in standing_alerts(store)

    rewind_run(store, named, 40)

    assert standing_alerts(store) == {}
    assert run_alerts(store, named) == []


def test_a_watch_that_stumbles_costs_nothing(store: Store, run_id: str, caplog):
    def stumble() -> None:
        raise ArithmeticError("no")

    with StoreRecorder(store, run_id, watch=stumble) as recorder:
        recorder.scalars(0, {"loss/total": 1.0})

    assert list_runs(store)[0].error is None
    assert "could not be watched" in caplog.text


def test_an_alert_survives_its_event():
    alert = Alert("class_starves", 3, "none", "car")

    assert (
        Alert(**{"kind": "class_starves", "step": 3, "message": "none", "subject": "car"}) == alert
    )
