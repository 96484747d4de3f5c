"""`seglab sql`: answers for people, programs and spreadsheets."""

from __future__ import annotations

import json

import pytest

from app.cli import main
from lab.store.store import Store

Captured = pytest.CaptureFixture[str]
KEPT = "SELECT class, count(*) AS labels FROM pseudo_labels WHERE kept GROUP BY class ORDER BY 1"


def test_an_answer_is_a_table_json_or_csv(store: Store, recorded: str, capsys: Captured):
    root = ["--store", str(store.root)]

    assert main(["sql", KEPT, *root]) == 0
    table = capsys.readouterr().out
    assert main(["sql", KEPT, *root, "--json"]) == 0
    objects = json.loads(capsys.readouterr().out)
    assert main(["sql", KEPT, *root, "--csv"]) == 0
    lines = capsys.readouterr().out

    assert [line.split() for line in table.splitlines()] == [
        ["class", "labels"],
        ["cat", "4"],
        ["dog", "4"],
    ]
    assert objects == [{"class": "cat", "labels": 4}, {"class": "dog", "labels": 4}]
    assert lines == "class,labels\ncat,4\ndog,4\n"


def test_rows_that_were_cut_off_are_noted_beside_the_answer(
    store: Store, recorded: str, capsys: Captured
):
    arguments = ["sql", "SELECT * FROM curves", "--limit", "1", "--json"]

    assert main([*arguments, "--store", str(store.root)]) == 0

    captured = capsys.readouterr()
    assert len(json.loads(captured.out)) == 1
    assert "the first 1 rows; --limit 0 answers all" in captured.err


def test_packed_bytes_are_printed_as_hexadecimal(store: Store, recorded: str, capsys: Captured):
    question = "SELECT packed FROM label_sets LIMIT 1"

    assert main(["sql", question, "--store", str(store.root), "--json"]) == 0

    assert len(bytes.fromhex(json.loads(capsys.readouterr().out)[0]["packed"])) == 4 * 84


def test_tables_explain_themselves(store: Store, capsys: Captured):
    assert main(["sql", "--tables", "--store", str(store.root)]) == 0
    told = capsys.readouterr().out
    assert main(["sql", "--tables", "--store", str(store.root), "--json"]) == 0
    known = json.loads(capsys.readouterr().out)

    assert "mask quality in [0, 1]" in told
    assert "for example: seglab sql" in told
    assert known["views"]["pseudo_labels"]["columns"]["kept"] == "1 = it taught the student"
    assert "label_sets" in known["tables"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "either a SELECT statement or --tables"),
        (["SELECT 1", "--tables"], "either a SELECT statement or --tables"),
        (["SELECT 1", "--csv", "--json"], "either --csv or --json"),
        (["DELETE FROM runs"], "only questions are allowed"),
    ],
)
def test_wrong_use_is_one_sentence(
    store: Store, capsys: Captured, arguments: list[str], complaint: str
):
    assert main(["sql", *arguments, "--store", str(store.root)]) == 2
    assert complaint in capsys.readouterr().err


def test_columns_of_one_name_are_refused_as_json_and_shown_as_csv(
    store: Store, recorded: str, capsys: Captured
):
    arguments = ["sql", "SELECT 1 AS a, 2 AS a", "--store", str(store.root)]

    assert main([*arguments, "--json"]) == 2
    assert "two columns are called a" in capsys.readouterr().err
    assert main([*arguments, "--csv"]) == 0
    assert capsys.readouterr().out == "a,a\n1,2\n"


def test_a_limit_beyond_all_measure_is_bad_input(store: Store, recorded: str, capsys: Captured):
    arguments = ["sql", "SELECT 1", "--limit", "9" * 20, "--store", str(store.root)]

    assert main(arguments) == 2
    assert "--limit" in capsys.readouterr().err
