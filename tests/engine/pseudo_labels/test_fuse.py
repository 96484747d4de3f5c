"""How the teacher's and CLIP's probabilities become one."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.pseudo_labels.fuse import (
    clip_weight,
    fuse_mixture,
    fuse_product,
    teacher_probabilities,
)

TEACHER = torch.tensor([[0.499647, 0.409076, 0.091277]])
CLIP = torch.tensor([[0.10, 0.85, 0.05]])

logits = st.lists(st.floats(-8, 8, width=32), min_size=3, max_size=3)


def close(actual: torch.Tensor, expected: object) -> None:
    torch.testing.assert_close(actual, torch.as_tensor(expected), atol=2e-6, rtol=0)


@pytest.mark.parametrize(
    ("step", "weight"),
    [(20_000, 0.5), (107_188, 0.426776), (194_375, 0.25), (281_562, 0.073224), (368_750, 0.0)],
)
def test_the_weight_of_clip_falls_along_a_cosine(step: int, weight: float):
    assert clip_weight(step, 20_000, 368_750) == pytest.approx(weight, abs=2e-6)


def test_outside_its_span_the_weight_stays_at_the_nearest_end():
    assert clip_weight(0, 20_000, 368_750) == 0.5
    assert clip_weight(999_999, 20_000, 368_750) == 0.0


@given(st.integers(0, 5_000), st.integers(1, 5_000), st.integers(0, 12_000), st.integers(0, 500))
def test_the_weight_never_rises(burn_in: int, length: int, step: int, later: int):
    end = burn_in + length

    assert clip_weight(step + later, burn_in, end) <= clip_weight(step, burn_in, end) <= 0.5
    assert clip_weight(end, burn_in, end) == 0


def test_the_teacher_speaks_of_foreground_classes_only():
    close(teacher_probabilities(torch.tensor([[1.2, 1.0, -0.5]])), TEACHER.tolist())


@pytest.mark.parametrize(
    ("step", "fused", "label"),
    [
        (20_000, [0.299823, 0.629538, 0.070639], 1),
        (194_375, [0.399735, 0.519307, 0.080958], 1),
        (368_750, [0.499647, 0.409076, 0.091277], 0),
    ],
)
def test_clip_wins_at_first_and_the_teacher_in_the_end(step: int, fused: list[float], label: int):
    mixture = fuse_mixture(TEACHER, CLIP, clip_weight(step, 20_000, 368_750))

    close(mixture, [fused])
    assert mixture.argmax(dim=1).item() == label


def test_the_joint_probability_and_its_geometric_mean():
    teacher, clip = TEACHER.double(), CLIP.double()

    product, geometric = fuse_product(teacher, clip), fuse_product(teacher, clip, power=0.5)

    expected = torch.tensor([[0.124215, 0.864439, 0.011346]]).double()
    torch.testing.assert_close(product, expected, atol=1e-6, rtol=0)
    expected = torch.tensor([[0.253790, 0.669507, 0.076703]]).double()
    torch.testing.assert_close(geometric, expected, atol=1e-6, rtol=0)


def test_where_the_product_is_too_small_for_a_float_it_still_has_a_best_class():
    sure = torch.tensor([[1.0, 1e-30, 0.0]])
    contrary = torch.tensor([[0.0, 1e-30, 1.0]])

    fused = fuse_product(sure, contrary)

    # 1e-60 is no float32, so 1 * tiny (1.2e-38) is the largest, once for either.
    close(fused, [[0.5, 0.0, 0.5]])
    assert fused.argmax().item() == 0


@given(logits, logits)
def test_both_products_have_the_same_best_class(one: list[float], other: list[float]):
    teacher = teacher_probabilities(torch.tensor([one])).double()
    clip = teacher_probabilities(torch.tensor([other])).double()

    product, geometric = fuse_product(teacher, clip), fuse_product(teacher, clip, power=0.5)

    assert product[0, geometric.argmax()] >= product.max() - 1e-9
    assert geometric.max() <= product.max() + 1e-9


@given(logits)
def test_a_clip_that_knows_nothing_leaves_the_product_to_the_teacher(one: list[float]):
    teacher = teacher_probabilities(torch.tensor([one]))

    close(fuse_product(teacher, torch.full((1, 3), 1 / 3)), teacher.tolist())


@given(logits, logits, st.floats(0, 0.5))
def test_a_mixture_sums_to_one_and_never_overrules_an_agreement(
    one: list[float], other: list[float], weight: float
):
    teacher = teacher_probabilities(torch.tensor([one]))
    clip = teacher_probabilities(torch.tensor([other]))

    fused = fuse_mixture(teacher, clip, weight)

    close(fused.sum(), 1.0)
    best = teacher.argmax().item()
    if clip.argmax().item() == best:
        assert fused[0, best] >= fused.max() - 1e-6


@given(logits, logits)
def test_a_product_sums_to_one_and_without_clip_the_teacher_decides(
    one: list[float], other: list[float]
):
    teacher = teacher_probabilities(torch.tensor([one]))
    clip = teacher_probabilities(torch.tensor([other]))

    close(fuse_product(teacher, clip).sum(), 1.0)
    assert fuse_mixture(teacher, clip, 0.0).argmax() == teacher.argmax()
