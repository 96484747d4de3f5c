"""`export FILE.parquet`: every label with its types, its gaps and its mask, and every curve."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from sqlalchemy import select

from app.cli import main
from app.commands.row_files import write_parquet
from lab.config import RunConfig
from lab.datasets.records import Category, Dataset, DropRule, ErrorKind
from lab.store import tables
from lab.store.recorder import StoreRecorder
from lab.store.runs import attach_datasets, create_run, run_number
from lab.store.store import Store
from tests.app.commands.conftest import BOXES, SIDE, labels_of
from tests.factories import box_scores, ellipse, pseudo_labels

pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install -e '.[parquet]'")
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[3]
HOSTILE = ('a,"b"', "two\nlines", "", "=1+1", "twin", "twin", "\ud83d half", "Ünïcödé 🦊", "\x00")


def export(store: Store, run_id: str, out: Path, *options: str) -> int:
    return main(["export", run_id, str(out), *options, "--store", str(store.root)])


def exported(store: Store, run_id: str, out: Path, *options: str) -> pa.Table:
    assert export(store, run_id, out, *options) == 0
    return pq.read_table(out)


def stored_rows(store: Store, run_id: str) -> list[dict[str, Any]]:
    """The run's labels as the table of the store has them, in the order of the file."""
    c = tables.labels.c
    with store.reading() as connection:
        found = connection.execute(
            select(tables.labels)
            .where(c.run == run_number(connection, run_id))
            .order_by(c.step, c.image_id, c.position)
        )
        return [dict(row) for row in found.mappings()]


def test_every_label_of_the_store_is_a_row_with_the_same_numbers(store: Store, tmp_path: Path):
    run_id = create_run(store, RunConfig())
    with StoreRecorder(store, run_id) as recorder:
        for step in range(4):
            plain = [pseudo_labels(7, image_id=one, seed=step) for one in (3, 1)]
            scored = [replace(one, box_scores=box_scores(one, seed=step)) for one in plain]
            recorder.pseudo_labels(step, scored if step % 2 else plain)

    rows = exported(store, run_id, tmp_path / "a.parquet", "--dropped").to_pylist()

    stored = stored_rows(store, run_id)
    assert len(rows) == len(stored) == 56
    for row, label in zip(rows, stored, strict=True):
        assert row["rule"] == DropRule(label.pop("rule")).name.lower()
        assert row["kind"] == ErrorKind(label.pop("kind")).name.lower()
        assert row["gt_id"] == (None if label["gt_id"] == -1 else label["gt_id"])
        for name in ("run", "source", "label", "label_before", "gt_id"):
            del label[name]  # the run has no classes, so they have no names
        assert {name: row[name] for name in label} == label


def test_columns_have_the_types_of_what_they_hold(store: Store, recorded: str, tmp_path: Path):
    schema = exported(store, recorded, tmp_path / "a.parquet").schema

    types = {name: schema.field(name).type for name in schema.names}
    for name in ("label_id", "step", "image_id", "position", "gt_id", "target_id"):
        assert types[name] == pa.int64(), name
    for name in ("label", "label_before", "kind", "rule", "mask"):
        assert types[name] == pa.string(), name
    for name in ("class_quality", "mask_quality", "x1", "area", "true_iou", "box_score"):
        assert types[name] == pa.float32(), name
    assert types["kept"] == types["duplicate"] == pa.bool_()
    assert types["mask_height"] == types["mask_width"] == pa.int32()


def test_the_first_labels_are_the_ones_that_were_recorded(
    store: Store, recorded: str, tmp_path: Path
):
    found = exported(store, recorded, tmp_path / "a.parquet", "--dropped", "--to", "4").to_pylist()

    assert len(found) == 8
    assert [row["label"] for row in found[:4]] == ["cat", "dog", "car", "cat"]
    assert [row["kind"] for row in found[:4]] == ["cor", "sim", "cor", "bg"]
    assert [row["rule"] for row in found[:4]] == ["kept", "kept", "class_quality", "mask_quality"]
    assert [row["kept"] for row in found[:4]] == [True, True, False, False]
    assert [row["gt_id"] for row in found[:4]] == [10, 11, 12, None]
    assert [row["rule_value"] for row in found[:3]] == [None, None, pytest.approx(0.8)]
    assert found[3]["true_iou"] is None
    assert {row["clip_after"] for row in found} == {None}


def test_a_mask_is_what_pycocotools_takes(store: Store, recorded: str, tmp_path: Path):
    rows = exported(store, recorded, tmp_path / "a.parquet", "--dropped").to_pylist()

    for row in rows:
        size = [row["mask_height"], row["mask_width"]]
        decoded = coco_mask.decode({"size": size, "counts": row["mask"]})  # pyright: ignore[reportArgumentType]
        assert (decoded == ellipse(SIDE, BOXES[row["position"]])).all()


def test_a_mask_that_was_not_kept_is_null(store: Store, tmp_path: Path):
    run_id = create_run(store, RunConfig())
    with StoreRecorder(store, run_id, keep_every=2) as recorder:
        for step in range(3):
            recorder.pseudo_labels(step, [labels_of(1)])

    found = exported(store, run_id, tmp_path / "a.parquet")

    assert found["step"].to_pylist() == [0, 0, 1, 1, 2, 2]
    for name in ("mask", "mask_height", "mask_width"):
        missing = [value is None for value in found[name].to_pylist()]
        assert missing == [False, False, True, True, False, False]


def test_only_kept_labels_of_the_window_are_written(store: Store, recorded: str, tmp_path: Path):
    everything = exported(store, recorded, tmp_path / "all.parquet", "--dropped")
    window = exported(store, recorded, tmp_path / "some.parquet", "--from", "5", "--to", "8")

    last = everything.filter(pa.compute.field("step") > 4)
    assert len(last) == 8
    assert window.equals(last.filter(pa.compute.field("kept")))
    assert window["step"].to_pylist() == [8] * 4


def test_the_file_says_which_run_it_is_of(store: Store, recorded: str, tmp_path: Path):
    metadata = exported(store, recorded, tmp_path / "a.parquet").schema.metadata

    assert metadata[b"seglab.run_id"].decode() == recorded
    assert metadata[b"seglab.run_name"].decode() == "by-hand"
    assert metadata[b"seglab.version"]


def test_the_rows_are_those_of_the_csv(store: Store, recorded: str, tmp_path: Path):
    table = exported(store, recorded, tmp_path / "a.parquet", "--dropped")
    assert export(store, recorded, tmp_path / "a.csv", "--dropped") == 0

    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [*lines[0], "mask", "mask_height", "mask_width"] == table.column_names
    for line, row in zip(lines, table.to_pylist(), strict=True):
        texts = {name: "" if row[name] is None else str(row[name]) for name in line}
        assert line == texts


def test_a_run_without_labels_is_a_file_without_rows_but_with_types(
    store: Store, run_id: str, recorded: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    found = exported(store, run_id, tmp_path / "none.parquet")
    assert "nothing to export" in capsys.readouterr().err

    full = exported(store, recorded, tmp_path / "some.parquet")
    assert len(found) == 0
    assert found.schema.equals(full.schema)


def test_without_truth_what_only_truth_can_tell_is_null(store: Store, tmp_path: Path):
    run_id = create_run(store, RunConfig())
    with StoreRecorder(store, run_id) as recorder:
        recorder.pseudo_labels(0, [pseudo_labels(5, judged=False)])

    found = exported(store, run_id, tmp_path / "a.parquet", "--dropped")

    assert found["kind"].to_pylist() == ["unknown"] * 5
    assert found["true_iou"].null_count == found["gt_id"].null_count == 5
    assert found["target_id"].null_count == found["target_iou"].null_count == 5


def test_class_names_come_as_they_are_whatever_they_hold(store: Store, tmp_path: Path):
    """But for half a character, which no file can hold: JSON can spell one."""
    categories = tuple(Category(index, name, "any") for index, name in enumerate(HOSTILE))
    run_id = create_run(store, RunConfig())
    hostile = Dataset("hostile", categories, ())
    attach_datasets(store, run_id, hostile, hostile)
    classes = np.arange(len(HOSTILE) + 1)  # the last has no name
    labels = pseudo_labels(len(classes), judged=False)
    with StoreRecorder(store, run_id) as recorder:
        recorder.pseudo_labels(0, [replace(labels, labels=classes, labels_before=classes)])

    found = exported(store, run_id, tmp_path / "a.parquet", "--dropped")

    names = [*HOSTILE[:6], "? half", *HOSTILE[7:]]
    assert found["label"].to_pylist() == found["label_before"].to_pylist() == [*names, None]
    assert export(store, run_id, tmp_path / "a.csv", "--dropped") == 0
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        assert [line["label"] for line in csv.DictReader(file)] == [*names, ""]


def test_curves_are_rows_of_step_name_value(store: Store, recorded: str, tmp_path: Path):
    with StoreRecorder(store, recorded) as recorder:
        recorder.scalars(12, {"loss/total": float("nan")})
        recorder.flush()
    out = tmp_path / "curves.parquet"

    found = exported(store, recorded, out, "--format", "scalars", "--from", "5")

    assert found.schema.names == ["step", "name", "value"]
    assert found.schema.types == [pa.int64(), pa.string(), pa.float64()]
    rows = [(row["step"], row["value"]) for row in found.to_pylist() if row["name"] == "loss/total"]
    assert rows == [(8, 0.125), (12, None)]
    assert len(exported(store, recorded, out, "--format", "scalars", "--to", "3")) == 0


def test_the_example_of_the_docs_reads_what_the_command_writes(
    store: Store, recorded: str, tmp_path: Path
):
    text = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert export(store, recorded, tmp_path / "labels.parquet") == 0

    printed = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout

    assert sorted(printed.split("\n")) == ["", "by-hand", "cor 4", "sim 4"]


def test_parts_are_gathered_into_row_groups(tmp_path: Path):
    """65,536 rows or a little more: memory holds no more than that."""
    parts = [{"n": np.arange(start, start + 10_000)} for start in range(0, 200_000, 10_000)]

    count = write_parquet(tmp_path / "a.parquet", [{"n": np.arange(0)}, *parts], {})

    groups = pq.ParquetFile(tmp_path / "a.parquet").metadata
    sizes = [groups.row_group(index).num_rows for index in range(groups.num_row_groups)]
    assert sizes == [70_000, 70_000, 60_000]
    assert count == 200_000
    assert pq.read_table(tmp_path / "a.parquet")["n"].to_pylist() == list(range(200_000))


def test_a_file_that_breaks_off_leaves_the_old_one(tmp_path: Path):
    out = tmp_path / "a.parquet"
    out.write_text("old")

    def parts():
        yield {"n": np.arange(3)}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_parquet(out, parts(), {})

    assert out.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]
