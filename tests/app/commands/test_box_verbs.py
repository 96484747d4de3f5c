"""`what-if`, `errors` and `show` on a run whose masks were made from boxes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.cli import main
from lab.analysis.mask_quality import judged_masks, mean_true_iou, rank_correlations
from lab.store.queries import LabelFilter, label_columns
from lab.store.store import Store
from tests.app.boxed_runs import record_boxes
from tests.app.commands.conftest import record_by_hand

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def boxes(store: Store, tmp_path: Path) -> str:
    return record_boxes(store, tmp_path / "boxed")


def answer(capsys: Captured, store: Store, *arguments: str) -> Any:
    """What a verb prints as JSON."""
    assert main([*arguments, "--store", str(store.root), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def text(capsys: Captured, store: Store, *arguments: str) -> str:
    assert main([*arguments, "--store", str(store.root)]) == 0
    return capsys.readouterr().out


def test_what_if_over_chosen_scores_keeps_what_passes_both(
    store: Store, boxes: str, capsys: Captured
):
    columns = label_columns(store, boxes, LabelFilter(), ["mask_score", "box_score", "target_iou"])
    passing = (columns["mask_score"] >= np.float32(0.7)) & (columns["box_score"] >= np.float32(0.5))
    bars = ("--x-threshold", "0.7", "--y-threshold", "0.5")

    found = answer(capsys, store, "what-if", boxes, "--x", "mask_score", "--y", "box_score", *bars)
    now, asked, _ = found["cases"]

    assert found["axes"] == {"x": "mask_score", "y": "box_score"}
    assert asked["rule"] == "mask score 0.7, box score 0.5"
    assert now["answer"]["kept"] == len(passing)
    assert asked["answer"]["kept"] == passing.sum() > 0
    mean = columns["target_iou"][passing].mean()
    assert asked["answer"]["mean_true_iou"] == pytest.approx(float(mean))


def test_what_if_couples_any_two_scores(store: Store, boxes: str, capsys: Captured):
    columns = label_columns(store, boxes, LabelFilter(), ["box_score", "pixel_score"])
    product = columns["box_score"] * columns["pixel_score"]

    shown = answer(capsys, store, "what-if", boxes, "--coupled", "0.5")["cases"][1]

    assert shown["rule"] == "box score x pixel score 0.5"
    assert shown["answer"]["kept"] == (product >= np.float32(0.5)).sum()


def test_a_threshold_on_the_class_asks_for_class_and_mask(
    store: Store, boxes: str, capsys: Captured
):
    found = answer(capsys, store, "what-if", boxes, "--class-threshold", "0.5")

    assert found["axes"] == {"x": "class_quality", "y": "mask_quality"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--x", "depth_score"), "--x=depth_score: this run has no such score; it has class_quali"),
        (("--x", "box_score", "--y", "box_score"), "choose two different scores"),
        (
            ("--x", "box_score", "--y", "pixel_score", "--mask-threshold", "0.5"),
            "--mask-threshold: neither --x nor --y is mask_quality",
        ),
        (("--coupled", "0.5", "--x-threshold", "0.5"), "stands alone"),
    ],
)
def test_wrong_use_is_one_sentence(
    store: Store, boxes: str, capsys: Captured, arguments: tuple[str, ...], sentence: str
):
    assert main(["what-if", boxes, *arguments, "--store", str(store.root)]) == 2

    captured = capsys.readouterr()
    assert sentence in captured.err
    assert captured.out == ""


def test_errors_says_how_well_masks_fit_and_which_score_knows_it(
    store: Store, boxes: str, capsys: Captured
):
    masks = judged_masks(store, boxes)

    found = answer(capsys, store, "errors", boxes)["masks"]
    shown = text(capsys, store, "errors", boxes)

    assert found["masks"] == len(masks)
    assert found["mean_true_iou"] == pytest.approx(mean_true_iou(masks))
    assert found["rank_correlations"] == pytest.approx(rank_correlations(masks))
    assert sum(one["masks"] for one in found["periods"]) == len(masks)
    assert found["rank_correlations"]["pixel_score"] > 0.3
    assert "masks made from boxes" in shown
    assert "rho of pixel score" in shown
    assert "single = the best candidate's mask alone: fusing gained +0." in shown


def test_errors_and_show_tell_what_fusing_gained(
    store: Store, boxes: str, tmp_path: Path, capsys: Captured
):
    columns = label_columns(store, boxes, LabelFilter(), ["target_iou", "single_iou"])
    gain = (columns["target_iou"] - columns["single_iou"]).astype(np.float64)
    plain = record_boxes(store, tmp_path / "plain", name="plain", fused=False)

    found = answer(capsys, store, "errors", boxes)["masks"]["fusion"]
    none = answer(capsys, store, "errors", plain)["masks"]["fusion"]

    assert found["masks"] == len(gain)
    assert found["gain"] == pytest.approx(gain.mean())
    assert found["standard_error"] == pytest.approx(gain.std(ddof=1) / len(gain) ** 0.5)
    assert found["better"] == pytest.approx((gain > 0).mean())
    assert (none["masks"], none["gain"]) == (0, None)
    assert f"fusing gained {gain.mean():+.3f} ± " in text(capsys, store, "show", boxes)
    assert "fusing" not in text(capsys, store, "show", plain)
    assert "single" not in text(capsys, store, "errors", plain)


def test_show_names_the_score_that_ranks_masks_best(store: Store, boxes: str, capsys: Captured):
    shown = text(capsys, store, "show", boxes)

    mean = mean_true_iou(judged_masks(store, boxes))
    assert f"masks lately: mean true IoU {mean:.3f} of " in shown
    assert "ranks them best (rho 0." in shown
    assert answer(capsys, store, "show", boxes)["masks_lately"]["mean_true_iou"] > 0


def test_other_runs_have_no_word_of_it(store: Store, capsys: Captured):
    run = record_by_hand(store)

    assert answer(capsys, store, "errors", run)["masks"] is None
    assert answer(capsys, store, "show", run)["masks_lately"] is None
    assert "true IoU of" not in text(capsys, store, "what-if", run)
