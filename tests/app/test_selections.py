"""Labels that somebody picked out: the page Labels shows exactly these."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.fiftyone.actions import remember_selection
from app.selections import labels_page, selections
from app.server import build_routes
from lab.store.queries import LabelFilter, label_columns
from lab.store.store import Store
from tests.app.commands.conftest import record_by_hand


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "lab"


@pytest.fixture
def run_id(root: Path) -> str:
    """Labels in steps 4 and 8."""
    with Store.open(root) as store:
        return record_by_hand(store)


@pytest.fixture
def ids(root: Path, run_id: str) -> list[int]:
    """The first label of step 4 and the last of step 8."""
    with Store.open(root, read_only=True) as store:
        found = label_columns(store, run_id, LabelFilter(), ("label_id",))["label_id"]
    return [int(found[0]), int(found[-1])]


@pytest.fixture
def routes(root: Path, run_id: str) -> Iterator[TestClient]:
    with TestClient(build_routes(root)) as client:
        yield client


def test_a_selection_is_a_page_of_exactly_its_labels(
    root: Path, run_id: str, ids: list[int], routes: TestClient
) -> None:
    picked = remember_selection(root, run_id, ids, "odd cats")

    page = routes.get(f"/lab/runs/{run_id}/labels", params={"selection": picked}).json()

    assert sorted(row["id"] for row in page["rows"]) == ids
    assert (page["total"], page["selection"]) == (2, "odd cats")
    assert {row["step"] for row in page["rows"]} == {4, 8}


def test_steps_do_not_narrow_a_selection_but_filters_do(
    root: Path, run_id: str, ids: list[int], routes: TestClient
) -> None:
    picked = {"selection": remember_selection(root, run_id, ids, "two")}
    where = f"/lab/runs/{run_id}/labels"

    at_step = routes.get(where, params={**picked, "it": 4, "span": 1}).json()
    parts = [routes.get(where, params={**picked, "kept": kept}).json() for kept in (True, False)]

    assert at_step["total"] == 2
    assert sum(part["total"] for part in parts) == 2


@pytest.mark.parametrize("wrong", [0, -5, 10_000])
def test_a_selection_that_is_not_there_is_named(
    run_id: str, routes: TestClient, wrong: int
) -> None:
    answer = routes.get(f"/lab/runs/{run_id}/labels", params={"selection": wrong})

    assert answer.status_code == 422
    assert answer.json()["detail"] == f"selection={wrong}: run {run_id} has no such selection"


def test_a_run_lists_its_selections_and_where_they_are_shown(
    root: Path, run_id: str, ids: list[int]
) -> None:
    first = remember_selection(root, run_id, ids, "odd cats")

    with Store.open(root, read_only=True) as store:
        (found,) = selections(store, run_id)

    assert (found.name, found.label_ids) == ("odd cats", tuple(ids))
    assert labels_page(run_id, found.selection_id) == (
        f"/labels?run={run_id}&span=0&selection={first}"
    )
