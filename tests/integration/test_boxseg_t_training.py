"""BoxSeg-T in a whole run: Mask2Former taught by boxes and by masks fused from its queries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.train import main
from lab.config import Mask2FormerConfig
from lab.datasets.records import ErrorKind, LabelSource
from lab.store.queries import (
    LabelFilter,
    evaluations,
    find_labels,
    get_run,
    image_record,
    label_steps,
    scalar_names,
    scalar_series,
)
from lab.store.runs import create_run
from lab.store.store import Store
from tests.integration.conftest import tiny_config

BOXSEG = {
    "name": "boxseg",
    "min_box_iou": 0.0,
    "box_threshold": 0.0,
    "early_box_threshold": 0.0,
    "warmup_steps": 4,
    "ema_decay": 0.9,
    "small_area": 64.0,
    "large_area": 576.0,
    "box_loss": {"projection_weight": 5.0, "warmup_steps": 4, "bottom_rows": 0, "dilation": 1},
    "peers": {"min_quality": 0.0, "min_box_score": 0.0, "min_pixels": 4},
}
HOST = Mask2FormerConfig(
    name="mask2former", preset="tiny", width=8, num_queries=12, decoder_layers=2, score_floor=0.0
)


def test_boxseg_t_trains_is_recorded_and_goes_on_as_if_never_stopped(root: Path):
    config = tiny_config(BOXSEG, unlabeled_batch=0, checkpoint_every=4)
    with Store.open(root) as store:
        run_id = create_run(store, config.model_copy(update={"host": HOST}))
    assert main(["run", "--store", str(root), "--run-id", run_id]) == 0
    first = losses(root, run_id)

    with Store.open(root, read_only=True) as store:
        run = get_run(store, run_id)
        assert (run.status, run.host, run.method) == ("finished", "mask2former", "boxseg")
        assert {e.model for e in evaluations(store, run_id)} == {"student", "teacher"}
        terms = {"sup/class", "sup/aux", "sup/projection", "sup/pairwise", "unsup/pixel"}
        assert {f"loss/{term}" for term in terms} <= set(scalar_names(store, run_id))
        assert label_steps(store, run_id, LabelSource.PROBE_TEACHER).tolist() == [0, 4, 8]
        check_masks(store, run_id)
        last = store.run_directory(run_id) / "checkpoints" / "step-00000008.pt"

    last.unlink()
    assert main(["run", "--store", str(root), "--run-id", run_id]) == 0

    assert losses(root, run_id) == first
    assert sorted(first) == list(range(8))


def check_masks(store: Store, run_id: str) -> None:
    """Every mask knows its box, its candidates and how good it is; the hidden truth judges it."""
    page = find_labels(store, run_id, LabelFilter(source=LabelSource.PSEUDO), limit=500)
    assert page.total > 0
    for row in page.rows:
        truths = {
            one.annotation_id: one for one in image_record(store, run_id, row.image_id).annotations
        }
        assert truths[row.target_id].label == row.label
        assert 1 <= row.num_effective <= row.num_candidates <= 10
        assert row.mask_score == pytest.approx((row.box_score * row.pixel_score) ** 0.5, abs=1e-6)
        assert row.kind != ErrorKind.UNKNOWN
        assert 0 <= row.target_iou <= 1


def losses(root: Path, run_id: str) -> dict[int, float]:
    with Store.open(root, read_only=True) as store:
        series = scalar_series(store, run_id, ["loss/total"], max_points=1000)["loss/total"]
    assert np.isfinite(series.values).all()
    return dict(zip(series.steps.tolist(), series.values.tolist(), strict=True))
