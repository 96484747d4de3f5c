"""`clip-report`: the engine looks, the verb tells, the store keeps; mistakes have exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.api_clip import list_reports
from app.cli import main

RUN = 'dataset = { source = "shapes", num_train = 9, num_val = 3, image_size = 128 }\n'


def test_a_report_is_told_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "run.toml").write_text(RUN, encoding="utf-8")
    root = tmp_path / "store ü"

    assert main(["clip-report", str(tmp_path / "run.toml"), "--store", str(root)]) == 0

    told = capsys.readouterr().out
    assert told.startswith("tiny (shapes) on shapes-main-val, 3 images\n")
    assert "mean of the classes" in told and "precision" in told and "medium" in told
    [kept] = list_reports(root)
    assert kept["dataset"]["images"] == 3


@pytest.mark.parametrize(
    "arguments", [["nothing"], ["shapes", "--limit", "0"], ["shapes", "--template", "a photo"]]
)
def test_a_mistake_has_exit_code_2(tmp_path: Path, arguments: list[str]):
    assert main(["clip-report", *arguments, "--store", str(tmp_path)]) == 2
