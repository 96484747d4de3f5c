"""CLIP as the second opinion of DICC: any open_clip model, or the shipped stand-in."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from engine.models.clip_loading import ClipError, LoadedClip, load_open_clip
from engine.models.clip_text import ClassTexts, class_prompts, prompt_tokens, read_texts
from engine.models.crops import CropError, labeled_crops
from engine.models.patches import cut_patches, tight_boxes, widen_boxes
from engine.models.tiny_clip import Recipe, train_tiny_clip
from engine.models.tiny_clip_model import (
    MEAN,
    PATCH,
    STD,
    TinyClip,
    TinyClipError,
    load_tiny_clip,
    save_tiny_clip,
    tiny_tokenizer,
)
from engine.weights import TINY_CLIP
from lab.config import ClipConfig
from lab.datasets.records import Dataset

MAX_KAPPA = 100.0
"""CLIP's own limit of its inverse temperature."""
CHUNK = 256
"""Most patches in one forward pass."""


@dataclass(frozen=True)
class OpenClipCorrector:
    """Class probabilities of masked objects by PL-DC Eq. 6: a CategoryCorrector.

    A patch is the tight box of the mask, squeezed into the model's input, background kept: the
    paper does not say how it cuts.
    """

    clip: LoadedClip
    texts: ClassTexts
    """Read once per model, texts and classes."""
    kappa: float
    margin: float
    """Context on every side, as a share of the box's width and height."""
    min_patch: int
    """Objects with a shorter side than this are not judged, pixels."""

    def probabilities(self, images: Tensor, masks: Sequence[Tensor]) -> Tensor:
        """(B, 3, H, W) in [0, 1], B x (N_b, H, W) bool -> (sum of N_b, K).

        NaN where the object is too small, and for classes that are not in the vocabulary.
        """
        return self.probabilities_in(images, [tight_boxes(mask) for mask in masks])

    @torch.no_grad()
    def probabilities_in(self, images: Tensor, boxes: Sequence[Tensor]) -> Tensor:
        """The same for objects of known tight boxes, B x (N_b, 4) XYXY pixels."""
        every = torch.cat(list(boxes))
        if len(every) == 0:
            return self.texts.features.new_zeros(0, len(self.texts.present))
        wide = [widen_boxes(box, self.margin) for box in boxes]
        patches = cut_patches(images.float(), wide, self.clip.size)
        probabilities = torch.cat([self._look(part) for part in patches.split(CHUNK)])
        seen = (every[:, 2:] - every[:, :2]).amin(dim=1) >= max(1, self.min_patch)
        return probabilities.masked_fill(~seen[:, None] | ~self.texts.known, torch.nan)

    @cached_property
    def _statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation of the model's input, each (3, 1, 1), on its device."""
        both = self.texts.features.new_tensor([self.clip.mean, self.clip.std])
        return both[0, :, None, None], both[1, :, None, None]

    def _look(self, patches: Tensor) -> Tensor:
        mean, std = self._statistics
        features = self.clip.model.encode_image((patches - mean) / std)  # pyright: ignore[reportCallIssue]
        features = functional.normalize(features.float(), dim=1)
        return self.texts.logits(features, self.kappa).softmax(dim=1)


def build_corrector(
    config: ClipConfig, labeled: Dataset, trained: Path, seed: int, device: torch.device
) -> OpenClipCorrector:
    """The CLIP of a config, ready to judge the classes of the labelled images' dataset.

    Args:
        config: which model, weights and texts.
        labeled: the labelled training images; looked at only for `pretrained = "labeled"`.
        trained: where the weights of a CLIP trained for this run lie, or will lie.
        seed: of that training.
        device: where it shall run.

    Raises:
        ClipError: when there are no trained weights, or they do not fit the classes.
    """
    classes = [category.name for category in labeled.categories]
    if config.pretrained is None:
        raise ClipError(
            "method.clip.pretrained is not set: a randomly initialised CLIP corrects nothing"
        )
    if config.model != "tiny":
        clip = load_open_clip(config.model, config.pretrained)
        return corrector_for(clip.to(device), classes, config)
    tiny = _tiny_clip(config, config.pretrained, labeled, trained, seed, device)
    clip = LoadedClip(tiny.model, tiny_tokenizer(), (PATCH, PATCH), MEAN, STD)
    return corrector_for(clip.to(device), classes, config, vocabulary=tiny.classes)


@torch.no_grad()
def corrector_for(
    clip: LoadedClip,
    classes: Sequence[str],
    config: ClipConfig,
    vocabulary: Collection[str] | None = None,
) -> OpenClipCorrector:
    """Teach a loaded CLIP the names of the classes.

    Args:
        vocabulary: the only classes it understands; None = it reads any text.

    Raises:
        ClipError: when the descriptions are not those of the classes.
    """
    model = clip.model.eval().requires_grad_(False)
    scale = model.logit_scale
    assert isinstance(scale, Tensor)
    known = classes if vocabulary is None else vocabulary
    texts = [
        one if name in known else []
        for name, one in zip(classes, class_texts(classes, config), strict=True)
    ]
    return OpenClipCorrector(
        clip=clip,
        texts=read_texts(model, clip.tokenizer, texts, config.combine, scale.device),  # pyright: ignore[reportArgumentType]
        kappa=min(scale.exp().item(), MAX_KAPPA),
        margin=config.margin,
        min_patch=config.min_patch,
    )


def class_texts(classes: Sequence[str], config: ClipConfig) -> list[Sequence[str]]:
    """What CLIP is told of each class: its descriptions, otherwise its name in the templates.

    Raises:
        ClipError: naming the classes that are described and do not exist, or the other way round.
    """
    if config.descriptions is None:
        return [class_prompts(name, config.templates) for name in classes]
    unknown = [name for name in config.descriptions if name not in classes]
    missing = [name for name in classes if name not in config.descriptions]
    problems = [
        f"{what} {_listed(names)}"
        for what, names in (
            ("describes no class of the dataset:", unknown),
            ("says nothing of", missing),
        )
        if names
    ]
    if problems:
        raise ClipError(
            f"method.clip.descriptions {', and '.join(problems)} "
            f"(the dataset's classes: {_listed(classes)})"
        )
    return [config.descriptions[name] for name in classes]


def _tiny_clip(
    config: ClipConfig,
    pretrained: str,
    labeled: Dataset,
    trained: Path,
    seed: int,
    device: torch.device,
) -> TinyClip:
    classes = [category.name for category in labeled.categories]
    if config.descriptions is not None:
        raise ClipError(
            'method.clip.descriptions: the tiny CLIP (method.clip.model = "tiny") understands '
            "its own prompts alone: leave them out, or take a real CLIP"
        )
    if pretrained == "labeled":
        if not trained.is_file():
            _train_on(labeled, config, trained, seed, device)
        path = trained
    else:
        path = TINY_CLIP if pretrained == "shapes" else Path(pretrained)
    try:
        tiny = load_tiny_clip(path)
    except TinyClipError as error:
        raise ClipError(f"method.clip.pretrained = {pretrained!r}: {error}") from None
    _check_vocabulary(tiny, classes, config, pretrained)
    return tiny


def _train_on(
    labeled: Dataset, config: ClipConfig, path: Path, seed: int, device: torch.device
) -> None:
    classes = [category.name for category in labeled.categories]
    try:
        crops = labeled_crops(labeled)
    except CropError as error:
        raise ClipError(f"method.clip.pretrained = 'labeled': {error}") from None
    recipe = Recipe(config.train_steps)
    clip = train_tiny_clip(crops, classes, recipe, seed, templates=config.templates, device=device)
    tokens = prompt_tokens(tiny_tokenizer(), classes, config.templates)
    save_tiny_clip(path, clip, tokens)


def _check_vocabulary(
    tiny: TinyClip, classes: Sequence[str], config: ClipConfig, pretrained: str
) -> None:
    """Other classes are an error unless they may keep the teacher's class; all of them always."""
    unknown = [name for name in classes if name not in tiny.classes]
    tolerated = config.unknown_classes == "keep" and len(unknown) < len(classes)
    if unknown and not tolerated:
        raise ClipError(
            f"method.clip.pretrained = {pretrained!r} knows {', '.join(tiny.classes)}; the dataset "
            f'has {_listed(unknown)} too: set it to "labeled", or take a real CLIP'
        )
    if tuple(config.templates) != tiny.templates:
        raise ClipError(
            f"method.clip.templates = {config.templates}: the tiny CLIP of {pretrained!r} was "
            f"trained with {tiny.templates} and understands nothing else"
        )


def _listed(names: Collection[str], most: int = 5) -> str:
    """The first names, and how many more there are."""
    shown = ", ".join(list(names)[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
