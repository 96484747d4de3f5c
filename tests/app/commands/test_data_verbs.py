"""`data`: generating, checking and counting, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.cli import main

SMALL = ("--num-train", "3", "--num-val", "2", "--image-size", "64")


@pytest.fixture
def made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The directory of a tiny generated dataset."""
    assert main(["data", "make", str(tmp_path), *SMALL]) == 0
    capsys.readouterr()
    [directory] = [path for path in tmp_path.iterdir() if path.is_dir()]
    return directory


def test_a_generated_dataset_passes_its_own_check(made: Path, capsys: pytest.CaptureFixture[str]):
    code = main(["data", "check", str(made / "train.json"), str(made / "train"), "--json"])

    report = json.loads(capsys.readouterr().out)
    assert code == 0
    assert report["num_images"] == 3
    assert not [issue for issue in report["issues"] if issue["severity"] == "error"]


def test_making_the_same_dataset_again_changes_nothing(made: Path):
    before = {path: path.stat().st_mtime_ns for path in made.rglob("*.png")}

    assert main(["data", "make", str(made.parent), *SMALL]) == 0

    assert {path: path.stat().st_mtime_ns for path in made.rglob("*.png")} == before


def test_an_error_in_the_file_is_explained_and_makes_the_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "broken.json").write_text("[1, 2", encoding="utf-8")

    assert main(["data", "check", str(tmp_path / "broken.json"), str(tmp_path)]) == 1
    assert "broken.json" in capsys.readouterr().out


def test_what_is_not_there_is_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "a.json").write_text("{}", encoding="utf-8")

    assert main(["data", "check", str(tmp_path / "b.json"), str(tmp_path)]) == 2
    assert main(["data", "check", str(tmp_path / "a.json"), str(tmp_path / "none")]) == 2
    assert "there is no such file" in capsys.readouterr().err


def test_a_file_in_another_encoding_is_named_as_that(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "wide.json").write_text("{}", encoding="utf-16")

    assert main(["data", "check", str(tmp_path / "wide.json"), str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "is UTF-16" in out
    assert "1 error, 0 other findings" in out


def test_a_name_too_long_for_a_file_is_a_missing_image(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    image = {"id": 1, "file_name": "a" * 10_000 + ".png", "width": 4, "height": 4}
    tree = {"images": [image], "annotations": [], "categories": [{"id": 1, "name": "a"}]}
    (tmp_path / "long.json").write_text(json.dumps(tree), encoding="utf-8")

    assert main(["data", "check", str(tmp_path / "long.json"), str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "images[0].file_name" in out
    assert len(out) < 2_000


def test_stats_count_images_and_instances_per_class(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    config = tmp_path / "tiny.toml"
    config.write_text(
        'dataset = { source = "shapes", num_train = 3, num_val = 2, image_size = 64 }\n',
        encoding="utf-8",
    )

    code = main(["data", "stats", str(config), "--store", str(tmp_path / "store"), "--json"])

    counts = json.loads(capsys.readouterr().out)
    assert code == 0
    assert sum(counts["train"].values()) >= 3
    assert counts["train"].keys() == counts["val"].keys()
