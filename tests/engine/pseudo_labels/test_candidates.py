"""From predictions to targets, with every candidate accounted for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from engine.instances import Predictions
from engine.interfaces import Candidates, ViewGeometry
from engine.pseudo_labels.candidates import (
    changed_share,
    confine,
    correct_classes,
    fused_score,
    judge,
    kept_rows,
    label_stats,
    pseudo_targets,
    survey,
    weighted,
)
from engine.pseudo_labels.filter import keep_coupled
from engine.pseudo_labels.fuse import fuse_mixture
from lab.datasets.records import DropRule, LabelSource

SIDE = 8


def half(teacher: Tensor, clip: Tensor) -> Tensor:
    """Both count the same."""
    return fuse_mixture(teacher, clip, 0.5)


def geometry(height: int = SIDE, width: int = SIDE) -> ViewGeometry:
    return ViewGeometry(height, width, False, 1.0, 1.0, 0.0, 0.0, height, width)


def found(class_logits: list[list[float]], mask_logits: Tensor | None = None) -> Predictions:
    """One candidate per row of logits; masks are the upper left 4 x 4 unless given."""
    count = len(class_logits)
    logits = torch.tensor(class_logits) if count else torch.zeros(0, 3)
    if mask_logits is None:
        mask_logits = torch.full((count, SIDE, SIDE), -6.0)
        mask_logits[:, :4, :4] = 6.0
    quality = logits.sigmoid().amax(dim=1)
    return Predictions(
        boxes=torch.tensor([[0.0, 0.0, 4.0, 4.0]]).repeat(count, 1),
        scores=quality,
        labels=logits.argmax(dim=1),
        class_quality=quality,
        class_logits=logits,
        mask_logits=mask_logits,
    )


def surveyed(predictions: Predictions) -> Candidates:
    return survey(predictions, geometry(), image_id=7, source=LabelSource.PSEUDO)


def keep(candidates: Candidates, kept: list[bool]) -> Candidates:
    scores = torch.tensor(kept, dtype=torch.float32)
    areas = torch.full((len(kept),), 99)
    return judge(candidates, keep_coupled(scores, areas, threshold=0.5, min_area=5))


@dataclass
class Oracle:
    """A corrector that knows its answers beforehand, and notes how often it is asked."""

    answers: list[list[float]]
    asked: list[int] = field(default_factory=list)

    def probabilities(self, images: Tensor, masks: Sequence[Tensor]) -> Tensor:
        assert len(images) == len(masks) and all(m.dtype == torch.bool for m in masks)
        self.asked = [len(m) for m in masks]
        return torch.tensor(self.answers) if self.answers else torch.zeros(0, 3)


def test_a_survey_knows_scores_and_judges_nothing():
    candidates = surveyed(found([[1.2, 1.0, -0.5]]))

    assert candidates.kept.tolist() == [True]
    assert candidates.rules.tolist() == [DropRule.KEPT]
    assert candidates.teacher_before.item() == pytest.approx(0.499647, abs=1e-6)
    assert candidates.clip_before.isnan().all() and candidates.rule_values.isnan().all()
    # sigmoid(6) = 0.997527 inside, so the mean uncertainty is 2 (1 - 0.997527).
    assert candidates.mask_quality.item() == pytest.approx(0.997527, abs=1e-6)
    assert candidates.uncertainty.item() == pytest.approx(0.004945, abs=1e-6)


def test_an_image_without_candidates_goes_all_the_way():
    candidates = keep(surveyed(found([], torch.zeros(0, SIDE, SIDE))), [])
    rows = kept_rows([candidates])

    corrected = correct_classes(
        [candidates], rows, torch.zeros(1, 3, SIDE, SIDE), Oracle([]), fuse=half, max_patches=9
    )
    targets = pseudo_targets(corrected[0], rows[0], weigh_pixels=True)

    assert len(targets) == 0
    assert targets.masks is not None and targets.masks.shape == (0, SIDE, SIDE)
    assert changed_share(corrected, rows).item() == 0
    assert label_stats(corrected, rows) == {"pseudo/candidates": 0, "pseudo/kept_per_image": 0}


def test_nothing_is_found_in_the_padding():
    everywhere = found([[3.0, 0.0, 0.0]], torch.full((1, SIDE, SIDE), 2.0))
    everywhere.boxes[:] = torch.tensor([-1.0, 2.0, 8.0, 8.0])

    shown = confine(everywhere, geometry(height=6, width=5))

    assert int((shown.mask_logits > 0).sum()) == 6 * 5
    assert shown.boxes.tolist() == [[0, 2, 5, 6]]
    assert int((everywhere.mask_logits > 0).sum()) == SIDE * SIDE


def test_padding_is_taught_as_sure_background():
    everywhere = found([[3.0, 0.0, 0.0]], torch.full((1, SIDE, SIDE), 0.1))
    candidates = survey(everywhere, geometry(height=6), 7, LabelSource.PSEUDO)

    targets = pseudo_targets(candidates, torch.tensor([0]), weigh_pixels=True)

    assert targets.masks is not None and not targets.masks[0, 6:].any()
    assert targets.pixel_weight is not None and (targets.pixel_weight[0, 6:] == 1).all()


def test_rows_are_the_kept_ones_in_order():
    first = keep(surveyed(found([[1.0, 0, 0]] * 4)), [False, True, False, True])
    second = keep(surveyed(found([[1.0, 0, 0]] * 2)), [False, False])

    rows = kept_rows([first, second])

    assert [r.tolist() for r in rows] == [[1, 3], []]
    assert first.weights.tolist() == [0, 1, 0, 1]


def test_clip_changes_the_class_of_what_was_kept_and_nothing_else():
    candidates = keep(surveyed(found([[1.2, 1.0, -0.5]] * 2)), [False, True])
    rows = kept_rows([candidates])

    corrected = correct_classes(
        [candidates],
        rows,
        torch.zeros(1, 3, SIDE, SIDE),
        Oracle([[0.10, 0.85, 0.05]]),
        fuse=half,
        max_patches=9,
    )[0]

    # Fused 0.299823, 0.629538, 0.070639: class 1.
    assert corrected.labels.tolist() == [0, 1]
    assert corrected.predictions.labels.tolist() == [0, 0]
    assert corrected.kept.tolist() == [False, True]
    assert corrected.teacher_after.tolist() == pytest.approx([0.499647, 0.409076], abs=1e-6)
    assert corrected.clip_before[1].item() == pytest.approx(0.10)
    assert corrected.clip_after[1].item() == pytest.approx(0.85)
    assert corrected.clip_before[0].isnan() and corrected.clip_after[0].isnan()
    assert corrected.fused[0].isnan()
    assert corrected.fused[1].item() == pytest.approx(0.629538, abs=2e-6)
    assert fused_score([corrected], rows).item() == pytest.approx(0.629538, abs=2e-6)
    assert changed_share([corrected], rows).item() == 1


def test_what_clip_cannot_see_keeps_the_teachers_class():
    candidates = surveyed(found([[1.2, 1.0, -0.5]]))
    nothing = Oracle([[torch.nan] * 3])

    corrected = correct_classes(
        [candidates],
        kept_rows([candidates]),
        torch.zeros(1, 3, SIDE, SIDE),
        nothing,
        fuse=half,
        max_patches=9,
    )[0]

    assert corrected.labels.tolist() == [0] and corrected.clip_after.isnan().all()


def test_a_class_that_clip_has_no_word_for_keeps_the_teachers_opinion():
    candidates = surveyed(found([[1.2, 1.0, -0.5], [1.0, 1.2, -0.5]]))
    rows = kept_rows([candidates])
    speechless = Oracle([[torch.nan, 0.05, 0.95]] * 2)

    corrected = correct_classes(
        [candidates],
        rows,
        torch.zeros(1, 3, SIDE, SIDE),
        speechless,
        fuse=half,
        max_patches=9,
    )[0]

    # The first is of the unknown class 0. The second: 0.5 * (0.409, 0.500 + 0.05, 0.091 + 0.95).
    assert corrected.labels.tolist() == [0, 2]
    assert corrected.clip_before.isnan().tolist() == [True, False]
    assert corrected.fused.isnan().tolist() == [True, False]
    assert corrected.fused[1].item() == pytest.approx((0.091277 + 0.95) / 2, abs=1e-5)


def test_without_any_corrected_candidate_the_fused_score_is_zero():
    candidates = surveyed(found([[1.2, 1.0, -0.5]]))

    assert fused_score([candidates], kept_rows([candidates])).item() == 0


def test_the_lowest_class_wins_a_tie():
    candidates = surveyed(found([[1.0, 0.0, 0.0]]))
    teacher = torch.tensor([[1.0, 0.0, 0.0]]).softmax(dim=1)[0].tolist()
    mirrored = [teacher[1], teacher[0], teacher[2]]

    corrected = correct_classes(
        [candidates],
        kept_rows([candidates]),
        torch.zeros(1, 3, SIDE, SIDE),
        Oracle([mirrored]),
        fuse=half,
        max_patches=9,
    )[0]

    assert corrected.labels.tolist() == [0]


def test_clip_is_asked_about_the_most_certain_ones_only():
    many = surveyed(found([[0.1, 0, 0], [2.0, 0, 0], [1.0, 0, 0]]))
    other = surveyed(found([[0.5, 0, 0]]))
    oracle = Oracle([[0.0, 1.0, 0.0]] * 3)

    corrected = correct_classes(
        [many, other],
        kept_rows([many, other]),
        torch.zeros(2, 3, SIDE, SIDE),
        oracle,
        fuse=half,
        max_patches=2,
    )

    assert oracle.asked == [2, 1]
    assert corrected[0].clip_after.isnan().tolist() == [True, False, False]


def test_targets_are_hard_masks_with_the_corrected_class():
    candidates = surveyed(found([[2.0, 0.0, 0.0], [0.0, 0.0, 2.0]]))

    targets = pseudo_targets(candidates, torch.tensor([1]), weigh_pixels=False)

    assert targets.labels.tolist() == [2]
    assert targets.boxes.tolist() == [[0, 0, 4, 4]]
    assert targets.masks is not None and int(targets.masks.sum()) == 16
    assert targets.pixel_weight is None and targets.instance_weight is None


def test_a_doubtful_pixel_teaches_less():
    """PL-DC Eq. 11 on four pixels: the teacher's weights make 0.112670 of 0.501734."""
    teacher = torch.tensor([0.5, 0.6, 0.9, 0.05]).reshape(1, 2, 2)
    student = torch.tensor([0.7, 0.7, 0.8, 0.2]).reshape(1, 2, 2).logit().requires_grad_()
    view = survey(found([[1.0, 0, 0]], teacher.logit()), geometry(2, 2), 7, LabelSource.PSEUDO)

    targets = pseudo_targets(view, torch.tensor([0]), weigh_pixels=True)
    assert targets.masks is not None
    truth, weight = targets.masks.float(), targets.pixel_weight
    loss = functional.binary_cross_entropy_with_logits(student, truth, weight)
    (gradient,) = torch.autograd.grad(loss, student)

    assert targets.masks.flatten().tolist() == [False, True, True, False]
    assert loss.item() == pytest.approx(0.112670, abs=1e-6)
    plain = functional.binary_cross_entropy_with_logits(student, truth)
    assert plain.item() == pytest.approx(0.501734, abs=1e-6)
    expected = torch.tensor([0, -0.015, -0.040, 0.045])
    torch.testing.assert_close(gradient.flatten(), expected, atol=1e-6, rtol=0)


def test_pixel_weights_average_per_instance():
    """u = [.2, 0], [1, .5] and BCE = [.3, .1], [2, .4]: (mean(.24, .1) + mean(0, .2)) / 2."""
    uncertainty = torch.tensor([[0.2, 0.0], [1.0, 0.5]])
    teacher = (1 - uncertainty / 2).reshape(2, 1, 2).clamp(max=1 - 1e-7)
    view = survey(found([[1.0, 0, 0]] * 2, teacher.logit()), geometry(1, 2), 7, LabelSource.PSEUDO)
    weight = pseudo_targets(view, torch.tensor([0, 1]), weigh_pixels=True).pixel_weight

    assert weight is not None
    loss = (weight[:, 0] * torch.tensor([[0.3, 0.1], [2.0, 0.4]])).mean(dim=1).mean()

    assert loss.item() == pytest.approx(0.135, abs=1e-6)


def test_without_any_label_the_unlabelled_loss_is_zero_but_has_a_gradient():
    loss = torch.tensor(3.0, requires_grad=True)

    nothing = weighted({"class": loss}, 2.0, [torch.zeros(0), torch.zeros(0)])["class"]
    something = weighted({"class": loss}, 2.0, [torch.zeros(0), torch.zeros(1)])["class"]

    assert nothing.item() == 0 and nothing.requires_grad
    assert something.item() == 6


def test_stats_average_over_images_and_kept_labels():
    first = keep(surveyed(found([[2.0, 0, 0], [0.0, 0, 0]])), [True, False])
    second = keep(surveyed(found([[1.0, 0, 0]] * 2)), [False, False])

    stats = label_stats([first, second], kept_rows([first, second]))

    assert stats["pseudo/candidates"] == 2
    assert stats["pseudo/kept_per_image"] == 0.5
    assert float(stats["pseudo/class_quality"]) == pytest.approx(0.880797, abs=1e-6)
    assert float(stats["pseudo/mask_quality"]) == pytest.approx(0.997527, abs=1e-6)


@given(st.lists(st.floats(-12, 12, width=32), min_size=4, max_size=4), st.integers(0, 9))
def test_weighing_pixels_never_raises_the_loss(teacher: list[float], seed: int):
    logits = torch.tensor(teacher).reshape(1, 2, 2)
    student = torch.randn(1, 2, 2, generator=torch.Generator().manual_seed(seed))
    view = survey(found([[1.0, 0, 0]], logits), geometry(2, 2), 7, LabelSource.PSEUDO)

    targets = pseudo_targets(view, torch.tensor([0]), weigh_pixels=True)

    assert targets.masks is not None
    truth = targets.masks.float()
    plain = functional.binary_cross_entropy_with_logits(student, truth)
    less = functional.binary_cross_entropy_with_logits(student, truth, targets.pixel_weight)
    assert less <= plain + 1e-6


@given(st.lists(st.lists(st.booleans(), max_size=6), min_size=1, max_size=4))
def test_kept_rows_are_what_indexing_by_the_mask_gives(kept: list[list[bool]]):
    candidates = [keep(surveyed(found([[1.0, 0, 0]] * len(k))), k) for k in kept if k]
    if candidates:
        rows = kept_rows(candidates)
        assert [r.tolist() for r in rows] == [c.kept.nonzero()[:, 0].tolist() for c in candidates]
