"""A whole box-supervised run: trained, recorded, judged by masks it never saw."""

from __future__ import annotations

import numpy as np
import pytest

from engine.train import main
from lab.datasets.records import DropRule, ErrorKind, LabelSource
from lab.store.queries import (
    LabelFilter,
    evaluations,
    find_labels,
    get_run,
    image_record,
    label_columns,
    label_steps,
    scalar_names,
)
from lab.store.runs import create_run
from lab.store.store import Store
from tests.integration.conftest import tiny_config

BOXTEACHER = {
    "name": "boxteacher",
    "min_box_iou": 0.05,
    "warmup_steps": 4,
    "ema_decay": 0.9,
    "box_loss": {"warmup_steps": 4, "bottom_rows": 0, "dilation": 1},
}
PSEUDO_DEPTH = {
    "name": "pseudo_depth",
    "distil_from": 4,
    "min_box_iou": 0.05,
    "match_threshold": 0.4,
    "ema_decay": 0.9,
    "box_loss": {"warmup_steps": 4, "bottom_rows": 0, "dilation": 1},
}


@pytest.fixture
def trained(root):
    with Store.open(root) as store:
        run_id = create_run(store, tiny_config(BOXTEACHER, unlabeled_batch=0))
    assert main(["run", "--store", str(root), "--run-id", run_id]) == 0
    with Store.open(root, read_only=True) as store:
        yield store, run_id


def test_a_box_supervised_run_is_recorded_from_end_to_end(trained):
    store, run_id = trained
    run = get_run(store, run_id)
    page = find_labels(store, run_id, LabelFilter(), limit=500)

    assert run.status == "finished"
    assert {e.model for e in evaluations(store, run_id)} == {"student", "teacher"}
    names = set(scalar_names(store, run_id))
    assert {"loss/sup/projection", "loss/sup/pairwise", "loss/unsup/pixel"} <= names
    assert "loss/sup/mask" not in names
    assert label_steps(store, run_id, LabelSource.PROBE_TEACHER).tolist() == [0, 4, 8]
    assert page.total > 0
    for row in page.rows:
        truths = {
            one.annotation_id: one for one in image_record(store, run_id, row.image_id).annotations
        }
        assert truths[row.target_id].label == row.label
        assert row.kind != ErrorKind.UNKNOWN, "hidden masks judge what was made without them"
        assert row.mask_score == pytest.approx((row.box_score * row.pixel_score) ** 0.5, abs=1e-6)
        assert 0 <= row.target_iou <= 1
        assert np.isnan(row.depth_score)


def test_masks_that_are_sure_of_themselves_can_be_asked_for(trained):
    store, run_id = trained
    sure = LabelFilter(ranges={"mask_score": (0.01, None)})

    columns = label_columns(store, run_id, sure, ("mask_score", "weight", "target_iou"))

    assert (columns["mask_score"] >= 0.01).all()
    np.testing.assert_array_equal(columns["mask_score"], columns["weight"])


def test_a_teacher_of_the_last_steps_is_recorded_from_its_first_on(root):
    with Store.open(root) as store:
        run_id = create_run(store, tiny_config(PSEUDO_DEPTH, unlabeled_batch=0, eval_every=4))
    assert main(["run", "--store", str(root), "--run-id", run_id]) == 0

    with Store.open(root, read_only=True) as store:
        page = find_labels(store, run_id, LabelFilter(), limit=500)
        found = [(e.step, e.model) for e in evaluations(store, run_id)]
        names = set(scalar_names(store, run_id))
        assert get_run(store, run_id).status == "finished"
        assert label_steps(store, run_id, LabelSource.PSEUDO).min() == 4
        assert label_steps(store, run_id, LabelSource.PROBE_TEACHER).tolist() == [8]

    assert sorted(found) == [(4, "student"), (8, "student"), (8, "teacher")]
    assert {"loss/sup/depth", "loss/sup/consistency", "loss/unsup/dice"} <= names
    assert page.total > 0
    for row in page.rows:
        assert 0 <= row.depth_score <= 1 and np.isnan(row.mask_score)
        assert not np.isnan(row.match_score)
        if row.rule == DropRule.MATCH_SCORE:
            assert not row.kept and row.match_score <= 0.4
        if row.kept:
            assert row.match_score > 0.4 and row.weight == 1
