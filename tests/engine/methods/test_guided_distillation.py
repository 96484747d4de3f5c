"""One threshold, a frozen guide, then a moving average."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.methods.guided_distillation import GuidedDistillation
from lab.config import GuidedDistillationConfig
from lab.datasets.records import DropRule

LOGITS = (2.0, 0.0, 0.0)


def config(**changes: float) -> GuidedDistillationConfig:
    return GuidedDistillationConfig.model_validate(
        {"name": "guided_distillation", "burn_in_steps": 10, **changes}
    )


def test_the_three_stages(make_host):
    method = GuidedDistillation(config(guided_steps=5), make_host(), make_host())

    decays = [method.teacher_decay(step) for step in (0, 9, 10, 11, 14, 15, 16)]

    assert decays == [None, None, 0, None, None, 0, 0.9996]
    assert [step for step in range(20) if method.student_restarts(step)] == [10]


def test_without_a_guided_stage_the_average_begins_at_once(make_host):
    method = GuidedDistillation(config(), make_host(), make_host())

    assert [method.teacher_decay(step) for step in (9, 10, 11)] == [None, 0, 0.9996]
    assert not any(method.student_restarts(step) for step in range(20))


def test_burn_in_needs_labelled_images_only(make_host, batch):
    student, teacher = make_host(), make_host()

    losses = GuidedDistillation(config(), student, teacher).losses(batch, 9)

    assert not teacher.looked_at and not losses.unsup and len(student.taught) == 1


def test_after_burn_in_unlabelled_images_are_a_must(make_host, batch):
    method = GuidedDistillation(config(), make_host(), make_host())

    with pytest.raises(ValueError, match="step 10 needs unlabelled images"):
        method.losses(replace(batch, unlabeled=None), 10)


def test_a_mask_of_any_quality_passes_if_its_class_is_sure(make_host, make_predictions, batch):
    found = make_predictions([(0.8, 0.55), (0.7, 0.99)], LOGITS)
    student, teacher = make_host(), make_host([found, make_predictions([], LOGITS)])

    losses = GuidedDistillation(config(), student, teacher).losses(batch, 10)

    (first, _) = losses.candidates
    assert first.rules.tolist() == [DropRule.KEPT, DropRule.CLASS_QUALITY]
    assert first.rule_values[1].item() == pytest.approx(0.7)
    images, targets = student.taught[0]
    assert images.min() == 1 and [len(t) for t in targets] == [1, 0]
    assert targets[0].pixel_weight is None
    assert losses.unsup["class"].item() == pytest.approx(2)


def test_the_unsupervised_loss_is_zero_when_nothing_is_kept(make_host, make_predictions, batch):
    nothing = [make_predictions([(0.1, 0.9)], LOGITS)] * 2

    losses = GuidedDistillation(config(), make_host(), make_host(nothing)).losses(batch, 10)

    assert losses.unsup["class"].item() == 0 and losses.sup["class"].item() == 1
    assert losses.stats["pseudo/kept_per_image"] == 0
