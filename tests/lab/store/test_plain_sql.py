"""People ask in SQL: everything can be read, in names, and nothing can be changed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lab.store.plain_sql import BadQuestion, ask_sql, table_columns
from lab.store.queries import LabelFilter, find_labels, get_run
from lab.store.runs import add_event
from lab.store.sql_views import VIEWS
from lab.store.store import Store
from lab.store.transfer import run_digest
from tests.app.commands.conftest import record_by_hand


@pytest.fixture
def recorded(store: Store) -> str:
    return record(store)


def record(store: Store) -> str:
    run_id = record_by_hand(store)
    add_event(store, run_id, 8, "thresholds", {"mask_threshold": 0.75})
    return run_id


def test_labels_are_asked_for_by_names(store: Store, recorded: str):
    found = ask_sql(
        store,
        "SELECT class, kind, rule, count(*) FROM pseudo_labels "
        f"WHERE run_id = '{recorded}' AND step = 8 GROUP BY class, kind, rule ORDER BY 1, 2",
    )

    # Two images with the same four candidates each.
    assert found.rows == [
        ("car", "cor", "class_quality", 2),
        ("cat", "bg", "mask_quality", 2),
        ("cat", "cor", "kept", 2),
        ("dog", "sim", "kept", 2),
    ]


def test_a_view_tells_the_numbers_of_the_labels(store: Store, recorded: str):
    page = find_labels(store, recorded, LabelFilter(image_id=2, first_step=8), sort="label_id")

    found = ask_sql(
        store,
        "SELECT label_id, mask_quality, area, true_iou, mask IS NOT NULL FROM pseudo_labels "
        "WHERE image_id = 2 AND step = 8 ORDER BY label_id",
    )

    numbers = [(r.label_id, r.mask_quality, r.area, r.true_iou, 1.0) for r in page.rows]
    told = [tuple(None if value is None else float(value) for value in row) for row in found.rows]
    assert [str(row) for row in told] == [
        str(tuple(map(float, row))).replace("nan", "None") for row in numbers
    ]


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_every_view_answers_with_the_columns_it_explains(store: Store, recorded: str, view):
    found = ask_sql(store, f"SELECT * FROM {view.name}")

    assert [name.lower() for name in found.columns] == [one.name.lower() for one in view.columns]
    assert all(column.about for column in view.columns)
    assert found.rows or view.name == "probe_labels"


def test_scores_of_classes_and_curves_and_events_are_rows(store: Store, recorded: str):
    scores = "SELECT class, AP FROM class_scores WHERE model = 'teacher' ORDER BY class"
    curve = "SELECT step, value FROM curves WHERE name = 'loss/total' ORDER BY step"

    assert ask_sql(store, scores).rows == [("car", None), ("cat", 40.0), ("dog", 20.0)]
    assert ask_sql(store, curve).rows == [(4, 0.25), (8, 0.125)]
    assert ask_sql(store, "SELECT AP, AP50 FROM evaluation_scores").rows == [(30.0, 50.0)]


@pytest.mark.parametrize(
    ("database", "path"),
    [
        ("sqlite", "json_extract(payload, '$.mask_threshold')"),
        pytest.param("postgres", "payload ->> 'mask_threshold'", marks=pytest.mark.postgres),
    ],
    indirect=["database"],
)
def test_json_is_asked_in_the_databases_own_words(store: Store, recorded: str, path: str):
    ((kind, value),) = ask_sql(store, f"SELECT kind, {path} FROM run_events").rows

    assert (kind, float(str(value))) == ("thresholds", 0.75)


def test_json_and_times_are_text(store: Store, recorded: str):
    ((config, created),) = ask_sql(store, "SELECT config, created FROM run_list").rows

    assert json.loads(str(config))["name"] == "by-hand"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", str(created))


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM labels",
        "UPDATE runs SET name = 'mine'",
        "INSERT INTO counters VALUES ('a', 1)",
        "CREATE TABLE mine (a)",
        "CREATE TEMP TABLE mine (a)",
        "DROP TABLE labels",
        "VACUUM",
        "WITH a AS (SELECT 1) DELETE FROM labels",
        "BEGIN IMMEDIATE",
    ],
)
def test_what_changes_something_is_refused_in_one_sentence(
    store: Store, recorded: str, statement: str
):
    before = run_digest(store, recorded)

    with pytest.raises(BadQuestion, match=r"^sql: only questions are allowed here") as refusal:
        ask_sql(store, statement)

    assert "\n" not in str(refusal.value)
    assert run_digest(store, recorded) == before


@pytest.mark.parametrize(
    "statement",
    ["PRAGMA user_version = 9", "PRAGMA query_only = OFF", "ATTACH ':memory:' AS other"],
)
def test_a_file_is_not_written_to(file_store: Store, statement: str):
    record(file_store)
    before = Path(file_store.name).read_bytes()

    with pytest.raises(BadQuestion, match=r"^sql: only questions are allowed here"):
        ask_sql(file_store, statement)

    assert Path(file_store.name).read_bytes() == before


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgres"], indirect=True)
@pytest.mark.parametrize(
    "statement",
    [
        "COPY runs TO PROGRAM 'touch /tmp/mine'",
        "DO $$ BEGIN DELETE FROM runs; END $$",
        "SET TRANSACTION READ WRITE",
        "COMMIT",
        "/* SELECT */ -- SELECT\n DELETE FROM runs",
        "EXPLAIN ANALYZE DELETE FROM runs",
        "SELECT * INTO mine FROM runs",
        "SELECT * FROM runs FOR UPDATE",
        "WITH gone AS (DELETE FROM runs RETURNING *) SELECT * FROM gone",
    ],
)
def test_a_server_is_not_written_to(store: Store, recorded: str, statement: str):
    with pytest.raises(BadQuestion, match=r"^sql: only questions are allowed here"):
        ask_sql(store, statement)

    assert get_run(store, recorded).status == "finished"


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("SELECT * FROM nowhere", r"(no such table: |\")nowhere.*`seglab sql --tables`"),
        ("SELECT nowhat FROM run_list", r"(no such column: |\")nowhat.*`seglab sql --tables`"),
        ("SELEKT 1", r'near "SELEKT": syntax error|begin with SELECT'),
        ("SELECT FROM WHERE", r'near "FROM": syntax error|at or near "WHERE"'),
        ("SELECT 1; SELECT 2", "one statement at a time"),
        ("", "nothing was asked"),
    ],
)
def test_a_question_that_makes_no_sense_is_explained(store: Store, statement: str, sentence: str):
    with pytest.raises(BadQuestion, match=sentence):
        ask_sql(store, statement)


def test_more_rows_than_wanted_are_noticed(store: Store):
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) "

    assert ask_sql(store, f"{numbers} SELECT i FROM n", 4).more is True
    assert ask_sql(store, f"{numbers} SELECT i FROM n", 5).more is False
    assert len(ask_sql(store, f"{numbers} SELECT i FROM n", None).rows) == 5


def test_a_reader_that_may_not_write_can_ask(store: Store, recorded: str):
    with Store.open(store.root, read_only=True) as reader:
        assert ask_sql(reader, "SELECT run_id FROM run_list").rows == [(recorded,)]
        assert "packed" in table_columns(reader)["label_sets"]


def test_labels_of_a_step_are_found_by_index(file_store: Store):
    recorded = record(file_store)
    plan = ask_sql(
        file_store,
        "EXPLAIN QUERY PLAN SELECT class_quality FROM pseudo_labels "
        f"WHERE run_id = '{recorded}' AND step = 8",
    )

    assert "labels_of_a_step (run=? AND source=? AND step=?)" in str(plan.rows)
    assert "label_masks" not in str(plan.rows)
    assert "class_names" not in str(plan.rows)
