"""A whole run of SIM: its masks are recorded with what its prototypes and positives said."""

from __future__ import annotations

import numpy as np

from engine.train import main
from lab.datasets.records import LabelSource
from lab.store.queries import LabelFilter, find_labels, get_run, label_steps, scalar_names
from lab.store.runs import create_run
from lab.store.store import Store
from tests.integration.conftest import tiny_config

SIM = {
    "name": "sim",
    "warmup_steps": 2,
    "min_updates": 1,
    "high_threshold": 0.3,
    "low_threshold": 0.2,
    "ema_decay": 0.9,
    "box_loss": {"warmup_steps": 4, "bottom_rows": 0, "dilation": 1},
    "paste": {"bank_size": 2, "probability": 1.0},
}


def test_a_run_of_sim_is_recorded_with_its_two_scores(root):
    with Store.open(root) as store:
        run_id = create_run(store, tiny_config(SIM, unlabeled_batch=0))

    assert main(["run", "--store", str(root), "--run-id", run_id]) == 0

    with Store.open(root, read_only=True) as store:
        assert get_run(store, run_id).status == "finished"
        names = set(scalar_names(store, run_id))
        assert {"loss/unsup/pseudo", "loss/unsup/paste", "prototypes/known_classes"} <= names
        assert label_steps(store, run_id, LabelSource.PSEUDO).min() == 2
        page = find_labels(store, run_id, LabelFilter(), limit=500)
        assert page.total > 0
        for row in page.rows:
            assert row.weight == (row.mask_score > 0)
            assert 0 <= row.semantic_score <= 1
            assert 0 <= row.instance_score <= 1
            assert 0 <= row.target_iou <= 1
            assert np.isnan(row.depth_score)
