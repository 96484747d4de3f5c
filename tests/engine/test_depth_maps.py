"""Depth maps by real, tiny networks of random weights; and how mistakes are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from transformers import (
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    Dinov2Config,
    DPTConfig,
    DPTForDepthEstimation,
    DPTImageProcessor,
)

from engine.depth_maps import as_grey, main
from engine.models.depth import load_depth_predictor

CPU = torch.device("cpu")
SIZE = {"size": {"height": 32, "width": 32}, "do_pad": False, "keep_aspect_ratio": False}


@pytest.fixture(scope="module")
def dpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DPT of 32 pixels in a directory."""
    torch.manual_seed(0)
    directory = tmp_path_factory.mktemp("dpt")
    config = DPTConfig(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=8,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 8, 16, 16],
        fusion_hidden_size=8,
    )
    DPTForDepthEstimation(config).save_pretrained(directory)
    DPTImageProcessor(**SIZE).save_pretrained(directory)
    return directory


def depth_anything(directory: Path, kind: str) -> Path:
    torch.manual_seed(0)
    backbone = Dinov2Config(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        mlp_ratio=2,
        image_size=28,
        patch_size=14,
        out_indices=[1, 2, 3, 4],
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        patch_size=14,
        reassemble_hidden_size=16,
        neck_hidden_sizes=[8, 8, 16, 16],
        fusion_hidden_size=8,
        head_hidden_size=4,
        depth_estimation_type=kind,
        max_depth=10 if kind == "metric" else 1,
    )
    DepthAnythingForDepthEstimation(config).save_pretrained(directory)
    DPTImageProcessor(**{**SIZE, "size": {"height": 28, "width": 28}}).save_pretrained(directory)
    return directory


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A COCO file beside `photos` with three images in two folders."""
    entries = []
    for image_id, name in enumerate(("a/one.jpg", "a/two.jpg", "b/one.jpg"), start=1):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(image_id).integers(0, 256, (24, 40, 3), dtype=np.uint8)
        cv2.imwrite(str(path), noise)
        entries.append({"id": image_id, "file_name": name, "height": 24, "width": 40})
    tree = {"images": entries, "annotations": [], "categories": [{"id": 1, "name": "cat"}]}
    (tmp_path / "train.json").write_text(json.dumps(tree), encoding="utf-8")
    return tmp_path / "train.json"


def run(dataset: Path, model: Path | str, *options: str) -> int:
    where = (str(dataset), str(dataset.parent / "photos"))
    maps = str(dataset.parent / "maps")
    return main([*where, "--model", str(model), "--out", maps, "--device", "cpu", *options])


def test_every_image_gets_a_grey_map_of_sixteen_bits_under_its_name(dataset, dpt, capsys):
    assert run(dataset, dpt) == 0

    told = json.loads(capsys.readouterr().out)
    assert (told["images"], told["made"], told["left"]) == (3, 3, 0)
    found = sorted((dataset.parent / "maps").rglob("*"))
    files = [path for path in found if path.is_file()]
    names = [path.relative_to(dataset.parent / "maps").as_posix() for path in files]
    assert names == ["a/one.png", "a/two.png", "b/one.png"], "and nothing is left over"
    for path in files:
        depth = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert depth is not None
        assert depth.dtype == np.uint16 and depth.shape == (24, 40)
        assert depth.min() == 0 and depth.max() == 65535


def test_maps_that_are_there_stay_and_the_rest_is_made(dataset, dpt, capsys):
    assert run(dataset, dpt, "--limit", "1") == 0
    first = dataset.parent / "maps" / "a" / "one.png"
    before = first.stat().st_mtime_ns
    capsys.readouterr()

    assert run(dataset, dpt) == 0

    told = json.loads(capsys.readouterr().out)
    assert (told["made"], told["left"]) == (2, 0)
    assert first.stat().st_mtime_ns == before


def test_nothing_is_loaded_when_nothing_is_missing(dataset, dpt, capsys):
    assert run(dataset, dpt) == 0
    capsys.readouterr()

    assert run(dataset, "no/such/network") == 0
    assert json.loads(capsys.readouterr().out)["made"] == 0


def test_a_map_is_what_the_network_says_at_the_image_s_size(dpt):
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    predictor = load_depth_predictor(str(dpt), CPU)

    depth = predictor.inverse_depth(image)

    assert depth.shape == (20, 30) and depth.dtype == np.float32
    np.testing.assert_array_equal(depth, predictor.inverse_depth(image))


def test_distances_are_turned_round(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (28, 28, 3), dtype=np.uint8)
    relative = load_depth_predictor(str(depth_anything(tmp_path / "relative", "relative")), CPU)
    metric = load_depth_predictor(str(depth_anything(tmp_path / "metric", "metric")), CPU)

    assert not relative.is_metric and metric.is_metric
    assert relative.inverse_depth(image).shape == (28, 28)
    given = metric.prepare(images=image, return_tensors="pt")
    with torch.inference_mode():
        metres = metric.model(**given).predicted_depth[0].numpy()
    np.testing.assert_allclose(metric.inverse_depth(image) * metres, 1, rtol=1e-4)


def test_a_flat_map_is_all_far():
    assert not as_grey(np.full((2, 3), 7.0, np.float32)).any()
    assert as_grey(np.array([[1.0, 2.0, 3.0]], np.float32)).tolist() == [[0, 32768, 65535]]


def test_a_run_s_file_says_where_its_maps_belong(dataset, dpt, tmp_path):
    run_file = tmp_path / "run.toml"
    paths = {"train_json": "train.json", "train_images": "photos"}
    paths |= {"val_json": "train.json", "val_images": "photos"}
    table = ", ".join(f'{key} = "{value}"' for key, value in paths.items())
    text = f'dataset = {{ source = "coco", {table}, train_depth = "depth" }}\n'
    run_file.write_text(text, encoding="utf-8")

    assert main([str(run_file), "--model", str(dpt), "--device", "cpu"]) == 0

    assert (tmp_path / "depth" / "b" / "one.png").is_file()


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (lambda path: path.unlink(), "a/two.jpg"),
        (lambda path: path.write_bytes(b"no image"), "not an image"),
    ],
    ids=["missing", "broken"],
)
def test_an_image_that_cannot_be_read_is_named(dataset, dpt, capsys, broken: Any, words: str):
    broken(dataset.parent / "photos" / "a" / "two.jpg")

    assert run(dataset, dpt) == 2

    told = capsys.readouterr().err
    assert words in told and "two.jpg" in told


def test_what_is_no_trained_depth_network_is_refused(dataset, dpt, tmp_path, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    headless = tmp_path / "headless"
    network = DPTForDepthEstimation.from_pretrained(dpt)
    weights = {k: v for k, v in network.state_dict().items() if not k.startswith("head")}
    network.save_pretrained(headless, state_dict=weights)
    DPTImageProcessor(**SIZE).save_pretrained(headless)

    for model, words in (
        (tmp_path / "nowhere", "no such directory"),
        (empty, "no config.json"),
        (headless, "random weights tell no depth"),
    ):
        assert run(dataset, model) == 2
        told = capsys.readouterr().err
        assert words in told and str(model) in told


def test_a_name_without_a_hub_is_explained_at_once(dataset, monkeypatch, capsys):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    assert run(dataset, "nobody/no-such-depth") == 2

    told = capsys.readouterr().err
    assert "nobody/no-such-depth" in told and "cannot be reached" in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["shapes"], "COCO .json"),
        (["x.json"], "second argument"),
        (["x.json", "photos"], "--out"),
        (["x.json", "photos", "--out", "y"], "x.json"),
    ],
)
def test_a_command_line_that_says_too_little_is_told_so(arguments, words, capsys):
    assert main([*arguments, "--model", "m"]) == 2
    assert words in capsys.readouterr().err


def test_generated_images_bring_their_maps(tmp_path, capsys):
    (tmp_path / "run.toml").write_text('dataset = { source = "shapes" }\n', encoding="utf-8")

    assert main([str(tmp_path / "run.toml"), "--model", "m"]) == 2
    assert "brings its depth maps" in capsys.readouterr().err
