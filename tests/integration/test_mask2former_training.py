"""Mask2Former in whole runs: trained, recorded and resumed exactly like the other host."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from engine.train import main
from lab.config import Mask2FormerConfig, RunConfig
from lab.datasets.records import LabelSource
from lab.store.queries import (
    LabelFilter,
    evaluations,
    find_labels,
    get_run,
    scalar_names,
    scalar_series,
)
from lab.store.runs import create_run
from lab.store.store import Store
from tests.integration.conftest import PL_DC, tiny_config

HOST = Mask2FormerConfig(
    name="mask2former", preset="tiny", width=8, num_queries=8, num_points=64, decoder_layers=2
)


def run(root: Path, run_id: str) -> None:
    assert main(["run", "--store", str(root), "--run-id", run_id]) == 0


def losses(root: Path, run_id: str) -> dict[int, float]:
    with Store.open(root, read_only=True) as store:
        series = scalar_series(store, run_id, ["loss/total"], max_points=1000)["loss/total"]
    return dict(zip(series.steps.tolist(), series.values.tolist(), strict=True))


def labels(root: Path, run_id: str, source: LabelSource) -> np.ndarray:
    with Store.open(root, read_only=True) as store:
        page = find_labels(store, run_id, LabelFilter(source=source), limit=10_000)
    rows = [(r.step, r.image_id, r.class_quality, r.mask_quality, r.kept) for r in page.rows]
    return np.array(sorted(rows))


def test_pl_dc_trains_is_recorded_and_resumes_as_if_never_stopped(root: Path):
    """The last checkpoint is taken away, so that the run goes on from the one before."""
    config: RunConfig = tiny_config(PL_DC, max_steps=6, checkpoint_every=4)
    config = config.model_copy(update={"host": HOST})
    with Store.open(root) as store:
        run_id = create_run(store, config)
    run(root, run_id)
    first = losses(root, run_id)
    seen = {source: labels(root, run_id, source) for source in LabelSource}

    with Store.open(root, read_only=True) as store:
        assert get_run(store, run_id).status == "finished"
        assert get_run(store, run_id).host == "mask2former"
        wanted = {"loss/sup/class", "loss/sup/mask", "loss/sup/dice", "loss/sup/aux"}
        assert wanted <= set(scalar_names(store, run_id))
        assert {e.model for e in evaluations(store, run_id)} == {"student", "teacher"}
        last = store.run_directory(run_id) / "checkpoints" / "step-00000006.pt"
    assert sorted(first) == list(range(6)) and all(map(math.isfinite, first.values()))
    assert len(seen[LabelSource.PSEUDO]) > 0

    last.unlink()
    run(root, run_id)

    assert losses(root, run_id) == first
    for source in LabelSource:
        np.testing.assert_array_equal(labels(root, run_id, source), seen[source])
