"""What a CLIP makes of the true objects: every kind of dataset, and how mistakes are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch

from engine.clip_report import main
from lab.config import ShapesConfig
from lab.datasets.shapes import make_shapes

SMALL_MODEL = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 16, "head_width": 8, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1},
}
RUN = """
dataset = { source = "shapes", num_train = 50, num_val = 6, image_size = 128 }
method = { name = "pl_dc", burn_in_steps = 1, clip = { margin = 0.1 } }
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store ü"


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(RUN, encoding="utf-8")
    return path


@pytest.fixture
def small_clip(tmp_path: Path) -> Path:
    """A real open_clip model of random weights in a directory."""
    torch.manual_seed(0)
    directory = tmp_path / "small"
    directory.mkdir()
    (directory / "open_clip_config.json").write_text(json.dumps({"model_cfg": SMALL_MODEL}))
    model = open_clip.model.CLIP(**SMALL_MODEL)
    torch.save(model.state_dict(), directory / "open_clip_pytorch_model.bin")
    return directory


def report(capsys: pytest.CaptureFixture[str], root: Path, *arguments: str) -> dict[str, Any]:
    assert main(["--store", str(root), *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_shipped_clip_recognises_most_shapes_of_a_run(run_file, root, capsys):
    told = report(capsys, root, str(run_file))

    assert told["dataset"] == {"name": "shapes-main-val", "source": str(run_file), "images": 6}
    assert told["clip"]["margin"] == 0.1
    assert told["objects"] == sum(one["objects"] for one in told["classes"]) > 10
    assert told["accuracy"] > 0.5
    kept = root / "clip-reports" / f"{told['key']}.json"
    assert json.loads(kept.read_text()) == told


def test_the_same_question_keeps_one_report_and_another_one_two(run_file, root, capsys):
    first = report(capsys, root, str(run_file))
    again = report(capsys, root, str(run_file))
    limited = report(capsys, root, str(run_file), "--limit", "2")

    assert first["key"] == again["key"] != limited["key"]
    assert first["right"] == again["right"]
    assert limited["dataset"]["images"] == 2
    assert len(list((root / "clip-reports").iterdir())) == 2


def test_a_real_clip_looks_at_a_coco_file_with_descriptions(tmp_path, root, small_clip, capsys):
    _, val = make_shapes(ShapesConfig(num_train=1, num_val=3, image_size=64), tmp_path / "data")
    directory = val.images[0].path.parent.parent
    said = {one.name: [f"{one.name} from afar", f"a big {one.name}"] for one in val.categories}
    (tmp_path / "said.json").write_text(json.dumps(said))

    told = report(
        capsys,
        root,
        str(directory.parent / "val.json"),
        str(directory),
        *("--model", f"local-dir:{small_clip}", "--combine", "logits"),
        *("--descriptions", str(tmp_path / "said.json"), "--limit", "2"),
    )

    objects = sum(len(image.annotations) for image in val.images[:2])
    assert told["objects"] == told["judged"] + told["unseen"] == objects
    assert told["clip"]["combine"] == "logits"
    assert told["clip"]["descriptions"]["disc"] == ["disc from afar", "a big disc"]


def test_classes_beyond_the_vocabulary_are_counted_and_not_judged(tmp_path, root, capsys):
    _, val = make_shapes(ShapesConfig(num_train=1, num_val=3, image_size=128), tmp_path / "data")
    directory = val.images[0].path.parent.parent
    tree = json.loads((directory.parent / "val.json").read_text())
    renamed = val.images[0].annotations[0].label
    tree["categories"][renamed]["name"] = "wheel"
    path = tmp_path / "val.json"
    path.write_text(json.dumps(tree))

    told = report(capsys, root, str(path), str(directory))

    wheels = sum(one.label == renamed for image in val.images for one in image.annotations)
    assert told["unknown"] == wheels > 0
    wheel = told["classes"][renamed]
    assert (wheel["known"], wheel["named"], wheel["objects"]) == (False, 0, wheels)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "expected `shapes`, the .toml file of a run, or a COCO .json file"),
        (["none.toml"], "none.toml: cannot be read"),
        (["none.json"], "say in which directory its images are"),
        (["none.json", "."], "none.json"),
        (["RUN", "--pretrained", "labeled"], "belongs to a run"),
        (["RUN", "--model", "RN51"], 'belongs to model "tiny"'),
        (["RUN", "--descriptions", "none.json"], "none.json: cannot be read"),
        (["RUN", "--template", "one {class}"], "understands nothing else"),
    ],
)
def test_what_cannot_be_looked_at_is_named(
    run_file, root, capsys, arguments: list[str], message: str
):
    given = [str(run_file) if one == "RUN" else one for one in arguments]

    assert main(["--store", str(root), *given]) == 2

    assert message in capsys.readouterr().err


def test_images_without_objects_are_refused(tmp_path, root, capsys):
    tree = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "disc"}]}
    (tmp_path / "val.json").write_text(json.dumps(tree))

    assert main(["--store", str(root), str(tmp_path / "val.json"), str(tmp_path)]) == 2

    assert "no annotated object" in capsys.readouterr().err


def test_a_dataset_without_objects_is_refused_by_name(tmp_path, root, capsys):
    path = tmp_path / "empty.json"
    path.write_text('{"images": [], "annotations": [], "categories": []}')

    assert main([str(path), str(tmp_path), "--store", str(root)]) == 2
    assert f"{path}: no annotated object to look at" in capsys.readouterr().err
