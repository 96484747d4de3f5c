"""Stores of every older version open, walk forward, and hold what they held."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from lab.config import RunConfig
from lab.datasets.records import DropRule, ErrorKind
from lab.store.queries import (
    LabelFilter,
    checkpoints,
    evaluations,
    events,
    find_labels,
    image_record,
    label_columns,
    label_masks,
    list_runs,
    scalar_series,
    step_summaries,
)
from lab.store.runs import create_run, delete_run
from lab.store.schema import newest_version
from lab.store.store import Store
from tests.app.commands.conftest import labels_of
from tests.lab.store.old_stores import boxes_path_of, path_of, restore

VERSIONS = range(1, newest_version() + 1)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_store_of_every_version_is_kept(version: int):
    paths = [path_of(version)] + ([boxes_path_of(version)] if version >= 3 else [])

    assert all(path.is_file() for path in paths), (
        f"no store of schema version {version}: python -m tests.lab.store.old_stores writes it, "
        "and it is committed with the migration"
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_an_old_store_answers_every_question_as_before(tmp_path: Path, version: int):
    restore(path_of(version), tmp_path)

    with Store.open(tmp_path) as store:
        fork, run = list_runs(store)
        page = find_labels(store, run.run_id, LabelFilter(image_id=2, first_step=8))
        masks = label_masks(store, [row.label_id for row in page.rows])
        found = label_columns(store, run.run_id, LabelFilter(), ("kind", "rule", "mask_quality"))
        curve = scalar_series(store, run.run_id, ["loss/total"])["loss/total"]
        (evaluation,) = evaluations(store, run.run_id)
        (event,) = events(store, run.run_id)

        # Before version 4 a checkpoint after ten steps was taken for a step 10.
        assert run.step == (10 if version < 4 else 9)
        assert (run.status, run.name) == ("finished", "by-hand")
        assert (fork.parent_run_id, fork.parent_step) == (run.run_id, 10)
        assert [category.name for category in run.categories] == ["cat", "dog", "car"]
        assert page.total == 4
        assert [masks[row.label_id] for row in page.rows] == [
            labels_of(2).masks[row.position] for row in page.rows
        ]
        kinds = [ErrorKind.COR, ErrorKind.SIM, ErrorKind.COR, ErrorKind.BG]
        rules = [DropRule.KEPT, DropRule.KEPT, DropRule.CLASS_QUALITY, DropRule.MASK_QUALITY]
        assert found["kind"].tolist() == 4 * kinds
        assert found["rule"].tolist() == 4 * rules
        assert found["mask_quality"].tolist() == pytest.approx(4 * [0.9, 0.8, 0.95, 0.4])
        assert dict(zip(curve.steps.tolist(), curve.values.tolist(), strict=True)) == {
            4: 0.25,
            8: 0.125,
        }
        assert [one.kept for one in step_summaries(store, run.run_id)] == [4, 4]
        assert (evaluation.metrics["AP"], evaluation.per_class["cat"]) == (30.0, 40.0)
        assert (event.kind, event.payload) == ("thresholds", {"mask_threshold": 0.75})
        assert [one.step for one in checkpoints(store, run.run_id)] == [10]
        assert len(image_record(store, run.run_id, 1).annotations) == 1


@pytest.mark.parametrize("version", VERSIONS)
def test_an_old_store_takes_new_runs_and_loses_old_ones(tmp_path: Path, version: int):
    restore(path_of(version), tmp_path)

    with Store.open(tmp_path) as store:
        fork, run = list_runs(store)
        new = create_run(store, RunConfig(), parent_run_id=run.run_id, parent_step=4)
        delete_run(store, run.run_id)

        assert {row.run_id for row in list_runs(store)} == {new, fork.run_id}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_store_that_walked_forward_has_the_shape_of_a_new_one(tmp_path: Path, version: int):
    restore(path_of(version), tmp_path / "old")

    for name in ("old", "new"):
        Store.open(tmp_path / name).close()

    assert shape(tmp_path / "old" / "store.db") == shape(tmp_path / "new" / "store.db")


def shape(path: Path) -> dict[str, object]:
    """Tables with their columns, indexes with theirs, and the version; the order is free."""
    connection = sqlite3.connect(path)
    tables = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    ).fetchall()
    found: dict[str, object] = {
        "version": connection.execute("PRAGMA user_version").fetchone(),
        "application": connection.execute("PRAGMA application_id").fetchone(),
    }
    for (table,) in tables:
        columns = connection.execute(
            'SELECT name, type, "notnull", pk FROM pragma_table_info(?)', (table,)
        )
        indexes = connection.execute(
            'SELECT i.name, i."unique", c.seqno, c.name FROM pragma_index_list(?) AS i, '
            "pragma_index_info(i.name) AS c",
            (table,),
        )
        found[table] = (set(columns.fetchall()), set(indexes.fetchall()))
    connection.close()
    return found
