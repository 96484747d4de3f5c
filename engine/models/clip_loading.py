"""Any open_clip model with trained weights: from a tag, a file or a directory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import open_clip
import torch
from huggingface_hub import constants
from open_clip.transform import PreprocessCfg
from torch import nn

from engine.models.clip_text import Tokenizer
from engine.models.hub import offline_if_unreachable
from lab.config import ConfigError

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
    with offline_if_unreachable() as reachable:
        try:
            network = open_clip.create_model(
                model,
                pretrained=source,
                require_pretrained=True,
                force_quick_gelu=_wants_quick_gelu(model, source),
            )
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


def _wants_quick_gelu(model: str, source: str | None) -> bool:
    """Whether a tag's weights were trained with QuickGELU, as OpenAI's were.

    open_clip would only warn that the architecture of that name has another activation. Of a
    file it cannot know: there the name has to say it, such as RN50-quickgelu.
    """
    known = open_clip.get_pretrained_cfg(model, source) if source else None
    return bool(known and known.get("quick_gelu"))


def _needs_hub(model: str, source: str | None) -> bool:
    return not model.startswith("local-dir:") and not (source and Path(source).is_file())
