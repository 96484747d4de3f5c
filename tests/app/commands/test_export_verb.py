"""`export`: what leaves the store can be read by others, completely or not at all."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from app.cli import main
from app.commands.export import newest_of_each_image
from app.commands.row_files import replacing
from lab.config import RecordConfig, RunConfig
from lab.datasets.coco import read_coco
from lab.store.queries import checkpoints, get_run
from lab.store.recorder import StoreRecorder
from lab.store.runs import create_run
from lab.store.store import Store
from tests.app.commands.conftest import labels_of
from tests.factories import pseudo_labels

ROOT = Path(__file__).resolve().parents[3]


def export(store: Store, run_id: str, out: Path, *options: str) -> int:
    return main(["export", run_id, str(out), *options, "--store", str(store.root)])


def test_the_coco_file_holds_the_kept_labels_of_the_newest_step(
    store: Store, recorded: str, tmp_path: Path
):
    assert export(store, recorded, tmp_path / "labels.json") == 0

    dataset = read_coco(tmp_path / "labels.json", store.root / "pictures")
    assert [category.category_id for category in dataset.categories] == [3, 5, 9]
    assert [len(image.annotations) for image in dataset.images] == [2, 2]
    first, second = dataset.images[0].annotations
    assert (first.label, second.label) == (0, 1)
    assert first.box == (0.0, 0.0, 8.0, 8.0)
    assert first.mask is not None


def test_dropped_labels_come_along_when_asked_for(store: Store, recorded: str, tmp_path: Path):
    assert export(store, recorded, tmp_path / "all.json", "--dropped") == 0

    dataset = read_coco(tmp_path / "all.json", store.root / "pictures")
    assert [len(image.annotations) for image in dataset.images] == [4, 4]


def test_the_csv_has_every_label_with_classes_and_kinds_by_name(
    store: Store, recorded: str, tmp_path: Path
):
    out = tmp_path / "labels.csv"

    assert export(store, recorded, out, "--dropped", "--to", "4") == 0

    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    assert [row["label"] for row in rows[:4]] == ["cat", "dog", "car", "cat"]
    assert [row["kind"] for row in rows[:4]] == ["cor", "sim", "cor", "bg"]
    assert float(rows[1]["mask_quality"]) == pytest.approx(0.8)


def test_the_scalars_are_lines_of_step_name_value(store: Store, recorded: str, tmp_path: Path):
    out = tmp_path / "curves.csv"

    assert export(store, recorded, out, "--format", "scalars", "--from", "5") == 0

    rows = [line.split(",") for line in out.read_text(encoding="utf-8").splitlines()]
    assert rows[0] == ["step", "name", "value"]
    assert ["8", "loss/total", "0.125"] in rows
    assert not any(row[0] == "4" for row in rows)


def test_a_run_without_labels_exports_an_empty_file_and_says_so(
    store: Store, run_id: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert export(store, run_id, tmp_path / "none.csv", "--format", "csv") == 0

    assert "nothing to export" in capsys.readouterr().err
    assert (tmp_path / "none.csv").read_text(encoding="utf-8").count("\n") == 1


def test_labels_without_masks_are_refused_as_coco(
    store: Store, recorded: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    config = RunConfig(record=RecordConfig(keep=10))
    thin = create_run(store, config)
    labels = pseudo_labels(3)
    with StoreRecorder(store, thin, keep_every=10) as recorder:
        recorder.pseudo_labels(3, [replace(labels, kept=np.ones(3, bool))])
        recorder.finish("finished")

    assert export(store, thin, tmp_path / "thin.json") == 1
    assert "record.keep" in capsys.readouterr().err
    assert not (tmp_path / "thin.json").exists()


def test_the_newest_step_is_found_per_image():
    image_ids = np.array([5, 5, 7, 7, 7])
    steps = np.array([1, 3, 2, 2, 1])

    assert newest_of_each_image(image_ids, steps).tolist() == [False, True, True, True, False]
    assert newest_of_each_image(image_ids[:0], steps[:0]).tolist() == []


def test_a_file_that_could_not_be_finished_leaves_the_old_one(tmp_path: Path):
    out = tmp_path / "kept.txt"
    out.write_text("old", encoding="utf-8")

    def write_half() -> None:
        with replacing(out) as file:
            file.write("half of")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()

    assert out.read_text(encoding="utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


@pytest.mark.parametrize("name", ["a.csv", "a.json", "curves.csv", "a.seglab"])
def test_a_place_that_cannot_be_written_is_named(
    store: Store, recorded: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
):
    (tmp_path / "file").write_text("no directory")
    out = tmp_path / "file" / name

    assert export(store, recorded, out) == 1

    error = capsys.readouterr().err
    assert error.startswith(f"seglab: {out}: cannot be written: ")
    assert error.count("\n") == 1


def test_a_pipe_is_written_to_and_stays_a_pipe(store: Store, recorded: str, tmp_path: Path):
    pipe = tmp_path / "labels"
    os.mkfifo(pipe)
    heard: list[str] = []
    reader = Thread(target=lambda: heard.append(pipe.read_text(encoding="utf-8")))
    reader.start()

    assert export(store, recorded, pipe, "--format", "csv") == 0

    reader.join(timeout=30)
    assert heard[0].startswith("label_id,step,image_id")
    assert heard[0].count("\n") == 9  # names, and two kept labels of two images at two steps
    assert pipe.is_fifo()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("name", ["run.seglab", "labels.parquet"])
def test_what_is_no_stream_does_not_take_the_place_of_a_pipe(
    store: Store, recorded: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
):
    pipe = tmp_path / name
    os.mkfifo(pipe)

    assert export(store, recorded, pipe) == 2

    assert "not into a pipe or a device" in capsys.readouterr().err
    assert pipe.is_fifo()


def test_a_link_stays_and_what_it_names_is_replaced(store: Store, recorded: str, tmp_path: Path):
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.write_text("old")
    link.symlink_to(real)

    assert export(store, recorded, link) == 0

    assert link.is_symlink()
    assert real.read_text(encoding="utf-8").count("\n") == 9


def test_labels_on_images_of_no_dataset_are_refused_as_coco(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run_id = create_run(store, RunConfig())
    with StoreRecorder(store, run_id) as recorder:
        recorder.pseudo_labels(0, [labels_of(7)])

    assert export(store, run_id, tmp_path / "a.json") == 1
    assert "image 7 is in no dataset of run" in capsys.readouterr().err
    assert export(store, run_id, tmp_path / "a.csv") == 0


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--from", "9" * 20], "'--from'"),
        (["--to", "9" * 20], "'--to'"),
        (["--format", "scalars", "--dropped"], "curves have none"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    store: Store,
    recorded: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    complaint: str,
):
    assert export(store, recorded, tmp_path / "a.csv", *options) == 2

    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "a.csv").exists()


def test_without_pyarrow_one_sentence_says_what_to_install(
    store: Store, recorded: str, tmp_path: Path
):
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from app.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    out = tmp_path / "a.parquet"
    arguments = ["export", recorded, str(out), "--store", str(store.root)]

    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr.startswith(f"seglab: {out}: Parquet needs pyarrow, which cannot be imported")
    assert "pip install -e '.[parquet]' -c constraints.txt" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not out.exists()


def test_a_whole_run_goes_into_another_store(
    store: Store, recorded: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out, there = tmp_path / "run.seglab", tmp_path / "there"

    assert main(["export", "last", str(out), "--checkpoints", "--store", str(store.root)]) == 0
    assert f"run {recorded}" in capsys.readouterr().err
    assert main(["import", str(out), "--store", str(there)]) == 0
    assert f"by-hand ({recorded}) is now in {there}" in capsys.readouterr().out
    assert main(["import", str(out), "--store", str(there), "--json"]) == 0

    assert json.loads(capsys.readouterr().out)["imported"] is False
    with Store.open(there, read_only=True) as other:
        assert get_run(other, recorded).config == get_run(store, recorded).config
        (checkpoint,) = checkpoints(other, recorded)
        assert checkpoint.path.read_bytes() == b"weights"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["run.seglab", "--from", "3"], "with all its labels and steps"),
        (["run.seglab", "--dropped"], "with all its labels and steps"),
        (["labels.json", "--checkpoints"], "into a whole run only"),
    ],
)
def test_a_whole_run_takes_no_choice(
    store: Store,
    recorded: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    complaint: str,
):
    out, *rest = arguments
    command = ["export", "last", str(tmp_path / out), *rest, "--store", str(store.root)]

    assert main(command) == 2
    assert complaint in capsys.readouterr().err


def test_what_is_no_run_file_is_refused(
    tmp_path: Path, store: Store, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "a.seglab").write_text("hello")

    for name in ("a.seglab", "nowhere.seglab"):
        assert main(["import", str(tmp_path / name), "--store", str(store.root)]) == 2
        assert name in capsys.readouterr().err
