"""The authors' checkpoints under our names, and files that must not be trusted."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.models import resnet50

from engine.checkpoint import CheckpointError
from engine.models.mask2former import Mask2Former
from engine.models.mask2former_checkpoints import (
    DETECTRON2,
    compare,
    load_backbone,
    load_network,
    renamed,
)
from engine.models.pickled_arrays import load_arrays
from lab.config import Mask2FormerConfig

Shapes = dict[str, tuple[int, ...]]
TINY = {"name": "mask2former", "preset": "tiny", "width": 8, "num_queries": 5, "num_points": 16}


def tiny(classes: int = 3, **changes: object) -> Mask2Former:
    return Mask2Former(Mask2FormerConfig.model_validate(TINY | changes), classes)


def layer(name: str, *shape: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """A layer with a bias as long as its output."""
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[:1]


def convolution(name: str, outside: int, inside: int, kernel: int) -> Shapes:
    """A convolution of the authors' backbone with its frozen norm."""
    norm = ("weight", "bias", "running_mean", "running_var")
    return {
        f"{name}.weight": (outside, inside, kernel, kernel),
        **{f"{name}.norm.{what}": (outside,) for what in norm},
    }


def official_resnet(depths: tuple[int, ...]) -> Shapes:
    shapes = convolution("backbone.stem.conv1", 64, 3, 7)
    inside = 64
    for stage, depth in enumerate(depths):
        outside, middle = 256 * 2**stage, 64 * 2**stage
        for block in range(depth):
            name = f"backbone.res{stage + 2}.{block}"
            if block == 0:
                shapes |= convolution(f"{name}.shortcut", outside, inside, 1)
            shapes |= convolution(f"{name}.conv1", middle, inside, 1)
            shapes |= convolution(f"{name}.conv2", middle, middle, 3)
            shapes |= convolution(f"{name}.conv3", outside, middle, 1)
            inside = outside
    return shapes


def official_swin(
    width: int, depths: tuple[int, ...], heads: tuple[int, ...], window: int
) -> Shapes:
    shapes = {
        **dict(layer("backbone.patch_embed.proj", width, 3, 4, 4)),
        **dict(layer("backbone.patch_embed.norm", width)),
    }
    for stage, depth in enumerate(depths):
        size = width * 2**stage
        shapes |= dict(layer(f"backbone.norm{stage}", size))
        for block in range(depth):
            name = f"backbone.layers.{stage}.blocks.{block}"
            table = ((2 * window - 1) ** 2, heads[stage])
            shapes[f"{name}.attn.relative_position_bias_table"] = table
            shapes[f"{name}.attn.relative_position_index"] = (window**2, window**2)
            shapes |= dict(layer(f"{name}.attn.qkv", 3 * size, size))
            shapes |= dict(layer(f"{name}.attn.proj", size, size))
            shapes |= dict(layer(f"{name}.mlp.fc1", 4 * size, size))
            shapes |= dict(layer(f"{name}.mlp.fc2", size, 4 * size))
            shapes |= dict(layer(f"{name}.norm1", size)) | dict(layer(f"{name}.norm2", size))
        if stage < 3:
            shapes[f"backbone.layers.{stage}.downsample.reduction.weight"] = (2 * size, 4 * size)
            shapes |= dict(layer(f"backbone.layers.{stage}.downsample.norm", 4 * size))
    return shapes


def official_pixel_decoder(channels: tuple[int, ...]) -> Shapes:
    """Levels from coarse to fine: res5, res4, res3; res2 joins at the end."""
    root = "sem_seg_head.pixel_decoder"
    shapes: Shapes = {f"{root}.transformer.level_embed": (3, 256)}
    for level, inside in enumerate(reversed(channels[1:])):
        shapes |= dict(layer(f"{root}.input_proj.{level}.0", 256, inside, 1, 1))
        shapes |= dict(layer(f"{root}.input_proj.{level}.1", 256))
    for index in range(6):
        name = f"{root}.transformer.encoder.layers.{index}"
        shapes |= dict(layer(f"{name}.self_attn.sampling_offsets", 8 * 3 * 4 * 2, 256))
        shapes |= dict(layer(f"{name}.self_attn.attention_weights", 8 * 3 * 4, 256))
        shapes |= dict(layer(f"{name}.self_attn.value_proj", 256, 256))
        shapes |= dict(layer(f"{name}.self_attn.output_proj", 256, 256))
        shapes |= dict(layer(f"{name}.linear1", 1024, 256))
        shapes |= dict(layer(f"{name}.linear2", 256, 1024))
        shapes |= dict(layer(f"{name}.norm1", 256)) | dict(layer(f"{name}.norm2", 256))
    shapes |= dict(layer(f"{root}.mask_features", 256, 256, 1, 1))
    shapes[f"{root}.adapter_1.weight"] = (256, channels[0], 1, 1)
    shapes[f"{root}.layer_1.weight"] = (256, 256, 3, 3)
    return (
        shapes
        | dict(layer(f"{root}.adapter_1.norm", 256))
        | dict(layer(f"{root}.layer_1.norm", 256))
    )


def official_predictor(classes: int, queries: int = 100, layers: int = 9) -> Shapes:
    root = "sem_seg_head.predictor"
    shapes: Shapes = {
        f"{root}.query_feat.weight": (queries, 256),
        f"{root}.query_embed.weight": (queries, 256),
        f"{root}.level_embed.weight": (3, 256),
    }
    for index in range(layers):
        for kind, attention in (("self", "self_attn"), ("cross", "multihead_attn")):
            name = f"{root}.transformer_{kind}_attention_layers.{index}"
            shapes[f"{name}.{attention}.in_proj_weight"] = (768, 256)
            shapes[f"{name}.{attention}.in_proj_bias"] = (768,)
            shapes |= dict(layer(f"{name}.{attention}.out_proj", 256, 256))
            shapes |= dict(layer(f"{name}.norm", 256))
        name = f"{root}.transformer_ffn_layers.{index}"
        shapes |= dict(layer(f"{name}.linear1", 2048, 256))
        shapes |= dict(layer(f"{name}.linear2", 256, 2048))
        shapes |= dict(layer(f"{name}.norm", 256))
    shapes |= dict(layer(f"{root}.decoder_norm", 256))
    shapes |= dict(layer(f"{root}.class_embed", classes + 1, 256))
    for index in range(3):
        shapes |= dict(layer(f"{root}.mask_embed.layers.{index}", 256, 256))
    return shapes | {"criterion.empty_weight": (classes + 1,)}


def official(backbone: Shapes, channels: tuple[int, ...], queries: int = 100) -> dict[str, Tensor]:
    shapes = backbone | official_pixel_decoder(channels) | official_predictor(80, queries)
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


RESNET = (256, 512, 1024, 2048)


@pytest.mark.parametrize(
    ("preset", "state"),
    [
        ("r50", official(official_resnet((3, 4, 6, 3)), RESNET)),
        ("r101", official(official_resnet((3, 4, 23, 3)), RESNET)),
        (
            "swin_t",
            official(official_swin(96, (2, 2, 6, 2), (3, 6, 12, 24), 7), (96, 192, 384, 768)),
        ),
        (
            "swin_l",
            official(
                official_swin(192, (2, 2, 18, 2), (6, 12, 24, 48), 12), (192, 384, 768, 1536), 200
            ),
        ),
    ],
    ids=["r50", "r101", "swin_t", "swin_l"],
)
def test_a_checkpoint_of_the_official_shape_fits_with_nothing_left_over(preset: str, state):
    with torch.device("meta"):
        # A pretrained ResNet has frozen norms; where from does not matter here.
        host = Mask2FormerConfig(name="mask2former", preset=preset)  # pyright: ignore
        network = Mask2Former(host, 80)

    fit = compare(network.state_dict(), renamed(state, DETECTRON2))

    assert fit.missing == [] and fit.unexpected == [] and fit.reshaped == []


def test_the_r50_preset_has_the_official_number_of_parameters():
    with torch.device("meta"):
        network = Mask2Former(Mask2FormerConfig(name="mask2former", preset="r50"), 80)

    assert sum(p.numel() for p in network.parameters()) == 44_023_377


def _tiny_official(network: Mask2Former) -> dict[str, Tensor]:
    """Only what the tables treat specially: attention stored as one, and both level embeddings."""
    state, root = network.state_dict(), "sem_seg_head.predictor"
    attention = "transformer.decoder.layers.0.self_attn"
    joined = {
        f"{root}.transformer_self_attention_layers.0.self_attn.in_proj_{what}": torch.cat(
            [state[f"{attention}.{letter}_proj.{what}"] for letter in "qkv"]
        )
        for what in ("weight", "bias")
    }
    return joined | {
        f"{root}.level_embed.weight": state["transformer.level_embed.weight"],
        "sem_seg_head.pixel_decoder.transformer.level_embed": state["pixel_decoder.level_embed"],
        f"{root}.static_query.weight": state["transformer.queries_features.weight"],
    }


def test_query_key_and_value_are_taken_apart_in_this_order():
    network = tiny()
    state = network.state_dict()

    ours = renamed(_tiny_official(network), DETECTRON2)

    assert len(ours) == 9
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, state[name])


def saved(network: Mask2Former, path: Path) -> Path:
    """A file in Detectron2's form under our own names, which no rule touches."""
    arrays = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    path.write_bytes(pickle.dumps({"model": arrays, "__author__": "someone"}))
    return path


def test_a_pickled_network_is_read_back(tmp_path: Path):
    torch.manual_seed(1)
    source = tiny()
    torch.manual_seed(2)

    copy = tiny(weights=str(saved(source, tmp_path / "model.pkl")))

    for name, tensor in source.state_dict().items():
        torch.testing.assert_close(copy.state_dict()[name], tensor)


def test_a_torch_file_is_read_like_a_pickle(tmp_path: Path):
    source = tiny()
    torch.save({"model": source.state_dict(), "iteration": 7}, tmp_path / "model.pth")

    fit = load_network(tiny(), str(tmp_path / "model.pth"))

    assert not fit.missing and not fit.unexpected and not fit.reshaped


def test_a_head_for_other_classes_is_left_alone_and_said_so(tmp_path: Path, caplog):
    path = saved(tiny(classes=7), tmp_path / "model.pkl")
    network = tiny(classes=3)
    before = network.class_head.weight.clone()

    with caplog.at_level(logging.WARNING, logger="seglab"):
        fit = load_network(network, str(path))

    assert fit.reshaped == ["class_head.weight", "class_head.bias"]
    assert "its class head is for other classes" in caplog.text
    torch.testing.assert_close(network.class_head.weight, before)


def test_unexpected_tensors_are_said_and_left_out(tmp_path: Path, caplog):
    source = tiny()
    torch.save({**source.state_dict(), "extra.weight": torch.zeros(1)}, tmp_path / "model.pth")

    with caplog.at_level(logging.WARNING, logger="seglab"):
        fit = load_network(tiny(), str(tmp_path / "model.pth"))

    assert fit.unexpected == ["extra.weight"] and "extra.weight" in caplog.text


def test_another_networks_file_is_refused_with_what_is_wrong(tmp_path: Path):
    path = saved(tiny(num_queries=9), tmp_path / "nine queries.pkl")

    with pytest.raises(CheckpointError, match=r"nine queries\.pkl.*queries_embedder"):
        tiny(weights=str(path))
    with pytest.raises(CheckpointError, match=r"nowhere\.pkl: no such file"):
        tiny(weights=str(tmp_path / "nowhere.pkl"))


class Malice:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("this must never be printed",)


def test_a_pickle_that_wants_to_run_something_is_refused(tmp_path: Path, capsys):
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps({"model": {"weight": Malice()}}))

    with pytest.raises(CheckpointError, match=r"model\.pkl: refused.*builtins\.print"):
        load_arrays(path)
    assert "never" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "content", [b"", b"no pickle", pickle.dumps([1]), pickle.dumps({"a": "b"})]
)
def test_what_holds_no_arrays_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "model.pkl"
    path.write_bytes(content)

    with pytest.raises(CheckpointError, match=r"model\.pkl: (cannot be read|expected a dict)"):
        load_arrays(path)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_are_read_from_every_pickle_protocol(tmp_path: Path, protocol: int):
    arrays = {
        "a": np.arange(6.0, dtype=np.float32).reshape(2, 3),
        "b": np.array(3),
        "c": np.int64(4),
    }
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(arrays, protocol=protocol))

    found = load_arrays(path)

    assert found["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found["b"].item() == 3 and found["c"].item() == 4


def test_a_transformers_directory_is_read_back(tmp_path: Path):
    """Its ResNet has other names than ours; everything else is the same network."""
    from transformers import Mask2FormerConfig as NetworkConfig
    from transformers import Mask2FormerForUniversalSegmentation, ResNetConfig

    arch = tiny().arch
    backbone = ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16, 32, 64],
        depths=[2, 2, 2, 2],
        layer_type="basic",
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    theirs = Mask2FormerForUniversalSegmentation(
        NetworkConfig(
            backbone_config=backbone,
            feature_size=64,
            mask_feature_size=64,
            hidden_dim=64,
            encoder_feedforward_dim=arch.encoder_width,
            encoder_layers=1,
            decoder_layers=4,
            num_attention_heads=4,
            dim_feedforward=arch.decoder_width,
            num_queries=5,
            num_labels=3,
        )
    ).eval()
    theirs.save_pretrained(tmp_path)

    network = tiny(weights=str(tmp_path)).eval()
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        ours, expected = network(images), theirs((images - network.mean) / network.std)

    torch.testing.assert_close(ours.class_logits[-1], expected.class_queries_logits)
    torch.testing.assert_close(ours.mask_logits[-1], expected.masks_queries_logits)


def test_a_directory_without_a_network_is_refused(tmp_path: Path):
    with pytest.raises(CheckpointError, match="no Mask2Former of transformers"):
        tiny(weights=str(tmp_path))


def test_backbones_are_read_in_three_dialects(tmp_path: Path):
    """Torchvision's ResNet-50, the same under Detectron2's names, and the shipped one."""
    torch.manual_seed(0)
    source = resnet50().state_dict()
    torch.save(source, tmp_path / "resnet50.pth")
    detectron = {_detectron_name(k): v.numpy() for k, v in source.items() if "num_batches" not in k}
    (tmp_path / "R-50.pkl").write_bytes(pickle.dumps({"model": detectron}))
    body = Mask2Former(Mask2FormerConfig(name="mask2former", num_points=16), 2).backbone.body

    for name in ("resnet50.pth", "R-50.pkl"):
        for tensor in body.state_dict().values():
            tensor.zero_()
        load_backbone(body, str(tmp_path / name))
        for key in ("conv1.weight", "layer4.2.bn3.running_var", "layer2.0.downsample.1.weight"):
            torch.testing.assert_close(body.state_dict()[key], source[key])
    load_backbone(tiny(width=24).backbone.body, "shapes")


def _detectron_name(name: str) -> str:
    for ours, theirs in (
        ("downsample.0", "shortcut"),
        ("downsample.1", "shortcut.norm"),
        *((f"layer{n}", f"res{n + 1}") for n in (1, 2, 3, 4)),
        *((f".bn{n}.", f".conv{n}.norm.") for n in (1, 2, 3)),
    ):
        name = name.replace(ours, theirs)
    if name.startswith("conv1"):
        return f"stem.{name}"
    return name.replace("bn1.", "stem.conv1.norm.", 1) if name.startswith("bn1") else name
