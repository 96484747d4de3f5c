"""Whole runs on two processes: recorded once, resumed exactly, stopped and killed like others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from app.cli import main
from lab.config import RunConfig
from lab.datasets.records import LabelSource
from lab.store.queries import evaluations, get_run, label_steps, step_summaries
from lab.store.runs import create_run
from lab.store.store import Store
from tests.integration.conftest import PL_DC, SUPERVISED, tiny_config
from tests.integration.test_training import every_label, losses, start, train, wait_for_step

SHARED = {"labeled_batch": 4, "unlabeled_batch": 4, "optimizer": "sgd", "learning_rate": 0.01}
LONG = 2_000


def config_for(processes: int) -> RunConfig:
    method = PL_DC | {"class_threshold": 0.0, "mask_threshold": 0.3}
    return tiny_config(method, processes=processes, clip_norm=1.0, **SHARED)


def new_run(root: Path, config: RunConfig) -> str:
    with Store.open(root) as store:
        return create_run(store, config)


def train_on_two(root: Path) -> str:
    run_id = new_run(root, config_for(2))
    assert start(root, run_id).wait(timeout=120) == 0
    return run_id


def ranks_of(launcher: subprocess.Popen[bytes]) -> dict[int, psutil.Process]:
    """Its processes by rank, once both are there."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = psutil.Process(launcher.pid).children()
        named = {int(one.environ().get("RANK", -1)): one for one in found}
        if {0, 1} <= named.keys():
            return named
        time.sleep(0.05)
    raise AssertionError("two ranks did not start in 60 s")


def test_two_processes_record_once_what_one_records(root):
    alone, together = train(root, config_for(1)), train_on_two(root)

    with Store.open(root, read_only=True) as store:
        one, both = losses(store, alone), losses(store, together)
        assert get_run(store, together).config["schedule"]["processes"] == 2
        assert sorted(both) == list(range(8))
        np.testing.assert_allclose([both[n] for n in range(4)], [one[n] for n in range(4)], 1e-5)
        np.testing.assert_allclose(list(both.values()), list(one.values()), rtol=1e-2)
        first, again = (step_summaries(store, run)[0] for run in (alone, together))
        assert (first.step, first.candidates) == (again.step, again.candidates)
        for source in LabelSource:
            steps = [label_steps(store, run, source).tolist() for run in (alone, together)]
            assert steps[0] == steps[1]
        assert images_of(store, together) == images_of(store, alone)
        said = [(e.step, e.model) for e in evaluations(store, together)]
        assert said == [(8, "student"), (8, "teacher")]
        assert (store.run_directory(together) / "log.txt").read_text().count("finished") == 1


def images_of(store: Store, run_id: str) -> list[set[tuple[float, float]]]:
    """Per source, which images have labels at which step."""
    return [{(row[0], row[1]) for row in every_label(store, run_id, one)} for one in LabelSource]


def test_a_run_whose_second_process_is_killed_says_so_and_goes_on_as_if_unbroken(root):
    config = config_for(2)
    config = config.model_copy(
        update={"schedule": config.schedule.model_copy(update={"max_steps": 24})}
    )
    unbroken, broken = new_run(root, config), new_run(root, config)
    assert start(root, unbroken).wait(timeout=120) == 0
    launcher = start(root, broken)
    second = ranks_of(launcher)[1]
    wait_for_step(root, broken, 6)
    second.kill()

    assert launcher.wait(timeout=60) == 1
    with Store.open(root, read_only=True) as store:
        run = get_run(store, broken)
        assert (run.status, run.error) == ("failed", "process 2 of 2 was ended by SIGKILL")

    assert start(root, broken).wait(timeout=120) == 0
    with Store.open(root, read_only=True) as store:
        assert losses(store, broken) == losses(store, unbroken)
        for source in LabelSource:
            np.testing.assert_array_equal(
                every_label(store, broken, source), every_label(store, unbroken, source)
            )


def test_a_stopped_run_on_two_processes_leaves_a_checkpoint(root):
    run_id = new_run(
        root, tiny_config(SUPERVISED, processes=2, max_steps=LONG, checkpoint_every=LONG)
    )
    launcher = start(root, run_id)
    wait_for_step(root, run_id, 2)
    launcher.send_signal(signal.SIGTERM)

    assert launcher.wait(timeout=60) == 0
    with Store.open(root, read_only=True) as store:
        assert get_run(store, run_id).status == "stopped"
        assert len(list((store.run_directory(run_id) / "checkpoints").glob("step-*.pt"))) == 1


def test_no_process_outlives_the_one_that_started_it(root):
    run_id = new_run(
        root, tiny_config(SUPERVISED, processes=2, max_steps=LONG, checkpoint_every=LONG)
    )
    launcher = start(root, run_id)
    ranks = list(ranks_of(launcher).values())
    wait_for_step(root, run_id, 1)
    os.kill(launcher.pid, signal.SIGKILL)

    _, alive = psutil.wait_procs(ranks, timeout=30)
    assert alive == []
    launcher.wait()


def test_an_option_says_how_many_processes_share_a_batch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file = tmp_path / "shared.toml"
    file.write_text('[method]\nname = "supervised"\n[schedule]\nlabeled_batch = 3\n')

    assert main(["train", str(file), "--processes", "2", "--store", str(tmp_path / "s")]) == 2
    told = capsys.readouterr().err
    assert str(file) in told and "schedule.labeled_batch = 3" in told
    assert "schedule.processes = 2" in told
    assert main(["train", str(file), "--processes", "2", "--gpus", "2"]) == 2
    assert "--gpus" in json.dumps(capsys.readouterr().err)
