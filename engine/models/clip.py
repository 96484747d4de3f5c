"""CLIP as the second opinion of DICC: any open_clip model, or the shipped stand-in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import huggingface_hub
import open_clip
import torch
from huggingface_hub import constants
from open_clip.transform import PreprocessCfg
from torch import Tensor, nn
from torch.nn import functional

from engine.models.clip_text import Tokenizer, class_features, prompt_tokens
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
from engine.pseudo_labels.fuse import CategoryCorrector
from engine.weights import TINY_CLIP
from lab.config import ClipConfig, ConfigError
from lab.datasets.records import Dataset

MAX_KAPPA = 100.0
"""CLIP's own limit of its inverse temperature."""
CHUNK = 256
"""Most patches in one forward pass."""
WEIGHT_SUFFIXES = (".bin", ".pt", ".pth", ".safetensors")


OFFLINE_ADVICE = (
    f"the weights are not in the local cache and {constants.ENDPOINT} cannot be reached: set "
    "method.clip.pretrained to a local file, or fill the cache where there is a network"
)


class ClipError(ConfigError):
    """A CLIP that cannot be had; the message names the setting and what to do."""


@dataclass(frozen=True)
class LoadedClip:
    """A network with what it needs to be asked."""

    model: nn.Module
    """An open_clip model."""
    tokenizer: Tokenizer
    size: tuple[int, int]
    """(height, width) of its input."""
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def to(self, device: torch.device) -> LoadedClip:
        return replace(self, model=self.model.to(device))


@dataclass(frozen=True)
class OpenClipCorrector:
    """Class probabilities of masked objects by PL-DC Eq. 6: a CategoryCorrector.

    A patch is the tight box of the mask, squeezed into the model's input, background kept: the
    paper does not say how it cuts.
    """

    clip: LoadedClip
    text_features: Tensor
    """(K, D) of length 1: computed once per model, prompts and classes."""
    kappa: float
    margin: float
    """Context on every side, as a share of the box's width and height."""
    min_patch: int
    """Objects with a shorter side than this are not judged, pixels."""

    @torch.no_grad()
    def probabilities(self, images: Tensor, masks: Sequence[Tensor]) -> Tensor:
        """(B, 3, H, W) in [0, 1], B x (N_b, H, W) bool -> (sum of N_b, K); NaN where too small."""
        boxes = [tight_boxes(mask) for mask in masks]
        every = torch.cat(boxes)
        if len(every) == 0:
            return self.text_features.new_zeros(0, len(self.text_features))
        wide = [widen_boxes(box, self.margin) for box in boxes]
        patches = cut_patches(images.float(), wide, self.clip.size)
        probabilities = torch.cat([self._look(part) for part in patches.split(CHUNK)])
        seen = (every[:, 2:] - every[:, :2]).amin(dim=1) >= max(1, self.min_patch)
        return probabilities.masked_fill(~seen[:, None], torch.nan)

    @cached_property
    def _statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation of the model's input, each (3, 1, 1), on its device."""
        both = self.text_features.new_tensor([self.clip.mean, self.clip.std])
        return both[0, :, None, None], both[1, :, None, None]

    def _look(self, patches: Tensor) -> Tensor:
        mean, std = self._statistics
        features = self.clip.model.encode_image((patches - mean) / std)  # pyright: ignore[reportCallIssue]
        features = functional.normalize(features.float(), dim=1)
        return (self.kappa * features @ self.text_features.T).softmax(dim=1)


def build_corrector(
    config: ClipConfig, labeled: Dataset, trained: Path, seed: int, device: torch.device
) -> CategoryCorrector:
    """The CLIP of a config, ready to judge the classes of the labelled images' dataset.

    Args:
        config: which model, weights and prompts.
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
    if config.model == "tiny":
        clip = _tiny_clip(config, config.pretrained, labeled, trained, seed, device)
    else:
        clip = load_open_clip(config.model, config.pretrained)
    return corrector_for(clip.to(device), classes, config)


@torch.no_grad()
def corrector_for(
    clip: LoadedClip, classes: Sequence[str], config: ClipConfig
) -> OpenClipCorrector:
    """Teach a loaded CLIP the names of the classes."""
    model = clip.model.eval().requires_grad_(False)
    scale = model.logit_scale
    assert isinstance(scale, Tensor)
    tokens = prompt_tokens(clip.tokenizer, classes, config.templates).to(scale.device)
    return OpenClipCorrector(
        clip=clip,
        text_features=class_features(model, tokens).float(),  # pyright: ignore[reportArgumentType]
        kappa=min(scale.exp().item(), MAX_KAPPA),
        margin=config.margin,
        min_patch=config.min_patch,
    )


def load_open_clip(model: str, pretrained: str) -> LoadedClip:
    """Any open_clip model with trained weights.

    Args:
        model: a name open_clip knows, or `local-dir:PATH`, or `hf-hub:OWNER/NAME`; the last two
            bring their weights.
        pretrained: a local file if there is one of that name, otherwise a tag.

    Raises:
        ClipError: when name, tag or file is unknown, or the weights are neither in the local
            cache nor to be had, which is found out in seconds.
    """
    source = _weights_source(model, pretrained)
    with _offline_if_unreachable() as reachable:
        try:
            network = open_clip.create_model(model, pretrained=source, require_pretrained=True)
            tokenizer = open_clip.get_tokenizer(model)
        except Exception as error:  # open_clip and the hub raise a dozen types
            why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            asked = f"method.clip: model {model!r} with pretrained {pretrained!r}"
            if not reachable and _needs_hub(model, source):
                raise ClipError(f"{asked}: {OFFLINE_ADVICE}") from error
            raise ClipError(f"{asked}: {why}") from error
    preprocess = PreprocessCfg(**open_clip.get_model_preprocess_cfg(network))
    size = preprocess.size
    return LoadedClip(
        model=network,
        tokenizer=tokenizer,
        size=(size, size) if isinstance(size, int) else (size[0], size[1]),
        mean=tuple(preprocess.mean),
        std=tuple(preprocess.std),
    )


def _tiny_clip(
    config: ClipConfig,
    pretrained: str,
    labeled: Dataset,
    trained: Path,
    seed: int,
    device: torch.device,
) -> LoadedClip:
    classes = [category.name for category in labeled.categories]
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
    return LoadedClip(tiny.model, tiny_tokenizer(), (PATCH, PATCH), MEAN, STD)


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
    unknown = [name for name in classes if name not in tiny.classes]
    if unknown:
        raise ClipError(
            f"method.clip.pretrained = {pretrained!r} knows {', '.join(tiny.classes)}; the dataset "
            f'has {", ".join(unknown[:5])} too: set it to "labeled", or take a real CLIP'
        )
    if tuple(config.templates) != tiny.templates:
        raise ClipError(
            f"method.clip.templates = {config.templates}: the tiny CLIP of {pretrained!r} was "
            f"trained with {tiny.templates} and understands nothing else"
        )


def _weights_source(model: str, pretrained: str) -> str | None:
    """What open_clip shall load: a file's path, a known tag, or None if the model brings it."""
    if ":" in model:
        return None
    if pretrained in ("shapes", "labeled"):
        raise ClipError(
            f'method.clip.pretrained = {pretrained!r} belongs to model "tiny", not to {model!r}'
        )
    path = Path(pretrained).expanduser()
    if path.is_file():
        return str(path.resolve())
    if path.suffix in WEIGHT_SUFFIXES or len(path.parts) > 1:
        raise ClipError(f"method.clip.pretrained = {pretrained!r}: no such file")
    if model not in open_clip.list_models():
        raise ClipError(
            f"method.clip.model = {model!r}: open_clip knows no such model "
            "(see open_clip.list_models())"
        )
    tags = open_clip.list_pretrained_tags_by_model(model)
    if pretrained not in tags:
        raise ClipError(
            f"method.clip.pretrained = {pretrained!r}: neither a file nor a tag of {model}; "
            f"its tags are {', '.join(tags) or '(none)'}"
        )
    return pretrained


@contextmanager
def _offline_if_unreachable() -> Iterator[bool]:
    """Whether the model hub answers; inside, the hub's client uses its cache alone if not.

    Asked for a missing file without a network, that client tries again for most of a minute.
    """
    before = constants.HF_HUB_OFFLINE
    reachable = not before and _hub_answers()
    constants.HF_HUB_OFFLINE = not reachable
    try:
        yield reachable
    finally:
        constants.HF_HUB_OFFLINE = before


def _hub_answers() -> bool:
    try:
        huggingface_hub.get_session().head(constants.ENDPOINT, timeout=5)
    except Exception:  # the type depends on the HTTP client behind the hub's
        return False
    return True


def _needs_hub(model: str, source: str | None) -> bool:
    return not model.startswith("local-dir:") and not (source and Path(source).is_file())
