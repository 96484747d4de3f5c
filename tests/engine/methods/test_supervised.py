"""The reference line."""

from __future__ import annotations

import pytest

from engine.methods.supervised import Supervised
from engine.pseudo_labels.candidates import survey
from lab.config import SupervisedConfig
from lab.datasets.records import LabelSource


def test_it_sees_the_weak_view_unless_told_otherwise(make_host, batch):
    student = make_host()

    Supervised(SupervisedConfig(), student, make_host()).losses(batch, 0)
    Supervised(SupervisedConfig(strong_views=True), student, make_host()).losses(batch, 0)

    weak, both = student.taught
    assert len(weak[0]) == 2 and weak[0].max() == 0
    assert len(both[0]) == len(both[1]) == 4 and both[0][2:].min() == 1


def test_it_never_asks_for_unlabelled_images_and_makes_no_labels(make_host, batch):
    method = Supervised(SupervisedConfig(), make_host(), make_host())

    losses = method.losses(batch, 5)

    assert method.unlabeled_from is None and not method.student_restarts(0)
    assert not losses.unsup and not losses.candidates
    assert losses.total().item() == pytest.approx(1)


def test_its_average_starts_as_a_copy_and_forgets_ever_more_slowly(make_host):
    method = Supervised(SupervisedConfig(ema_decay=0.9), make_host(), make_host())

    decays = [method.teacher_decay(step) for step in (0, 10, 90, 10_000)]

    assert decays == [0, 0.5, 0.9, 0.9]


def test_without_a_decay_the_student_itself_is_evaluated(make_host):
    method = Supervised(SupervisedConfig(ema_decay=0), make_host(), make_host())

    assert {method.teacher_decay(step) for step in range(100)} == {0}


def test_it_drops_nothing(make_host, make_predictions, batch):
    (view, _) = batch.unlabeled.geometry
    found = survey(make_predictions([(0.1, 0.6)], (1.0, 0.0)), view, 11, LabelSource.PROBE_TEACHER)

    judged = Supervised(SupervisedConfig(), make_host(), make_host()).judge(found)

    assert judged.kept.tolist() == [True]
