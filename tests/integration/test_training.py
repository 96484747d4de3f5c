"""Whole runs on CPU: every method trains, is recorded, and resumes as if never stopped."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from engine.train import main
from lab.config import RunConfig
from lab.datasets.records import LabelSource
from lab.store.queries import (
    LabelFilter,
    evaluations,
    find_labels,
    get_run,
    label_steps,
    scalar_names,
    scalar_series,
    step_summaries,
)
from lab.store.runs import create_run, rewind_run
from lab.store.store import Store
from tests.integration.conftest import GUIDED, PL_DC, SUPERVISED, tiny_config


def train(root: Path, config: RunConfig) -> str:
    with Store.open(root) as store:
        run_id = create_run(store, config)
    assert main(["run", "--store", str(root), "--run-id", run_id]) == 0
    return run_id


def losses(store: Store, run_id: str) -> dict[int, float]:
    series = scalar_series(store, run_id, ["loss/total"], max_points=100_000)["loss/total"]
    return dict(zip(series.steps.tolist(), series.values.tolist(), strict=True))


@pytest.mark.parametrize("method", [SUPERVISED, GUIDED, PL_DC], ids=lambda m: m["name"])
def test_every_method_trains_to_its_end_and_is_recorded(root, method):
    run_id = train(root, tiny_config(method))

    with Store.open(root, read_only=True) as store:
        run = get_run(store, run_id)
        recorded = losses(store, run_id)
        assert run.status == "finished"
        assert sorted(recorded) == list(range(8))
        assert all(math.isfinite(value) for value in recorded.values())
        assert {e.model for e in evaluations(store, run_id)} == {"student", "teacher"}
        assert {"loss/sup/mask", "lr", "grad/norm", "time/step"} <= set(scalar_names(store, run_id))
        assert label_steps(store, run_id, LabelSource.PROBE_STUDENT).tolist() or (
            label_steps(store, run_id, LabelSource.PROBE_TEACHER).tolist()
        )


@pytest.mark.parametrize("method", [GUIDED, PL_DC], ids=lambda m: m["name"])
def test_every_candidate_is_recorded_with_its_fate_and_its_truth(root, method):
    run_id = train(root, tiny_config(method))

    with Store.open(root, read_only=True) as store:
        page = find_labels(store, run_id, LabelFilter(source=LabelSource.PSEUDO), limit=500)
        summaries = step_summaries(store, run_id)
    assert [s.step for s in summaries] == [3, 4, 5, 6, 7]
    assert sum(s.candidates for s in summaries) == page.total > 0
    assert sum(s.kept for s in summaries) == sum(row.kept for row in page.rows)
    for row in page.rows:
        assert row.kept == (row.rule == 0)
        assert row.score == pytest.approx(row.class_quality * row.mask_quality, abs=1e-5)
        assert row.kind != 0, "shapes know their hidden truth, so every label has a kind"


def test_a_run_killed_three_times_ends_with_the_losses_of_an_unbroken_one(root):
    config = tiny_config(PL_DC, max_steps=70, checkpoint_every=4)
    unbroken = train(root, config)
    with Store.open(root) as store:
        broken = create_run(store, config)
    for step in (6, 18, 35):
        kill_after(root, broken, step)

    assert main(["run", "--store", str(root), "--run-id", broken]) == 0

    with Store.open(root, read_only=True) as store:
        assert losses(store, broken) == losses(store, unbroken)
        for source in LabelSource:
            mine = every_label(store, broken, source)
            np.testing.assert_array_equal(mine, every_label(store, unbroken, source))


def test_a_stopped_run_leaves_a_checkpoint_and_says_so(root):
    config = tiny_config(SUPERVISED, max_steps=2_000, checkpoint_every=10_000)
    with Store.open(root) as store:
        run_id = create_run(store, config)
    process = start(root, run_id)
    wait_for_step(root, run_id, 2)
    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=60) == 0
    with Store.open(root, read_only=True) as store:
        run = get_run(store, run_id)
        checkpoints = list((store.run_directory(run_id) / "checkpoints").glob("step-*.pt"))
    assert run.status == "stopped"
    assert len(checkpoints) == 1


def test_a_damaged_checkpoint_is_skipped_for_the_one_before(root):
    config = tiny_config(SUPERVISED)
    unbroken = train(root, config)
    run_id = train(root, config)
    with Store.open(root) as store:
        newest = sorted((store.run_directory(run_id) / "checkpoints").glob("step-*.pt"))[-1]
        newest.write_bytes(newest.read_bytes()[:1000])

    assert main(["run", "--store", str(root), "--run-id", run_id]) == 0

    with Store.open(root, read_only=True) as store:
        log = (store.run_directory(run_id) / "log.txt").read_text()
        assert losses(store, run_id) == losses(store, unbroken)
    assert "skipping a damaged checkpoint" in log and "step-00000008.pt" in log


def test_what_the_store_has_lost_is_trained_again(root):
    """A damaged write-ahead log, or an older copy put back: the newest checkpoint is ahead."""
    config = tiny_config(SUPERVISED)
    unbroken = train(root, config)
    run_id = train(root, config)
    with Store.open(root) as store:
        rewind_run(store, run_id, 7)

    assert main(["run", "--store", str(root), "--run-id", run_id]) == 0

    with Store.open(root, read_only=True) as store:
        log = (store.run_directory(run_id) / "log.txt").read_text()
        assert losses(store, run_id) == losses(store, unbroken)
    assert "step-00000008.pt: the store has no record of it" in log
    assert "training from step 6 of 8" in log


def test_an_unknown_run_is_bad_input(root, capsys):
    with Store.open(root):
        pass

    assert main(["run", "--store", str(root), "--run-id", "nothing"]) == 2
    assert "nothing" in capsys.readouterr().err


def every_label(store: Store, run_id: str, source: LabelSource) -> np.ndarray:
    page = find_labels(store, run_id, LabelFilter(source=source), limit=1_000_000)
    rows = [(r.step, r.image_id, r.class_quality, r.mask_quality, r.kept) for r in page.rows]
    return np.array(sorted(rows))


def start(root: Path, run_id: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "engine.train", "run", "--store", str(root)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*command, "--run-id", run_id], env=environment)


def wait_for_step(root: Path, run_id: str, step: int) -> None:
    """Until the store has heard of the step: real processes, so real waiting."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with Store.open(root, read_only=True) as store:
            if max(losses(store, run_id), default=-1) >= step:
                return
        time.sleep(0.05)
    raise AssertionError(f"run {run_id} did not reach step {step} in 120 s")


def kill_after(root: Path, run_id: str, step: int) -> None:
    process = start(root, run_id)
    wait_for_step(root, run_id, step)
    process.kill()
    assert process.wait(timeout=30) == -signal.SIGKILL, "it ended before it was killed"
