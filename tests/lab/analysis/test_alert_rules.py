"""Alarms go off on the trouble they name and stay silent otherwise."""

from __future__ import annotations

import numpy as np

from lab.analysis.alerts import (
    kept_collapse,
    nothing_kept,
    quality_stops_ranking,
    starving_classes,
    teacher_falls_behind,
    unsup_stays_zero,
)


def steps(count: int):
    return np.arange(count) * 10


def test_kept_labels_that_collapse_are_reported_with_both_numbers():
    kept = np.array([4.0] * 5 + [0.5] * 3)

    alert = kept_collapse(steps(8), kept, window=3)

    # Windows of three: means 4, 4, 4, 2.83, 1.67, 0.5; only the last is at most 0.8.
    assert alert is not None
    assert (alert.kind, alert.step) == ("kept_collapse", 70)
    assert alert.message == "kept labels per image fell from 4.00 to 0.50"


def test_steady_few_and_still_rising_labels_are_no_collapse():
    assert kept_collapse(steps(8), np.full(8, 0.1), window=3) is None
    assert kept_collapse(steps(8), np.arange(8.0), window=3) is None
    assert kept_collapse(steps(8), np.zeros(8), window=3) is None
    assert kept_collapse(steps(2), np.array([4.0, 0.0]), window=3) is None


def test_an_unsupervised_loss_of_zero_is_reported_once_it_lasts():
    losses = np.array([0.0, 0.0, 0.7, 0.0, 0.0, 0.0])

    alert = unsup_stays_zero(steps(6), losses, patience=3)

    assert alert is not None and alert.step == 30
    assert unsup_stays_zero(steps(6), losses, patience=4) is None
    assert unsup_stays_zero(steps(0), np.zeros(0), patience=4) is None


def test_nothing_kept_is_reported_once_it_lasts_even_from_the_start():
    kept = np.array([0.5, 0.0, 0.0, 0.0])

    alert = nothing_kept(steps(4), kept, patience=3)

    assert alert is not None and (alert.kind, alert.step) == ("unsup_zero", 10)
    assert alert.sentence.startswith("no pseudo-label is kept")
    assert alert.sentence.endswith("(since step 10)")
    assert nothing_kept(steps(4), kept, patience=4) is None
    assert nothing_kept(steps(4), np.zeros(4), patience=4) is not None
    assert nothing_kept(steps(0), np.zeros(0)) is None


def test_a_class_starves_when_it_is_proposed_and_never_kept():
    kept = np.array([[1, 2, 0], [0, 2, 0], [0, 1, 0]])
    candidates = np.array([[9, 9, 0], [9, 9, 0], [9, 9, 1]])

    alerts = starving_classes(
        steps(3), kept, candidates, ["bear", "dog", "car"], window=2, min_candidates=10
    )

    assert [(one.kind, one.step) for one in alerts] == [("class_starves", 10)]
    assert alerts[0].message == "none of the last 18 labels of class bear was kept"
    assert alerts[0].subject == "bear"


def test_a_short_history_starves_nobody():
    assert starving_classes(steps(1), np.zeros((1, 1)), np.full((1, 1), 99), ["bear"]) == []


def test_a_teacher_below_its_student_is_reported_after_a_while():
    teacher, student = np.array([20.0, 21, 22, 23]), np.array([10.0, 22, 23, 24])

    alert = teacher_falls_behind(steps(4), teacher, student, patience=3)

    assert alert is not None and alert.step == 10
    assert "teacher AP 23.0 is below student AP 24.0 for 3 evaluations" in alert.message
    assert teacher_falls_behind(steps(4), student, teacher, patience=3) is None


def test_a_student_ahead_by_chance_is_no_alarm():
    teacher = np.array([20.0, 21, 22])

    # 0.5 AP is the margin: at it is silent, above it is not.
    assert teacher_falls_behind(steps(3), teacher, teacher + 0.5) is None
    assert teacher_falls_behind(steps(3), teacher, teacher + 0.6) is not None


def test_a_quality_that_stops_ranking_is_reported_and_an_unknown_one_is_not():
    falling = np.array([0.6, 0.4, 0.05, -0.1, 0.0])

    alert = quality_stops_ranking(steps(5), falling, patience=3)

    assert alert is not None and alert.step == 20
    assert quality_stops_ranking(steps(5), np.full(5, np.nan), patience=3) is None
