"""docs/recording.md: every block is run, without torch where the text says so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lab.store.queries import (
    LabelFilter,
    evaluations,
    find_labels,
    get_run,
    scalar_series,
    step_summaries,
)
from lab.store.store import Store

ROOT = Path(__file__).resolve().parents[3]
BLOCKS = re.findall(
    r"```python\n(.*?)```", (ROOT / "docs" / "recording.md").read_text(encoding="utf-8"), re.DOTALL
)
LIGHT = """
import sys

class Refused:
    heavy = {"torch", "torchvision", "transformers", "open_clip", "timm", "gradio", "fastapi",
             "cv2", "hotcoco", "plotly", "typer", "safetensors", "huggingface_hub", "rich"}

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.heavy:
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, Refused())
"""
STAND_INS = """
import numpy as np
from types import SimpleNamespace

class Fields(SimpleNamespace):
    def to(self, device):
        return self

    def cpu(self):
        return self

masks = np.zeros((2, 48, 64), bool)
masks[:, 4:20, 8:40] = True
boxes = np.array([[8, 4, 40, 20], [8, 4, 40, 20]], np.float32)
classes, scores = np.array([0, 1]), np.array([0.9, 0.3], np.float32)
outputs = {"instances": Fields(pred_classes=classes, scores=scores, pred_masks=masks,
                               pred_boxes=SimpleNamespace(tensor=boxes))}
results = {"segm": {"AP": 31.4, "AP50": 52.0, "AP-cat": 30.1, "AP-dog": 32.7}}
sample = SimpleNamespace(img_id=7, pred_instances=Fields(labels=classes, scores=scores,
                                                         bboxes=boxes, masks=masks))
metrics = {"coco/segm_mAP": 0.314, "coco/segm_mAP_50": 0.52}
"""


def run_block(block: str, directory: Path, *, before: str = LIGHT) -> None:
    done = subprocess.run(
        [sys.executable, "-c", before + block],
        cwd=directory,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "SEGLAB_HOME": str(directory / "s")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def opened(directory: Path) -> Store:
    return Store.open(directory / "s", read_only=True)


def test_a_loop_is_recorded_without_torch(tmp_path: Path):
    run_block(BLOCKS[0], tmp_path)

    with opened(tmp_path) as store:
        row = get_run(store, "my mean teacher")
        summaries = step_summaries(store, row.run_id)
        assert (row.status, row.done, row.best_ap) == ("finished", 20, 31.4)
        assert len(scalar_series(store, row.run_id, ["loss/total"])["loss/total"]) == 20
        assert {one.candidates for one in summaries} == {3}
        assert 0 < sum(one.kept for one in summaries) < 60


def test_truth_gives_every_label_its_kind(tmp_path: Path):
    run_block(BLOCKS[1], tmp_path)

    with opened(tmp_path) as store:
        run_id = get_run(store, "judged").run_id
        labels = find_labels(store, run_id, LabelFilter()).rows
        found = {(round(one.class_quality, 3), one.kind.name) for one in labels}
        assert found == {(0.9, "COR"), (0.6, "SIM")}


@pytest.mark.parametrize(("block", "name"), [(2, "d2"), (3, "mmdet")])
def test_results_of_other_libraries_fit(tmp_path: Path, block: int, name: str):
    run_block(BLOCKS[block], tmp_path, before=LIGHT + STAND_INS)

    with opened(tmp_path) as store:
        row = get_run(store, name)
        (summary,) = step_summaries(store, row.run_id)
        (evaluated,) = evaluations(store, row.run_id)
        assert (summary.candidates, summary.kept) == (2, 1)
        assert evaluated.metrics["AP"] == pytest.approx(31.4)


def test_a_torch_loop_goes_on_and_no_step_is_there_twice(tmp_path: Path):
    run_block(BLOCKS[4], tmp_path, before="")

    with opened(tmp_path) as store:
        row = get_run(store, "to be continued")
        losses = scalar_series(store, row.run_id, ["loss/total"])["loss/total"]
        assert (row.status, losses.steps.tolist()) == ("finished", list(range(10)))
        assert row.config["own"] == {"lr": 0.1}


def test_every_block_of_the_page_is_run_here():
    assert len(BLOCKS) == 5
