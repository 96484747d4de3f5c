"""Whole runs on a disk that is too small: they stop, say why, and go on when there is room."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.train import main
from lab.store.queries import get_run
from lab.store.runs import create_run
from lab.store.store import Store
from tests.integration.conftest import PL_DC, tiny_config
from tests.integration.test_training import losses, train
from tests.small_disk import make_room, mounted

CASES = {
    "no room for a third checkpoint": (
        "27m",
        12,
        3,
        "step-00000009.pt: cannot be written: no space",
    ),
    "no room for rows": ("2500k", 100, 1_000, "the store cannot be written: "),
}


@pytest.mark.parametrize(("size", "steps", "save_every", "said"), CASES.values(), ids=CASES)
def test_a_run_on_a_full_disk_says_so_and_goes_on_as_if_unbroken(
    tmp_path: Path, size: str, steps: int, save_every: int, said: str
):
    config = tiny_config(PL_DC, max_steps=steps, checkpoint_every=save_every)
    unbroken = train(tmp_path / "large", config)
    with mounted(tmp_path / "small", size) as root:
        with Store.open(root) as store:
            run_id = create_run(store, config)
        command = ["run", "--store", str(root), "--run-id", run_id]

        assert main(command) == 1
        with Store.open(root, read_only=True) as store:
            run = get_run(store, run_id)
            assert run.status == "failed"
            assert said in (run.error or "")
            assert list(root.rglob("*.tmp")) == []

        make_room(root, "200m")
        assert main(command) == 0
        with (
            Store.open(root, read_only=True) as store,
            Store.open(tmp_path / "large", read_only=True) as model,
        ):
            assert losses(store, run_id) == losses(model, unbroken)
