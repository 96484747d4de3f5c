"""Several texts per class: how they are read, and how they become one."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from engine.models.clip import class_texts
from engine.models.clip_loading import ClipError
from engine.models.clip_text import attend, read_texts
from lab.config import ClipConfig

CPU = torch.device("cpu")
DIRECTIONS = {"one": 0, "two": 1, "three": 2}


class Lookup:
    """Reads three texts, each its own direction."""

    def encode_text(self, text: Tensor, normalize: bool = False) -> Tensor:
        assert normalize
        return torch.eye(3)[text[:, 0]]


def tokenize(texts: list[str]) -> Tensor:
    return torch.tensor([[DIRECTIONS[text]] for text in texts])


def test_the_best_description_counts_most():
    pooled = attend(
        torch.tensor([[[30.0, 27.0]]], dtype=torch.float64), torch.ones(1, 2, dtype=torch.bool)
    )

    # softmax(30, 27) = (0.952574, 0.047426).
    assert pooled.item() == pytest.approx(29.857722, abs=1e-6)


def test_classes_may_have_different_numbers_of_texts_or_none():
    logits = torch.tensor([[[30.0, 27.0], [5.0, 99.0], [1.0, 2.0]]])
    present = torch.tensor([[True, True], [True, False], [False, False]])

    pooled = attend(logits, present)

    assert pooled[0, :2].tolist() == pytest.approx([29.857722, 5.0], abs=1e-5)
    assert pooled[0, 2] == -math.inf


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=5))
def test_what_is_pooled_lies_between_the_mean_and_the_best(values: list[float]):
    logits = torch.tensor([[values]], dtype=torch.float64)

    pooled = attend(logits, torch.ones(1, len(values), dtype=torch.bool)).item()

    assert sum(values) / len(values) - 1e-6 <= pooled <= max(values) + 1e-6


def test_texts_become_one_feature_or_stay_apart():
    texts = [["one", "two"], ["three"], []]

    mean = read_texts(Lookup(), tokenize, texts, "features", CPU)
    apart = read_texts(Lookup(), tokenize, texts, "logits", CPU)

    half = math.sqrt(0.5)
    expected = torch.tensor([[[half, half, 0.0]], [[0.0, 0.0, 1.0]], [[0.0, 0.0, 0.0]]])
    torch.testing.assert_close(mean.features, expected)
    assert mean.present.tolist() == [[True], [True], [False]]
    assert apart.features.shape == (3, 2, 3)
    assert apart.present.tolist() == [[True, True], [True, False], [False, False]]
    assert mean.known.tolist() == apart.known.tolist() == [True, True, False]


def test_a_picture_fits_a_class_as_its_texts_say():
    texts = read_texts(Lookup(), tokenize, [["one", "two"], ["three"]], "logits", CPU)

    logits = texts.logits(torch.tensor([[0.30, 0.27, 0.1]]), kappa=100.0)

    assert logits[0].tolist() == pytest.approx([29.857722, 10.0], abs=1e-4)


def test_one_text_per_class_is_the_same_either_way():
    texts = [["one"], ["two"]]
    features = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))

    answers = [
        read_texts(Lookup(), tokenize, texts, how, CPU).logits(features, 20.0)
        for how in ("features", "logits")
    ]

    torch.testing.assert_close(*answers)


def test_without_descriptions_the_templates_speak():
    config = ClipConfig(templates=("a {class}", "the {class}"))

    assert class_texts(["cat"], config) == [["a cat", "the cat"]]


def test_descriptions_take_the_place_of_the_templates_in_the_order_of_the_classes():
    config = ClipConfig(descriptions={"dog": ("it barks",), "cat": ("it purrs", "it climbs")})

    assert class_texts(["cat", "dog"], config) == [("it purrs", "it climbs"), ("it barks",)]


def test_descriptions_of_other_classes_and_classes_without_one_are_named():
    config = ClipConfig(descriptions={"dgo": ("it barks",), "cat": ("it purrs",)})

    with pytest.raises(ClipError, match=r"no class of the dataset: dgo, and says nothing of dog"):
        class_texts(["cat", "dog"], config)
