"""`seglab sweep`: what is refused before anything is trained, and what a look leaves untouched."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.cli import main
from app.worker_slots import run_in_slots
from lab.config import parse_run_config
from lab.store.queries import get_run
from lab.store.runs import claim_run, create_run
from lab.store.store import Store

BASE = """
dataset = { source = "shapes", num_train = 8, num_val = 2, image_size = 64 }
schedule = { max_steps = 4, labeled_batch = 1, unlabeled_batch = 1, device = "cpu" }
"""


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    (tmp_path / "base.toml").write_text(BASE)
    file = tmp_path / "sweep.toml"
    file.write_text('base = "base.toml"\n[[run]]\nname = "supervised"\n')
    return file


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing/table.md", "there is no directory"),
        ("table.txt", "ends in .csv or .md"),
        ("base.toml/table.md", "there is no directory"),
    ],
)
def test_a_table_that_could_not_be_written_is_refused_first(
    tmp_path: Path, sweep: Path, name: str, reason: str, capsys: pytest.CaptureFixture[str]
):
    root = tmp_path / "store"
    out = str(tmp_path / name)

    assert main(["sweep", str(sweep), "--store", str(root), "--export", out]) == 2
    told = capsys.readouterr().err
    assert f"--export {out}: " in told and reason in told
    assert not root.exists() and not (tmp_path / "missing").exists()


def test_a_directory_without_a_store_is_fine_for_a_dry_run(
    tmp_path: Path, sweep: Path, capsys: pytest.CaptureFixture[str]
):
    root = tmp_path / "store"
    root.mkdir()

    assert main(["sweep", str(sweep), "--dry-run", "--store", str(root)]) == 0
    assert "1 runs, 0 of them finished; 4 of 4 steps" in capsys.readouterr().out
    assert list(root.iterdir()) == []


def test_values_of_the_file_are_not_blamed_on_an_option(
    sweep: Path, capsys: pytest.CaptureFixture[str]
):
    with sweep.open("a") as file:
        file.write("set = { record.nope = 1 }\n")

    assert main(["sweep", str(sweep), "--dry-run"]) == 2
    told = capsys.readouterr().err
    assert "base.toml with the sweep's values: record.nope = 1: unknown key" in told


def test_a_run_whose_process_left_no_word_gets_one(tmp_path: Path):
    """Its files are gone, so the engine ends with an error; the row said `running` before."""
    with Store.open(tmp_path) as store:
        run_id = create_run(store, parse_run_config({"dataset": {"source": "shapes"}}))
        claim_run(store, run_id)
        store.run_directory(run_id).mkdir(parents=True, exist_ok=True)
        (store.run_directory(run_id) / "log.txt").mkdir()

        codes = run_in_slots(store, [run_id], slots=1, look=lambda _: None)

        assert codes[run_id] != 0
        assert get_run(store, run_id).status == "failed"
