"""`seglab gc`: told first, done with --yes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.cli import main
from app.commands.terminal import byte_size
from lab.store.queries import LabelFilter, find_labels, list_runs
from lab.store.store import Store

Captured = pytest.CaptureFixture[str]


def answer(capsys: Captured, store: Store, *arguments: str) -> Any:
    assert main(["gc", *arguments, "--store", str(store.root), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def masks_of(store: Store, run_id: str) -> int:
    return sum(row.has_mask for row in find_labels(store, run_id, LabelFilter()).rows)


def test_it_only_tells_until_it_may(store: Store, recorded: str, capsys: Captured):
    told = answer(capsys, store, "--masks")
    assert told["done"] is False
    assert masks_of(store, recorded) == 16

    done = answer(capsys, store, "--masks", "--yes")

    assert done["done"] is True
    # Step 8 is the newest and keeps its 8 masks; the 8 of step 4 go.
    assert told["runs"][0]["masks"] == done["runs"][0]["masks"] == 8
    assert masks_of(store, recorded) == 8
    assert done["runs"][0]["total_after"] == pytest.approx(told["runs"][0]["total_after"], abs=2)
    assert done["runs"][0]["total_after"] < done["runs"][0]["total_before"]


def test_sizes_are_shown_per_run_and_kind(store: Store, recorded: str, capsys: Captured):
    assert main(["gc", "--store", str(store.root)]) == 0

    captured = capsys.readouterr()
    heading, line = captured.out.splitlines()[:2]
    assert heading.split() == [
        *("run", "name", "masks", "scores", "curves"),
        *("checkpoints", "predictions", "logs", "other", "total", "after"),
    ]
    assert recorded in line
    assert "nothing to remove" in captured.err


def test_young_runs_are_kept_by_age(store: Store, recorded: str, capsys: Captured):
    assert answer(capsys, store, "--masks", "--older-than", "1")["runs"] == []
    assert len(answer(capsys, store, "--masks", "--older-than", "0")["runs"]) == 1


def test_a_run_is_deleted_by_name_alone(store: Store, recorded: str, capsys: Captured):
    told = answer(capsys, store, recorded, "--delete")
    assert told["runs"][0]["total_after"] == 0
    assert len(list_runs(store)) == 1

    answer(capsys, store, recorded, "--delete", "--yes")

    assert list_runs(store) == []
    assert not store.run_directory(recorded).exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--masks", "--keep-every", "3"], "either --masks"),
        (["--delete"], "the names of the runs to delete"),
        (["last", "--delete", "--masks"], "and nothing else"),
        (["--keep-every", "0"], "keep-every"),
    ],
)
def test_wrong_use_changes_nothing(
    store: Store, recorded: str, capsys: Captured, arguments: list[str], complaint: str
):
    assert main(["gc", *arguments, "--yes", "--store", str(store.root)]) == 2
    assert complaint in capsys.readouterr().err
    assert masks_of(store, recorded) == 16


def test_sizes_read_like_sizes():
    assert [byte_size(one) for one in (0, 1, 1023, 1536, 150 * 1024, 3 * 2**30)] == [
        *("-", "1 B", "1023 B", "1.5 KB", "150 KB", "3.0 GB"),
    ]


def test_a_run_that_is_named_twice_is_one(store: Store, recorded: str, capsys: Captured):
    named = [recorded, "last"]
    assert len(answer(capsys, store, *named)["runs"]) == 1

    assert len(answer(capsys, store, *named, "--delete", "--yes")["runs"]) == 1
    assert list_runs(store) == []


def test_where_no_store_is_none_is_made(tmp_path: Path, capsys: Captured):
    assert main(["gc", "--yes", "--store", str(tmp_path / "nowhere")]) == 2

    assert "no store here" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
