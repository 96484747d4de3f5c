"""What CLIP is told about the classes: texts, their features, and how several become one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

PLACE = "{class}"
"""What a template holds where the name of the class goes."""
CHUNK = 256
"""Most texts in one forward pass."""

Tokenizer = Callable[[list[str]], Tensor]
"""Texts -> (number of texts, context length) int64."""


class TextEncoder(Protocol):
    """The text half of an open_clip model."""

    def encode_text(self, text: Tensor, normalize: bool = False) -> Tensor: ...


@dataclass(frozen=True)
class ClassTexts:
    """What a CLIP has been told about K classes, up to J texts each."""

    features: Tensor
    """(K, J, D) of length 1; 0 where a class has fewer texts."""
    present: Tensor
    """(K, J) bool. A class without any text is not in the vocabulary."""

    @property
    def known(self) -> Tensor:
        """(K,) bool: the classes in the vocabulary."""
        return self.present.any(dim=1)

    def logits(self, features: Tensor, kappa: float) -> Tensor:
        """How well pictures fit the classes, -inf for unknown ones. (N, D) -> (N, K)."""
        count = len(self.present)
        similarity = kappa * features @ self.features.flatten(0, 1).T
        return attend(similarity.unflatten(1, (count, -1)), self.present)


def attend(logits: Tensor, present: Tensor) -> Tensor:
    """The authors' sum_j l_j softmax(l)_j over the texts of a class: the best counts most.

    With one text it is that text's logit; a class without any has -inf.

    Args:
        logits: (N, K, J).
        present: (K, J) bool, which texts there are.

    Returns:
        (N, K).
    """
    weights = logits.masked_fill(~present, -torch.inf).softmax(dim=2)
    pooled = (weights * logits).masked_fill(~present, 0).sum(dim=2)
    return pooled.masked_fill(~present.any(dim=1), -torch.inf)


def class_prompts(name: str, templates: Sequence[str]) -> list[str]:
    """A class in every template.

    Raises:
        ValueError: when there is no template, or one without `{class}`.
    """
    if not templates or any(PLACE not in template for template in templates):
        raise ValueError(f'templates {tuple(templates)}: expected texts such as "a {PLACE}."')
    return [template.replace(PLACE, name) for template in templates]


def prompts(classes: Sequence[str], templates: Sequence[str]) -> list[str]:
    """Every class in every template, the templates of a class together. Raises: ValueError."""
    return [text for name in classes for text in class_prompts(name, templates)]


def prompt_tokens(tokenizer: Tokenizer, classes: Sequence[str], templates: Sequence[str]) -> Tensor:
    """(K, T, context length) int64 for K classes and T templates."""
    return tokenizer(prompts(classes, templates)).unflatten(0, (len(classes), len(templates)))


def class_features(encoder: TextEncoder, tokens: Tensor) -> Tensor:
    """The mean over templates of the unit text features, of length 1 again.

    (K, T, context length) -> (K, D).
    """
    features = encoder.encode_text(tokens.flatten(0, 1), normalize=True)
    return functional.normalize(features.unflatten(0, tokens.shape[:2]).mean(dim=1), dim=1)


@torch.no_grad()
def read_texts(
    encoder: TextEncoder,
    tokenizer: Tokenizer,
    texts: Sequence[Sequence[str]],
    combine: Literal["features", "logits"],
    device: torch.device,
) -> ClassTexts:
    """Read the texts of every class once, for all patches to come.

    Args:
        texts: per class; none for a class that is not in the vocabulary. Not all empty.
        combine: "features" = one mean feature per class; "logits" = keep each, see `attend`.
        device: of the encoder.
    """
    tokens = tokenizer([one for sentences in texts for one in sentences]).to(device)
    encoded = [encoder.encode_text(part, normalize=True).float() for part in tokens.split(CHUNK)]
    per_class = torch.cat(encoded).split([len(sentences) for sentences in texts])
    if combine == "features":
        per_class = [functional.normalize(f.mean(dim=0, keepdim=True)[: len(f)]) for f in per_class]
    counts = torch.tensor([len(f) for f in per_class], device=device)
    features = pad_sequence(list(per_class), batch_first=True)
    return ClassTexts(features, torch.arange(features.shape[1], device=device) < counts[:, None])
