"""Recording other people's runs: what is kept and why, and errors that name the argument."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lab
from app.api_acts import what_is_possible
from app.cli import main
from app.comparison import side_by_side
from app.thresholds import Thresholds, own_thresholds, thresholds_of
from lab.datasets.records import DropRule
from lab.datasets.rle import encode
from lab.store.errors import StoreError
from lab.store.queries import (
    LabelFilter,
    checkpoints,
    find_labels,
    get_run,
    list_runs,
    scalar_series,
)
from lab.store.store import Store

MASKS = np.zeros((3, 4, 6), bool)
MASKS[:, 1:3, 2:5] = True
GOOD: dict[str, Any] = {"labels": [0, 1, 1], "scores": [0.9, 0.5, 0.2], "masks": MASKS}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[lab.OpenRun]:
    with lab.open_run("mine", max_steps=9, classes=["cat", "dog"], store=tmp_path) as opened:
        yield opened


def recorded(run: lab.OpenRun, root: Path) -> list[Any]:
    run.flush()
    with Store.open(root, read_only=True) as store:
        return list(find_labels(store, run.run_id, LabelFilter()).rows)


def test_a_label_on_a_threshold_is_kept_and_a_dropped_one_knows_its_rule(
    run: lab.OpenRun, tmp_path: Path
):
    run.pseudo_labels(
        0, 7, **GOOD, mask_quality=[0.4, 0.8, 1.0], class_threshold=0.5, mask_threshold=0.6
    )

    found = {round(one.class_quality, 1): one for one in recorded(run, tmp_path)}
    assert [found[score].kept for score in (0.9, 0.5, 0.2)] == [False, True, False]
    assert found[0.9].rule is DropRule.MASK_QUALITY
    assert found[0.9].rule_value == pytest.approx(0.6)
    assert found[0.2].rule is DropRule.CLASS_QUALITY
    assert found[0.5].score == pytest.approx(0.4), "0.5 * 0.8"
    assert found[0.5].box == (2, 1, 5, 3), "around its mask"


def test_every_class_may_have_a_threshold_of_its_own(run: lab.OpenRun, tmp_path: Path):
    per_class = np.array([0.95, 0.1])

    run.pseudo_labels(0, 7, **GOOD, class_threshold=per_class[GOOD["labels"]])

    kept = {round(one.class_quality, 1): one.kept for one in recorded(run, tmp_path)}
    assert kept == {0.9: False, 0.5: True, 0.2: True}


def test_masks_may_be_run_lengths_as_coco_writes_them(run: lab.OpenRun, tmp_path: Path):
    text = encode(MASKS[0]).counts.decode()
    coded = {"size": [4, 6], "counts": text}

    run.pseudo_labels(0, 7, **{**GOOD, "masks": [coded, coded, coded]})

    assert {one.area for one in recorded(run, tmp_path)} == {6.0}


def test_an_image_without_labels_counts(run: lab.OpenRun, tmp_path: Path):
    run.pseudo_labels(0, 7, labels=[], scores=[], masks=np.zeros((0, 4, 6), bool))
    run.pseudo_labels(1, 7, labels=[], scores=[], masks=[], boxes=[])

    assert recorded(run, tmp_path) == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"masks": MASKS[0]}, r"masks: shape \(4, 6\), expected \(3, H, W\)"),
        ({"masks": MASKS[:2]}, "masks: 2 of them, expected 3 as labels has"),
        ({"masks": MASKS * 0.5}, "masks: float64 with other values than 0 and 1"),
        ({"masks": [{"size": [4, 6]}] * 3}, r"masks\[0\]: expected size and counts"),
        ({"masks": [{"size": [4, 6], "counts": [5]}] * 3}, r"masks\[0\]: counts add up to 5"),
        ({"labels": [0, 1, 2]}, r"labels\[2\] = 2: expected 0 to 1"),
        ({"labels": [0.0, 1.0, 1.0]}, "labels: dtype float64, expected whole numbers"),
        ({"labels": [[0, 1, 1]]}, r"labels: shape \(1, 3\), expected \(N,\)"),
        ({"scores": [0.9, 0.5]}, r"scores: shape \(2,\), expected \(3,\) as labels has"),
        ({"scores": [0.9, 0.5, 1.2]}, r"scores\[2\] = 1.2: expected 0 to 1"),
        ({"scores": [0.9, 0.5, np.nan]}, r"scores\[2\] = nan: expected 0 to 1"),
        ({"scores": ["a", "b", "c"]}, "scores: dtype <U1, expected numbers"),
        ({"boxes": [[0, 0, 1]] * 3}, r"boxes: shape \(3, 3\) of int64, expected \(3, 4\)"),
        ({"boxes": [[5, 0, 1, 1]] * 3}, r"boxes\[0\] = \[5.0, 0.0, 1.0, 1.0\]: expected x1 <= x2"),
        ({"mask_quality": [2, 0, 0]}, r"mask_quality\[0\] = 2: expected 0 to 1"),
        ({"class_threshold": 7}, r"class_threshold\[0\] = 7: expected 0 to 1"),
        ({"image_id": "7"}, "image_id = '7': expected a whole number"),
        ({"step": -1}, "step = -1: expected a whole number, at least 0"),
        ({"step": 2**31}, "step = 2147483648: expected at most 2147483647"),
        ({"image_id": 2**63}, "image_id = 9223372036854775808: expected at most"),
        ({"source": "teacher"}, "source = 'teacher': expected pseudo, probe_teacher"),
    ],
)
def test_what_cannot_be_recorded_is_refused_by_name(
    run: lab.OpenRun, changed: dict[str, Any], message: str
):
    with pytest.raises(lab.BadRecord, match=message):
        run.pseudo_labels(**{"step": 0, "image_id": 7, **GOOD, **changed})


def test_numbers_are_checked_by_name(run: lab.OpenRun, tmp_path: Path):
    with pytest.raises(lab.BadRecord, match=r"values\['loss'\] = \[1, 2\]: expected one number"):
        run.scalars(0, {"loss": [1, 2]})  # pyright: ignore
    with pytest.raises(lab.BadRecord, match=r"metrics\['AP'\]"):
        run.evaluation(0, {"AP": "high"})  # pyright: ignore
    with pytest.raises(lab.BadRecord, match=r"path = 'nowhere.pt': no such file"):
        run.checkpoint(0, "nowhere.pt")
    with pytest.raises(lab.BadRecord, match="status = 'done'"):
        run.finish("done")  # pyright: ignore


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": None}, "classes = None: expected the names of the classes, or a dataset"),
        ({"classes": ["cat", "cat"]}, "classes: 'cat' is there twice"),
        ({"max_steps": 0}, "max_steps = 0: expected a whole number, at least 1"),
        ({"name": " "}, "name = ' ': expected a text"),
        ({"max_steps": 2**40}, "max_steps = 1099511627776: expected at most 2147483647"),
        ({"config": {"lr": {1, 2}}}, r"config\['lr'\] = {1, 2}: Object of type set"),
        ({"dataset": ("nowhere.json", ".")}, "dataset = 'nowhere.json': no such file"),
    ],
)
def test_a_run_that_makes_no_sense_is_not_begun(
    tmp_path: Path, arguments: dict[str, Any], message: str
):
    with pytest.raises(lab.BadRecord, match=message):
        lab.open_run(
            **{"name": "x", "max_steps": 1, "classes": ["cat"], "store": tmp_path, **arguments}
        )

    assert not (tmp_path / "store.db").exists()


def test_an_error_makes_the_run_a_failed_one(tmp_path: Path):
    with (
        pytest.raises(ZeroDivisionError),
        lab.open_run("mine", max_steps=9, classes=["cat"], store=tmp_path) as run,
    ):
        run.scalars(0, {"loss": 1 / 0})

    with Store.open(tmp_path, read_only=True) as store:
        row = get_run(store, run.run_id)
        assert (row.status, row.error) == ("failed", "ZeroDivisionError('division by zero')")


def test_a_resumed_run_forgets_what_it_will_do_again(tmp_path: Path):
    saved = tmp_path / "two.pt"
    saved.touch()
    run = lab.open_run("mine", max_steps=4, classes=["cat"], store=tmp_path)
    for step in range(3):
        run.scalars(step, {"loss": step})
    run.checkpoint(2, saved)
    run.finish("stopped")
    with pytest.raises(StoreError, match="after it was finished"):
        run.scalars(3, {"loss": 0})

    with lab.resume_run("mine", step=2, store=tmp_path) as again:
        again.scalars(2, {"loss": 9.0})

    with Store.open(tmp_path, read_only=True) as store:
        losses = scalar_series(store, run.run_id, ["loss"])["loss"]
        assert losses.values.tolist() == [0.0, 1.0, 9.0]
        assert [one.step for one in checkpoints(store, run.run_id)] == [2]
        assert again.run_id == run.run_id


def test_thresholds_that_are_one_number_are_the_run_s_as_what_if_shows_them(tmp_path: Path):
    good = {**GOOD, "mask_quality": [0.4, 0.8, 1.0]}
    with lab.open_run("mine", max_steps=9, classes=["cat", "dog"], store=tmp_path) as run:
        run.pseudo_labels(0, 7, **good, class_threshold=0.5, mask_threshold=0.6)
        run.flush()
        with Store.open(tmp_path, read_only=True) as store:
            first = get_run(store, run.run_id).config
        run.pseudo_labels(1, 7, **good, class_threshold=[0.9, 0.1, 0.1])
        run.pseudo_labels(2, 7, **good, class_threshold=0.25, mask_threshold=0.6)

    assert own_thresholds(first) == {"class_quality": 0.5, "mask_quality": 0.6}
    assert thresholds_of(first) == Thresholds("dual", 0.5, 0.6, 0.0)
    with Store.open(tmp_path, read_only=True) as store:
        last = get_run(store, run.run_id).config
    assert own_thresholds(last) == {"class_quality": 0.25, "mask_quality": 0.6}
    assert last["own"] == {}, "what the user said of the run is not touched"


@pytest.mark.parametrize(
    "words",
    [
        ("train", "--resume", "mine"),
        ("jobs", "resume", "mine"),
        ("queue", "--like", "mine"),
        ("evaluate", "mine"),
    ],
)
def test_seglab_leaves_a_run_of_other_code_alone_and_says_why(
    tmp_path: Path, words: tuple[str, ...], capfd: pytest.CaptureFixture[str]
):
    with lab.open_run("mine", max_steps=1, classes=["cat"], store=tmp_path) as run:
        run.scalars(0, {"loss": 1.0})

    assert main([*words, "--store", str(tmp_path)]) != 0

    said = capfd.readouterr().err
    assert "other training code recorded it" in said
    assert "host.name" not in said
    with Store.open(tmp_path, read_only=True) as store:
        assert get_run(store, run.run_id).status == "finished"


def test_the_dashboard_compares_runs_of_other_code_and_offers_them_no_acts(tmp_path: Path):
    for rate in (0.1, 0.2):
        with lab.open_run(
            f"at {rate}", max_steps=1, classes=["cat"], store=tmp_path, config={"lr": rate}
        ) as run:
            run.scalars(0, {"loss": rate})

    with Store.open(tmp_path, read_only=True) as store:
        rows = list_runs(store)
        told = side_by_side(store, rows)

        assert told["config"]["own.lr"] == [0.2, 0.1]
        assert what_is_possible(store, rows[0]) == {
            "status": "finished",
            "actions": [],
            "live": {},
            "checkpoints": [],
        }
