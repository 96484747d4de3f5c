"""`profile`: what is refused, what is shown, and that nothing stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.cli import main
from lab.store.database import VARIABLE

CONFIG = """
name = "tiny"
dataset = { source = "shapes", num_train = 8, num_val = 2, image_size = 64 }
split = { labeled_fraction = 0.5 }
view = { crop_size = 64, eval_size = 64 }
host = { name = "condinst", width = 8, score_floor = 0.001, max_detections = 5 }
method = { name = "pl_dc", class_threshold = 0.0, mask_threshold = 0.0, burn_in_steps = 2 }
schedule = { max_steps = 4, labeled_batch = 1, unlabeled_batch = 2, device = "cpu" }
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "tiny.toml"
    path.write_text(CONFIG, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nowhere.toml",), "nowhere.toml: cannot be read"),
        (("CONFIG", "--steps", "0"), "--steps"),
        (("CONFIG", "-o", "schedule.max_step=5"), "schedule.max_step = 5: unknown key"),
        (("CONFIG", "--fork", "last"), "no store here"),
    ],
)
def test_wrong_use_is_exit_code_2(
    tmp_path: Path,
    config: str,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    sentence: str,
):
    asked = [config if one == "CONFIG" else one for one in arguments]

    assert main(["profile", *asked, "--store", str(tmp_path / "store")]) == 2
    assert sentence in capsys.readouterr().err


def test_the_parts_of_a_step_as_json_and_no_run_is_left(
    tmp_path: Path,
    config: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    root = tmp_path / "store"
    monkeypatch.setenv(VARIABLE, "postgresql://lab@/lab?host=/nowhere")  # nothing is left there

    assert main(["profile", config, "--steps", "2", "--store", str(root), "--json"]) == 0

    answer = json.loads(capsys.readouterr().out)
    parts = {one["section"]: one for one in answer["sections"]}
    assert {"data", "EMA", "teacher", "CLIP", "student forward", "backward"} <= set(parts)
    assert sum(one["share"] for one in parts.values()) == pytest.approx(1)
    assert answer["steps"] == 2
    assert answer["images_per_second"] == pytest.approx(3 / answer["step_ms"] * 1e3)
    assert answer["candidates_per_image"] > 0
    assert answer["peak_cuda_mb"] is None
    assert [one.name for one in root.iterdir()] == ["datasets"]


def test_people_see_a_table_and_are_told_when_nothing_was_kept(
    tmp_path: Path, config: str, capsys: pytest.CaptureFixture[str]
):
    root = str(tmp_path / "store")
    quiet = ["-o", "host.score_floor=0.9", "-o", "method.dicc=false"]

    assert main(["profile", config, "--steps", "1", *quiet, "--store", root]) == 0

    text = capsys.readouterr().out
    assert "pl_dc on condinst tiny, cpu, 1 thread, 1 step\n" in text
    assert "backward" in text and "█" in text and "images/s" in text
    assert "CLIP" not in text
    assert "--fork RUN@STEP" in text


def test_what_the_engine_cannot_use_is_bad_input(
    tmp_path: Path, config: str, capfd: pytest.CaptureFixture[str]
):
    lost = ["-o", "host.backbone_weights=nowhere.pth"]

    assert main(["profile", config, *lost, "--store", str(tmp_path / "store")]) == 2
    assert "nowhere.pth" in capfd.readouterr().err
