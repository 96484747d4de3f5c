"""Two thresholds, a second opinion, and pixels that teach less."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from engine.instances import Predictions
from engine.interfaces import Batch, LabeledBatch, UnlabeledBatch
from engine.methods.pl_dc import PlDc
from engine.models.condinst import CondInst
from engine.pseudo_labels.ema import copy_weights
from lab.config import CondInstConfig, PlDcConfig
from lab.datasets.records import DropRule

LOGITS = (1.2, 1.0, -0.5)
BURN_IN, END = 10, 110


class AlwaysTheSecond:
    """A corrector that is rather sure of class 1, and counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def probabilities(self, images: Tensor, masks: Sequence[Tensor]) -> Tensor:
        self.calls += 1
        return torch.tensor([[0.10, 0.85, 0.05]]).repeat(sum(len(m) for m in masks), 1)


def config(**changes: object) -> PlDcConfig:
    return PlDcConfig.model_validate({"name": "pl_dc", "burn_in_steps": BURN_IN, **changes})


def test_the_teacher_waits_then_copies_then_follows(make_host):
    method = PlDc(config(), make_host(), make_host(), AlwaysTheSecond(), END)

    assert [method.teacher_decay(step) for step in (0, 9, 10, 11)] == [None, None, 0, 0.9996]
    assert method.unlabeled_from == 10 and not method.student_restarts(10)


def test_burn_in_sees_weak_and_strong_labelled_views(make_host, batch):
    student, teacher = make_host(), make_host()

    losses = PlDc(config(), student, teacher, AlwaysTheSecond(), END).losses(batch, 9)

    ((images, targets),) = student.taught
    assert len(images) == len(targets) == 4 and not teacher.looked_at
    assert not losses.unsup and not losses.candidates


def test_after_burn_in_unlabelled_images_are_a_must(make_host, batch):
    method = PlDc(config(), make_host(), make_host(), AlwaysTheSecond(), END)

    with pytest.raises(ValueError, match="step 10 needs unlabelled images"):
        method.losses(replace(batch, unlabeled=None), 10)


def test_class_and_mask_must_each_be_good_enough(make_host, make_predictions, batch):
    scores = [(0.95, 0.92), (0.99, 0.85), (0.80, 0.97)]
    teacher = make_host([make_predictions(scores, LOGITS), make_predictions([], LOGITS)])

    losses = PlDc(config(), make_host(), teacher, AlwaysTheSecond(), END).losses(batch, BURN_IN)

    first, second = losses.candidates
    assert first.rules.tolist() == [
        DropRule.KEPT,
        DropRule.MASK_QUALITY,
        DropRule.CLASS_QUALITY,
    ]
    assert first.image_id == 11 and len(second.labels) == 0
    assert losses.stats["pseudo/candidates"] == 1.5
    assert losses.stats["pseudo/kept_per_image"] == 0.5


def test_without_ddtf_one_threshold_on_the_product_decides(make_host, make_predictions, batch):
    scores = [(0.95, 0.70), (0.80, 0.80)]
    teacher = make_host([make_predictions(scores, LOGITS)] * 2)
    single = config(ddtf=False, coupled_threshold=0.65)
    method = PlDc(single, make_host(), teacher, AlwaysTheSecond(), END)

    first = method.losses(batch, BURN_IN).candidates[0]

    # Products 0.665 and 0.640.
    assert first.rules.tolist() == [DropRule.KEPT, DropRule.COUPLED_SCORE]


def test_the_student_learns_the_corrected_class_on_the_strong_view(
    make_host, make_predictions, batch
):
    student = make_host()
    teacher = make_host([make_predictions([(0.95, 0.95)], LOGITS)] * 2)

    losses = PlDc(config(), student, teacher, AlwaysTheSecond(), END).losses(batch, BURN_IN)

    images, targets = student.taught[0]
    assert images.min() == 1 and teacher.looked_at[0].max() == 0
    assert [t.labels.tolist() for t in targets] == [[1], [1]]
    assert losses.candidates[0].predictions.labels.tolist() == [0]
    assert float(losses.stats["dicc/changed"]) == 1
    assert losses.stats["dicc/weight"] == 0.5
    assert float(losses.stats["dicc/score"]) == pytest.approx(0.629538, abs=2e-6)


def test_the_teacher_has_the_last_word_at_the_end(make_host, make_predictions, batch):
    corrector = AlwaysTheSecond()
    teacher = make_host([make_predictions([(0.95, 0.95)], LOGITS)] * 2)
    method = PlDc(config(), make_host(), teacher, corrector, END)

    late = method.losses(batch, END - 1)
    over = method.losses(batch, END)

    assert late.candidates[0].labels.tolist() == [0]
    assert over.stats["dicc/weight"] == 0 and corrector.calls == 1


@pytest.mark.parametrize(("power", "score"), [(1.0, 0.864439), (0.5, 0.669507)])
def test_plepi_corrects_the_same_way_from_beginning_to_end(
    make_host, make_predictions, batch, power: float, score: float
):
    teacher = make_host([make_predictions([(0.95, 0.95)], LOGITS)] * 2)
    plepi = config(fusion="plepi", plepi_power=power)
    method = PlDc(plepi, make_host(), teacher, AlwaysTheSecond(), END)

    for step in (BURN_IN, END):
        losses = method.losses(batch, step)
        assert losses.candidates[0].labels.tolist() == [1]
        assert losses.candidates[0].clip_after[0].item() == pytest.approx(0.85)
        assert float(losses.stats["dicc/changed"]) == 1
        assert float(losses.stats["dicc/score"]) == pytest.approx(score, abs=2e-6)
        assert "dicc/weight" not in losses.stats


def test_without_dicc_nobody_is_asked(make_host, make_predictions, batch):
    teacher = make_host([make_predictions([(0.95, 0.95)], LOGITS)] * 2)

    losses = PlDc(config(dicc=False), make_host(), teacher, None, END).losses(batch, BURN_IN)

    assert losses.candidates[0].labels.tolist() == [0]
    assert losses.candidates[0].clip_after.isnan().all()
    assert not any(name.startswith("dicc") for name in losses.stats)


def test_dicc_without_a_clip_is_refused(make_host):
    with pytest.raises(ValueError, match="dicc = true needs a category corrector"):
        PlDc(config(), make_host(), make_host(), None, END)


@pytest.mark.parametrize("pmua", [True, False])
def test_pixels_count_by_the_teachers_certainty(make_host, make_predictions, batch, pmua: bool):
    student = make_host()
    teacher = make_host([make_predictions([(0.95, 0.95)], LOGITS)] * 2)

    PlDc(config(pmua=pmua), student, teacher, AlwaysTheSecond(), END).losses(batch, BURN_IN)

    weight = student.taught[0][1][0].pixel_weight
    assert (weight is not None) == pmua
    if weight is not None:
        # p = 0.95 inside: 1 - u = 2 * 0.45 = 0.9; sure background outside: 1.
        torch.testing.assert_close(weight[0, 0, 0], torch.tensor(0.9), atol=1e-5, rtol=0)
        torch.testing.assert_close(weight[0, 7, 7], torch.tensor(1.0), atol=1e-5, rtol=0)


def test_the_total_is_supervised_plus_weighted_unsupervised(make_host, make_predictions, batch):
    teacher = make_host([make_predictions([(0.95, 0.95)], LOGITS)] * 2)
    method = PlDc(config(unsup_weight=0.25), make_host(), teacher, AlwaysTheSecond(), END)

    losses = method.losses(batch, BURN_IN)

    assert losses.sup["class"].item() == 1 and losses.unsup["class"].item() == 0.25
    assert losses.total().item() == pytest.approx(1.25)


def test_a_batch_without_pseudo_labels_teaches_nothing_unlabelled(
    make_host, make_predictions, batch
):
    teacher = make_host([make_predictions([(0.2, 0.95)], LOGITS)] * 2)

    losses = PlDc(config(), make_host(), teacher, AlwaysTheSecond(), END).losses(batch, BURN_IN)

    assert losses.unsup["class"].item() == 0 and losses.unsup["class"].requires_grad
    assert len(losses.candidates) == 2 and "pseudo/class_quality" not in losses.stats


def test_a_real_host_learns_from_its_own_labels(batch):
    """Everything is kept: a step on CondInst gives finite losses and a gradient."""
    torch.manual_seed(0)
    host = CondInstConfig(width=8, score_floor=0.0, max_detections=5)
    student, teacher = CondInst(host, 3), CondInst(host, 3)
    copy_weights(teacher, student)
    loose = config(class_threshold=0.0, mask_threshold=0.0, min_mask_area=0)

    losses = PlDc(loose, student, teacher, AlwaysTheSecond(), END).losses(enlarged(batch), BURN_IN)
    losses.total().backward()

    assert set(losses.unsup) == set(losses.sup) == {"class", "box", "center", "mask"}
    assert losses.total().isfinite()
    assert all(p.grad is None for p in teacher.parameters())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in student.parameters())
    assert not teacher.training and student.training
    assert_consistent(losses.candidates[0].predictions)


def enlarged(batch: Batch) -> Batch:
    """The same batch at 64 x 64, with something to see."""
    assert batch.unlabeled is not None
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    (target, _) = batch.labeled.targets
    masks = torch.zeros(1, 64, 64, dtype=torch.bool)
    masks[:, 8:40, 8:40] = True
    big = type(target)(torch.tensor([[8.0, 8.0, 40.0, 40.0]]), target.labels, masks)
    (view, _) = batch.unlabeled.geometry
    view = type(view)(64, 64, False, 1.0, 1.0, 0.0, 0.0, 64, 64)
    return Batch(
        LabeledBatch(images, images, [big, big]),
        UnlabeledBatch(images, images, [11, 12], [view, view]),
    )


def assert_consistent(predictions: Predictions) -> None:
    assert len(predictions) > 0
    assert predictions.mask_logits.shape == (len(predictions), 64, 64)
