"""Train the stand-in CLIP on pictures of labelled objects.

    python -m engine.models.tiny_clip --out engine/weights/tiny_clip.safetensors

makes the shipped weights from generated scenes of a seed of their own, which no run trains or
evaluates on, and writes beside them how well they recognise objects of yet another seed.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from open_clip.model import CLIP
from torch import Tensor
from torch.nn import functional

from engine.models.clip_text import class_features, prompt_tokens
from engine.models.crops import INNER, Crops, scene_crops
from engine.models.patches import cut_patches
from engine.models.tiny_clip_model import (
    MEAN,
    PATCH,
    STD,
    TinyClip,
    build_tiny_clip,
    save_tiny_clip,
    tiny_tokenizer,
)
from lab.config import ShapesConfig
from lab.datasets.shapes import GENERATOR_VERSION
from lab.datasets.shapes_classes import family_classes

TEMPLATES = ("a photo of a {class}.",)
TRAIN_SEED = 900_001
HELD_OUT_SEED = 900_002
MAX_SCALE = math.log(100)
WARMUP_STEPS = 30
FLAT_UNTIL = 0.6
"""Share of the training after which no background is flattened any more."""

Progress = Callable[[int, float], None]
"""Called with (steps done, loss)."""


@dataclass(frozen=True)
class Recipe:
    """How long and how hard. The defaults are for a few hundred labelled objects."""

    steps: int
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    mirror_diagonally: bool = False
    """Also swap x and y: for things that have no upright position."""


def train_tiny_clip(
    crops: Crops,
    classes: Sequence[str],
    recipe: Recipe,
    seed: int,
    *,
    templates: Sequence[str] = TEMPLATES,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> TinyClip:
    """Contrast pictures with the prompts of all classes, both ways. Same seed, same network.

    Rare classes are drawn more often than they occur. Early on many pictures get a flat
    background, which shows what an outline is; towards the end none does. Torch's global
    generators are left as they were.
    """
    if len(crops) == 0:
        raise ValueError("no pictures to train a CLIP with")
    model = build_tiny_clip(seed).to(device).train()
    tokens = prompt_tokens(tiny_tokenizer(), classes, templates).to(device)
    crops = crops.to(device)
    optimizer = _optimizer(model, recipe)
    chances = torch.bincount(crops.labels).float().rsqrt()[crops.labels]
    devices = [torch.device(device)] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        for step in range(recipe.steps):
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * _ramp(step, recipe.steps)
            drawn = crops[torch.multinomial(chances, recipe.batch, replacement=True)]
            pictures = perturb(drawn, _flat_chance(step, recipe.steps), recipe.mirror_diagonally)
            features = model.encode_image(_normalized(pictures), normalize=True)
            logits = model.logit_scale.exp() * features @ class_features(model, tokens).T
            loss = contrastive_loss(logits, drawn.labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                model.logit_scale.clamp_(max=MAX_SCALE)
            if progress is not None:
                progress(step + 1, loss.item())
    return TinyClip(model.eval(), tuple(classes), tuple(templates))


def contrastive_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Each picture to its class, and each class to all of its pictures; the mean of both.

    Classes without a picture in the batch have nothing to find and are left out.

    Args:
        logits: (B, K) scaled similarity of every picture to every class.
        labels: (B,) int64.

    Returns:
        () loss.
    """
    to_class = functional.cross_entropy(logits, labels)
    positive = functional.one_hot(labels, logits.shape[1]).T.float()
    counts = positive.sum(dim=1)
    spread = -(logits.T.log_softmax(dim=1) * positive).sum(dim=1) / counts.clamp(min=1)
    to_picture = spread.sum() / (counts > 0).sum()
    return (to_class + to_picture) / 2


def perturb(crops: Crops, flat_chance: float, mirror_diagonally: bool) -> Tensor:
    """Jittered, recoloured 32-pixel pictures of the objects. -> (N, 3, 32, 32) about [0, 1]."""
    count, device = len(crops), crops.labels.device
    side = INNER[2] - INNER[0]
    centers = (INNER[0] + INNER[2]) / 2 + side * _uniform(count, 2, device, -0.08, 0.08)
    half = side / 2 * _uniform(count, 2, device, 0.88, 1.16)
    boxes = torch.cat([centers - half, centers + half], dim=1)
    layers = torch.cat([crops.regions.float() / 255, crops.masks[:, None].float()], dim=1)
    cut = cut_patches(layers, list(boxes[:, None]), PATCH)
    pictures = _flatten_backgrounds(cut[:, :3], cut[:, 3:], flat_chance)
    pictures = _mirrored(pictures, mirror_diagonally)
    gray = pictures.mean(dim=(1, 2, 3), keepdim=True)
    contrast = _uniform(count, 1, device, 0.6, 1.4)[..., None, None]
    tint = _uniform(count, 3, device, 0.7, 1.3)[..., None, None]
    return (pictures - gray) * contrast + gray * tint + 0.02 * torch.randn_like(pictures)


@torch.no_grad()
def recognise(clip: TinyClip, crops: Crops) -> Tensor:
    """The class of each object by its tight patch. -> (N,) int64 index of clip.classes."""
    tokens = prompt_tokens(tiny_tokenizer(), clip.classes, clip.templates)
    texts = class_features(clip.model, tokens)
    answers = [torch.zeros(0, dtype=torch.int64)]
    for start in range(0, len(crops), 256):
        part = crops[slice(start, start + 256)]
        inner = list(torch.tensor(INNER).repeat(len(part), 1, 1))
        pictures = cut_patches(part.regions.float() / 255, inner, PATCH)
        features = clip.model.encode_image(_normalized(pictures), normalize=True)
        answers.append((features @ texts.T).argmax(dim=1))
    return torch.cat(answers)


def recall_per_class(answers: Tensor, labels: Tensor, classes: Sequence[str]) -> dict[str, float]:
    """Share of each class's objects that were recognised; classes without objects left out."""
    return {
        name: (answers[labels == index] == index).float().mean().item()
        for index, name in enumerate(classes)
        if (labels == index).any()
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the shipped weights and the .json that says how."""
    options = _parse(arguments)
    classes = [shape.name for shape in family_classes("main")]
    size, unseen = options.image_size, options.held_out
    crops = scene_crops(ShapesConfig(seed=TRAIN_SEED, image_size=size), "train", 0, options.scenes)
    held_out = scene_crops(ShapesConfig(seed=HELD_OUT_SEED, image_size=size), "val", 0, unseen)
    recipe = Recipe(options.steps, mirror_diagonally=True)
    started = time.process_time()
    clip = train_tiny_clip(crops, classes, recipe, options.seed, progress=_report)
    seconds = time.process_time() - started
    answers = recognise(clip, held_out)
    recalls = recall_per_class(answers, held_out.labels, classes)
    about = {
        "command": "python -m engine.models.tiny_clip "
        + " ".join(sys.argv[1:] if arguments is None else arguments),
        "generator_version": GENERATOR_VERSION,
        "train": {"seed": TRAIN_SEED, "scenes": options.scenes, "objects": len(crops)},
        "held_out": {"seed": HELD_OUT_SEED, "scenes": unseen, "objects": len(held_out)},
        "recipe": {**vars(recipe), "seed": options.seed},
        "cpu_seconds": round(seconds, 1),
        "accuracy": round((answers == held_out.labels).float().mean().item(), 4),
        "mean_recall": round(sum(recalls.values()) / len(recalls), 4),
        "recall": {name: round(recall, 4) for name, recall in recalls.items()},
    }
    save_tiny_clip(options.out, clip, prompt_tokens(tiny_tokenizer(), classes, TEMPLATES))
    described = json.dumps(about, indent=2)
    options.out.with_suffix(".json").write_text(described + "\n", encoding="utf-8")
    print(described)  # noqa: T201


def _optimizer(model: CLIP, recipe: Recipe) -> torch.optim.AdamW:
    decayed = [p for p in model.visual.parameters() if p.ndim > 1]
    chosen = {id(p) for p in decayed}
    plain = [p for p in model.parameters() if id(p) not in chosen]
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)


def _ramp(step: int, steps: int) -> float:
    """A short linear rise, then half a cosine down to 0."""
    return min(1.0, (step + 1) / WARMUP_STEPS) * 0.5 * (1 + math.cos(math.pi * step / steps))


def _flat_chance(step: int, steps: int) -> float:
    return max(0.0, 1 - step / (FLAT_UNTIL * steps))


def _flatten_backgrounds(pictures: Tensor, inside: Tensor, chance: float) -> Tensor:
    count = len(pictures)
    chosen = torch.rand(count, 1, 1, 1, device=pictures.device) < chance
    color = torch.rand(count, 3, 1, 1, device=pictures.device)
    return torch.where(chosen, inside * pictures + (1 - inside) * color, pictures)


def _mirrored(pictures: Tensor, diagonally: bool) -> Tensor:
    """Half of the batch left to right; on request half of it along the diagonal."""
    flip = torch.rand(len(pictures), 1, 1, 1, device=pictures.device) < 0.5
    pictures = torch.where(flip, pictures.flip(3), pictures)
    if not diagonally:
        return pictures
    swap = torch.rand(len(pictures), 1, 1, 1, device=pictures.device) < 0.5
    return torch.where(swap, pictures.transpose(2, 3), pictures)


def _normalized(pictures: Tensor) -> Tensor:
    mean = pictures.new_tensor(MEAN)[:, None, None]
    std = pictures.new_tensor(STD)[:, None, None]
    return ((pictures - mean) / std).contiguous(memory_format=torch.channels_last)


def _uniform(count: int, width: int, device: torch.device, low: float, high: float) -> Tensor:
    return torch.empty(count, width, device=device).uniform_(low, high)


def _report(step: int, loss: float) -> None:
    if step % 100 == 0:
        print(f"step {step}: loss {loss:.3f}", file=sys.stderr, flush=True)  # noqa: T201


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m engine.models.tiny_clip", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    parser.add_argument("--scenes", type=int, default=6_600, help="generated scenes to learn from")
    parser.add_argument("--held-out", type=int, default=500, help="scenes to be judged by")
    parser.add_argument("--steps", type=int, default=4_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--image-size", type=int, default=128, help="side of the scenes, pixels")
    options = parser.parse_args(arguments)
    if options.out.suffix != ".safetensors":
        parser.error(f"--out {options.out}: expected a .safetensors file")
    return options


if __name__ == "__main__":
    main()
