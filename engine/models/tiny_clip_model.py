"""A CLIP small enough to ship: open_clip's text tower beside a plain ResNet for 32-pixel patches.

It stands in for a real CLIP where there is no network. It knows only the words it was trained
with, so its file holds the embeddings of those words alone, and other classes are refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import open_clip
import safetensors
import safetensors.torch
import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from torch import Tensor, nn

PATCH = 32
"""Side of the pictures it looks at, pixels."""
MEAN = (0.45, 0.45, 0.45)
STD = (0.25, 0.25, 0.25)
FORMAT = "seglab tiny CLIP 1"

_WIDTHS = (32, 32, 64, 128)
_EMBED = 64
_CONTEXT = 32
_TABLE = "token_embedding.weight"
_ROWS, _IDS = "token_rows", "token_ids"


class TinyClipError(ValueError):
    """A file of weights that cannot be used; the message names it and says why."""


@dataclass(frozen=True)
class TinyClip:
    """The network and the classes it was taught."""

    model: CLIP
    classes: tuple[str, ...]
    templates: tuple[str, ...]


class PlainResNet(nn.Module):
    """(B, 3, 32, 32) -> (B, D). No early max-pooling: the pictures are small enough already."""

    def __init__(self, widths: Sequence[int], embed_dim: int) -> None:
        super().__init__()
        blocks: list[nn.Module] = [
            nn.Conv2d(3, widths[0], 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        ]
        for inside, outside in pairwise(widths):
            blocks.append(ResidualBlock(inside, outside))
        self.blocks = nn.Sequential(*blocks)
        self.project = nn.Linear(widths[-1], embed_dim)

    def forward(self, images: Tensor) -> Tensor:
        return self.project(self.blocks(images).mean(dim=(2, 3)))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut; halves the resolution where it widens."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        stride = 1 if inside == outside else 2
        self.first = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outside)
        self.second = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outside)
        self.shortcut = (
            nn.Identity()
            if inside == outside
            else nn.Sequential(
                nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        residual = self.second_norm(self.second(self.first_norm(self.first(x)).relu()))
        return (self.shortcut(x) + residual).relu()


def build_tiny_clip(seed: int) -> CLIP:
    """The network with random weights; torch's global generator is left as it was."""
    small_vit = CLIPVisionCfg(layers=1, width=32, head_width=32, patch_size=PATCH, image_size=PATCH)
    text = CLIPTextCfg(context_length=_CONTEXT, width=32, heads=2, layers=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CLIP(_EMBED, small_vit, text)
        model.add_module("visual", PlainResNet(_WIDTHS, _EMBED))
    return model


def tiny_tokenizer() -> open_clip.SimpleTokenizer:
    """open_clip's own tokenizer; its vocabulary is part of the package."""
    return open_clip.SimpleTokenizer(context_length=_CONTEXT)


def save_tiny_clip(path: Path, clip: TinyClip, tokens: Tensor) -> None:
    """Write half-precision weights, atomically.

    Args:
        path: a .safetensors file.
        clip: the trained network.
        tokens: all token ids it was trained with, any shape.
    """
    state = dict(clip.model.state_dict())
    ids = tokens.unique().cpu()
    state[_ROWS] = state.pop(_TABLE)[ids.to(state["logit_scale"].device)]
    halved = {
        name: (value.half() if value.is_floating_point() else value).cpu().contiguous()
        for name, value in state.items()
    }
    about = {
        "format": FORMAT,
        "classes": json.dumps(clip.classes),
        "templates": json.dumps(clip.templates),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        safetensors.torch.save_file({**halved, _IDS: ids}, temporary, about)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load_tiny_clip(path: Path) -> TinyClip:
    """Raises TinyClipError when the file is missing, damaged or something else."""
    if not path.is_file():
        raise TinyClipError(f"{path}: no such file of CLIP weights")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise TinyClipError(f"{path}: not a safetensors file: {error}") from None
    if about.get("format") != FORMAT:
        raise TinyClipError(f"{path}: not the weights of a tiny CLIP (expected {FORMAT!r})")
    return TinyClip(
        model=_with_state(state, path),
        classes=tuple(json.loads(about["classes"])),
        templates=tuple(json.loads(about["templates"])),
    )


def _with_state(state: dict[str, Tensor], path: Path) -> CLIP:
    model = build_tiny_clip(seed=0)
    table = torch.zeros_like(model.get_parameter(_TABLE))
    try:
        table[state.pop(_IDS)] = state.pop(_ROWS).float()
        model.load_state_dict({**state, _TABLE: table})
    except (KeyError, RuntimeError, IndexError) as error:
        raise TinyClipError(f"{path}: incomplete weights of a tiny CLIP: {error}") from None
    return model
