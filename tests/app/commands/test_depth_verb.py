"""`data depth`: the engine makes the maps, the verb tells; mistakes have exit code 2."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from app.cli import main
from app.engine_process import depth_command

TREE = {
    "images": [{"id": 1, "file_name": "one.png", "height": 8, "width": 8}],
    "annotations": [],
    "categories": [{"id": 1, "name": "cat"}],
}


@pytest.fixture
def dataset(tmp_path: Path) -> list[str]:
    """A COCO file, its images, and where their maps belong."""
    (tmp_path / "a set.json").write_text(json.dumps(TREE), encoding="utf-8")
    for directory in ("photos", "maps"):
        (tmp_path / directory).mkdir()
        cv2.imwrite(str(tmp_path / directory / "one.png"), np.zeros((8, 8), np.uint8))
    return [str(tmp_path / "a set.json"), str(tmp_path / "photos"), "--out", str(tmp_path / "maps")]


def test_maps_that_are_all_there_need_no_network(dataset, capsys):
    assert main(["data", "depth", *dataset, "--model", "any"]) == 0
    assert "1 of 1 images have a depth map, 0 of them new" in capsys.readouterr().out

    assert main(["data", "depth", *dataset, "--model", "any", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["left"] == 0


def test_a_mistake_has_exit_code_2_and_a_missing_model_too(dataset, tmp_path):
    assert main(["data", "depth", *dataset]) == 2
    assert main(["data", "depth", "nothing", "--model", "any"]) == 2


def test_values_that_begin_with_a_dash_stay_values():
    command = depth_command("-odd.json", Path("im ages"), {"--model": "-m", "--limit": None})

    assert command[-4:] == ["--model=-m", "--", "-odd.json", "im ages"]
