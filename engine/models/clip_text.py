"""What CLIP is told about the classes: prompts, tokens, one feature per class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor
from torch.nn import functional

PLACE = "{class}"
"""What a template holds where the name of the class goes."""

Tokenizer = Callable[[list[str]], Tensor]
"""Texts -> (number of texts, context length) int64."""


class TextEncoder(Protocol):
    """The text half of an open_clip model."""

    def encode_text(self, text: Tensor, normalize: bool = False) -> Tensor: ...


def prompts(classes: Sequence[str], templates: Sequence[str]) -> list[str]:
    """Every class in every template, the templates of a class together.

    Raises:
        ValueError: when there is no template, or one without `{class}`.
    """
    if not templates or any(PLACE not in template for template in templates):
        raise ValueError(f'templates {tuple(templates)}: expected texts such as "a {PLACE}."')
    return [template.replace(PLACE, name) for name in classes for template in templates]


def prompt_tokens(tokenizer: Tokenizer, classes: Sequence[str], templates: Sequence[str]) -> Tensor:
    """(K, T, context length) int64 for K classes and T templates."""
    return tokenizer(prompts(classes, templates)).unflatten(0, (len(classes), len(templates)))


def class_features(encoder: TextEncoder, tokens: Tensor) -> Tensor:
    """The mean over templates of the unit text features, of length 1 again.

    (K, T, context length) -> (K, D).
    """
    features = encoder.encode_text(tokens.flatten(0, 1), normalize=True)
    return functional.normalize(features.unflatten(0, tokens.shape[:2]).mean(dim=1), dim=1)
