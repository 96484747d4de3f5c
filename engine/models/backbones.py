"""Residual backbones: torchvision's, and a narrow one for small images."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from torchvision.ops import FrozenBatchNorm2d

from engine.checkpoint import CheckpointError, load_weights
from engine.models.deformable import DeformableConvolution, deform
from engine.weights import SHAPES_BACKBONE

STEM = ("conv1", "bn1", "relu", "maxpool")
STAGES = ("layer1", "layer2", "layer3", "layer4")


class Backbone(nn.Module):
    """A ResNet that returns its four stages as {"c2": stride 4, ..., "c5": stride 32}."""

    def __init__(self, body: nn.Module, channels: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.body = body
        self.channels = channels

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        x = images
        for name in STEM:
            x = self.body.get_submodule(name)(x)
        features: OrderedDict[str, Tensor] = OrderedDict()
        for level, stage in enumerate(STAGES, start=2):
            x = self.body.get_submodule(stage)(x)
            features[f"c{level}"] = x
        return features


class NarrowResNet18(nn.Module):
    """ResNet-18 with `width` channels in its first stage; torchvision's layer names."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        for index, stage in enumerate(STAGES):
            inside, outside = width * 2 ** max(0, index - 1), width * 2**index
            setattr(self, stage, _two_blocks(inside, outside, stride=1 if index == 0 else 2))


def build_backbone(preset: str, width: int, freeze_stages: int, *, pretrained: bool) -> Backbone:
    """The backbone of a preset with random weights, its first stages frozen.

    R50 and R101 use frozen batch norm when weights will be loaded (as the papers do), else
    trainable batch norm: frozen statistics of a random network would destroy its scale.
    """
    if preset == "tiny":
        body: nn.Module = NarrowResNet18(width)
        channels = (width, 2 * width, 4 * width, 8 * width)
    else:
        blocks = [3, 4, 6, 3] if preset == "r50" else [3, 4, 23, 3]
        norm = FrozenBatchNorm2d if pretrained else nn.BatchNorm2d
        body = ResNet(Bottleneck, blocks, norm_layer=norm)
        del body.fc, body.avgpool
        if preset == "r101_dcn":
            deform(body, STAGES[1:], interval=3)
        channels = (256, 512, 1024, 2048)
    backbone = Backbone(body, channels)
    _freeze(body, freeze_stages)
    return backbone


def weights_path(name: str) -> Path:
    """ "shapes" = the shipped weights; anything else is a local file."""
    return SHAPES_BACKBONE if name == "shapes" else Path(name).expanduser()


def load_pretrained(body: nn.Module, pyramid: nn.Module, path: Path) -> None:
    """Load a backbone, and the pyramid above it when the file has one.

    A file of ours holds "body." and "pyramid." tensors; any other is taken as a classifier's
    state dict in torchvision's names, whose other tensors are left out.

    Raises:
        CheckpointError: naming the file and what is missing or has another shape.
    """
    state = load_weights(path)
    if any(name.startswith("body.") for name in state):
        load_into(body, _below(state, "body."), path)
        load_into(pyramid, _below(state, "pyramid."), path)
    else:
        load_into(body, offsets_of(body) | state, path)


def pretrained_state(body: nn.Module, pyramid: nn.Module) -> dict[str, Tensor]:
    """What `load_pretrained` reads, in half precision."""
    parts = {"body.": body, "pyramid.": pyramid}
    return {
        prefix + name: tensor.half().contiguous() if tensor.is_floating_point() else tensor
        for prefix, part in parts.items()
        for name, tensor in part.state_dict().items()
    }


def offsets_of(body: nn.Module) -> dict[str, Tensor]:
    """What deformable convolutions have and a classifier's file lacks; they start without."""
    return {
        f"{name}.offsets.{key}": tensor
        for name, module in body.named_modules()
        if isinstance(module, DeformableConvolution)
        for key, tensor in module.offsets.state_dict().items()
    }


def _below(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def load_into(module: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    """Load all of a module, counters apart; other tensors of `state` are left out.

    Raises:
        CheckpointError: naming the file and what is missing or has another shape.
    """
    wanted = module.state_dict()
    missing = [k for k in wanted if k not in state and not k.endswith("num_batches_tracked")]
    wrong = [k for k in wanted if k in state and state[k].shape != wanted[k].shape]
    if missing or wrong:
        raise CheckpointError(
            f"{path}: does not fit this backbone (host.preset, host.width): missing {missing[:3]}, "
            f"another shape {wrong[:3]} ({len(missing)} and {len(wrong)} of {len(wanted)} tensors)"
        )
    module.load_state_dict(
        {
            k: state[k].float() if state[k].is_floating_point() else state[k]
            for k in wanted
            if k in state
        },
        strict=False,
    )


def _freeze(body: nn.Module, stages: int) -> None:
    """Stop gradients of the stem (stages >= 1) and of layer1.. (stages >= 2); 5 = everything."""
    names = ["conv1", "bn1"] if stages >= 1 else []
    for name in [*names, *STAGES[: max(0, stages - 1)]]:
        body.get_submodule(name).requires_grad_(False)


def _two_blocks(inside: int, outside: int, stride: int) -> nn.Sequential:
    shortcut = None
    if stride != 1 or inside != outside:
        shortcut = nn.Sequential(
            nn.Conv2d(inside, outside, 1, stride=stride, bias=False), nn.BatchNorm2d(outside)
        )
    # torchvision's block wants groups=1, base_width=64: its check, not a width.
    first = BasicBlock(inside, outside, stride, shortcut)
    return nn.Sequential(first, BasicBlock(outside, outside))
