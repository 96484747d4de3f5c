"""Other programs' Mask2Former weights under our names; neither program is needed.

Detectron2's names (the authors' checkpoints) and the transformers library's are translated by
the tables below. What is missing, unexpected or of another shape is said.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from engine.checkpoint import CheckpointError, load_weights
from engine.models.backbones import load_into, weights_path
from engine.models.pickled_arrays import load_arrays

log = logging.getLogger("seglab")

Rules = tuple[tuple[str, str], ...]

HEAD = "sem_seg_head.predictor."
DETECTRON2: Rules = (
    (r"^backbone\.stem\.conv1\.norm\.", "backbone.body.bn1."),
    (r"^backbone\.stem\.", "backbone.body."),
    (r"^backbone\.res(\d)\.(\d+)\.shortcut\.norm\.", r"backbone.body.res\1.\2.downsample.1."),
    (r"^backbone\.res(\d)\.(\d+)\.shortcut\.", r"backbone.body.res\1.\2.downsample.0."),
    (r"^backbone\.res(\d)\.(\d+)\.conv(\d)\.norm\.", r"backbone.body.res\1.\2.bn\3."),
    (r"^backbone\.res", "backbone.body.res"),
    *((rf"^backbone\.body\.res{n + 1}\.", f"backbone.body.layer{n}.") for n in (1, 2, 3, 4)),
    (
        r"^backbone\.patch_embed\.proj\.",
        "backbone.body.swin.embeddings.patch_embeddings.projection.",
    ),
    (r"^backbone\.patch_embed\.norm\.", "backbone.body.swin.embeddings.norm."),
    *(
        (rf"^backbone\.norm{n}\.", f"backbone.body.hidden_states_norms.stage{n + 1}.")
        for n in range(4)
    ),
    (r"^backbone\.layers\.", "backbone.body.swin.encoder.layers."),
    (r"^(backbone\.body\.swin.*\.blocks\.\d+)\.norm1\.", r"\1.layernorm_before."),
    (r"^(backbone\.body\.swin.*\.blocks\.\d+)\.norm2\.", r"\1.layernorm_after."),
    (r"^(backbone\.body\.swin.*)\.attn\.proj\.", r"\1.attention.o_proj."),
    (r"^(backbone\.body\.swin.*)\.attn\.relative", r"\1.attention.relative_position_bias.relative"),
    (r"^(backbone\.body\.swin.*)\.attn\.qkv\.", r"\1.attention.{qkv}_proj."),
    (r"^sem_seg_head\.pixel_decoder\.input_proj\.", "pixel_decoder.input_projections."),
    (r"^sem_seg_head\.pixel_decoder\.mask_features\.", "pixel_decoder.mask_projection."),
    (r"^sem_seg_head\.pixel_decoder\.(adapter|layer)_(\d+)\.norm\.", r"pixel_decoder.\1_\2.1."),
    (r"^sem_seg_head\.pixel_decoder\.(adapter|layer)_(\d+)\.", r"pixel_decoder.\1_\2.0."),
    (r"^sem_seg_head\.pixel_decoder\.transformer\.", "pixel_decoder."),
    (r"^(pixel_decoder\.encoder\.layers\.\d+)\.norm1\.", r"\1.self_attn_layer_norm."),
    (r"^(pixel_decoder\.encoder\.layers\.\d+)\.norm2\.", r"\1.final_layer_norm."),
    (r"^(pixel_decoder\.encoder\.layers\.\d+)\.linear", r"\1.fc"),
    (
        rf"^{HEAD}transformer_self_attention_layers\.(\d+)\.norm\.",
        r"transformer.decoder.layers.\1.self_attn_layer_norm.",
    ),
    (
        rf"^{HEAD}transformer_self_attention_layers\.(\d+)\.self_attn\.in_proj_",
        r"transformer.decoder.layers.\1.self_attn.{qkv}_proj.",
    ),
    (rf"^{HEAD}transformer_self_attention_layers\.", "transformer.decoder.layers."),
    (
        rf"^{HEAD}transformer_cross_attention_layers\.(\d+)\.norm\.",
        r"transformer.decoder.layers.\1.cross_attn_layer_norm.",
    ),
    (
        rf"^{HEAD}transformer_cross_attention_layers\.(\d+)\.multihead_attn\.",
        r"transformer.decoder.layers.\1.cross_attn.",
    ),
    (
        rf"^{HEAD}transformer_ffn_layers\.(\d+)\.norm\.",
        r"transformer.decoder.layers.\1.final_layer_norm.",
    ),
    (rf"^{HEAD}transformer_ffn_layers\.(\d+)\.linear", r"transformer.decoder.layers.\1.fc"),
    (rf"^{HEAD}decoder_norm\.", "transformer.decoder.layernorm."),
    (rf"^{HEAD}(query_feat|static_query)\.", "transformer.queries_features."),
    (rf"^{HEAD}query_embed\.", "transformer.queries_embedder."),
    (rf"^{HEAD}level_embed\.", "transformer.level_embed."),
    (rf"^{HEAD}class_embed\.", "class_head."),
    (
        rf"^{HEAD}mask_embed\.layers\.(\d)\.",
        r"transformer.decoder.mask_predictor.mask_embedder.\1.0.",
    ),
)
"""Pattern -> replacement, applied in this order. "{qkv}" stands for three tensors in one."""

RESNET = r"^model\.pixel_level_module\.encoder\."
TRANSFORMERS: Rules = (
    (RESNET + r"embedder\.embedder\.convolution\.", "backbone.body.conv1."),
    (RESNET + r"embedder\.embedder\.normalization\.", "backbone.body.bn1."),
    (RESNET + r"encoder\.stages\.(\d)\.layers\.", r"backbone.body.stage\1."),
    *((rf"^backbone\.body\.stage{n}\.", f"backbone.body.layer{n + 1}.") for n in range(4)),
    (r"^(backbone\.body\.layer.*)\.shortcut\.convolution\.", r"\1.downsample.0."),
    (r"^(backbone\.body\.layer.*)\.shortcut\.normalization\.", r"\1.downsample.1."),
    *(
        (rf"^(backbone\.body\.layer.*)\.layer\.{n}\.convolution\.", rf"\1.conv{n + 1}.")
        for n in range(3)
    ),
    *(
        (rf"^(backbone\.body\.layer.*)\.layer\.{n}\.normalization\.", rf"\1.bn{n + 1}.")
        for n in range(3)
    ),
    (RESNET, "backbone.body."),
    (r"^model\.pixel_level_module\.decoder\.", "pixel_decoder."),
    (r"^model\.transformer_module\.", "transformer."),
    (r"^class_predictor\.", "class_head."),
)

NOT_WEIGHTS = re.compile(
    r"^criterion\.|relative_position_index$|num_batches_tracked$|swin\.layernorm\.|attn_mask$"
)
"""Buffers that follow from the configuration, and counters."""


@dataclass(frozen=True)
class Fit:
    """How a state dict compares with a network's."""

    missing: list[str]
    """Wanted, and not there."""
    unexpected: list[str]
    reshaped: list[str]
    """There, of another shape."""


def load_network(network: nn.Module, source: str) -> Fit:
    """Load a whole trained network from a Detectron2 file or a transformers directory.

    A class head for another number of classes is left as it is, and said so in the log.

    Raises:
        CheckpointError: naming the file and what is missing or of another shape.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        state = renamed(_transformers_state(path), TRANSFORMERS)
    else:
        state = renamed(_file_state(path), DETECTRON2)
    fit = compare(network.state_dict(), state)
    wrong = [n for n in (*fit.missing, *fit.reshaped) if not n.startswith("class_head.")]
    if wrong:
        raise CheckpointError(
            f"{path}: does not fit this network (host.preset, host.num_queries, "
            f"host.decoder_layers): missing {fit.missing[:3]}, another shape {fit.reshaped[:3]}, "
            f"unexpected {fit.unexpected[:3]} "
            f"({len(fit.missing)}, {len(fit.reshaped)} and {len(fit.unexpected)} tensors)"
        )
    if fit.unexpected:
        log.warning("%s: %d unexpected tensors: %s", path, len(fit.unexpected), fit.unexpected[:5])
    if fit.missing or fit.reshaped:
        log.warning("%s: its class head is for other classes; ours starts at random", path)
    left_out = {*fit.unexpected, *fit.reshaped}
    network.load_state_dict({k: v for k, v in state.items() if k not in left_out}, strict=False)
    return fit


def load_backbone(body: nn.Module, name: str) -> None:
    """Load a backbone alone: "shapes", or a local file of a classifier or a detector.

    Torchvision's names, Detectron2's, the authors' Swin and our own are understood.

    Raises:
        CheckpointError: naming the file and what is missing or has another shape.
    """
    path = weights_path(name)
    state = _file_state(path)
    if any(key.startswith("body.") for key in state):
        state = {k.removeprefix("body."): v for k, v in state.items() if k.startswith("body.")}
    elif any(key.startswith(("stem.", "patch_embed.")) for key in state):
        state = renamed({f"backbone.{key}": value for key, value in state.items()}, DETECTRON2)
        state = {key.removeprefix("backbone.body."): value for key, value in state.items()}
    # A classifier has no norms between its stages.
    norms = {k: v for k, v in body.state_dict().items() if k.startswith("hidden_states_norms.")}
    load_into(body, norms | state, path)


def renamed(state: Mapping[str, Tensor], rules: Rules) -> dict[str, Tensor]:
    """A state dict under our names; what no rule knows keeps its name."""
    ours: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if not NOT_WEIGHTS.search(name):
            ours.update(_pieces(_rename(name, rules), tensor))
    return ours


def compare(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> Fit:
    """What keeps `given` from being loaded as `wanted`; counters do not matter."""
    names = [name for name in wanted if not NOT_WEIGHTS.search(name)]
    return Fit(
        missing=[name for name in names if name not in given],
        unexpected=[name for name in given if name not in wanted],
        reshaped=[n for n in names if n in given and given[n].shape != wanted[n].shape],
    )


def _rename(name: str, rules: Rules) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def _pieces(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Query, key and value of an attention layer where they are stored as one."""
    if "{qkv}" not in name:
        yield name, tensor
        return
    for letter, piece in zip("qkv", tensor.chunk(3), strict=True):
        yield name.replace("{qkv}", letter), piece


def _file_state(path: Path) -> dict[str, Tensor]:
    return load_arrays(path) if path.suffix == ".pkl" else load_weights(path)


def _transformers_state(path: Path) -> dict[str, Tensor]:
    """Every tensor of a directory that transformers' save_pretrained wrote."""
    from transformers import Mask2FormerForUniversalSegmentation

    try:
        network = Mask2FormerForUniversalSegmentation.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path}: no Mask2Former of transformers: {error}") from error
    return network.state_dict()
