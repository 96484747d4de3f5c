"""What each run takes on disk: the numbers of `seglab gc`, in a column that waits for them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import Page, Route, expect

from app.api_sizes import sizes_now
from app.run_sizes import RunSizes
from lab.config import RunConfig
from lab.store.queries import list_runs, scalar_names
from lab.store.recorder import StoreRecorder
from lab.store.retention import MaskPolicy, carry_out, plan_retention
from lab.store.row_bytes import BYTES_PER_LABEL, BYTES_PER_LABEL_SET, BYTES_PER_SCALAR
from lab.store.run_bytes import run_bytes
from lab.store.runs import create_run, delete_run
from lab.store.store import Store
from tests.factories import pseudo_labels


def record(store: Store, name: str, labels: int) -> str:
    """A finished run with `labels` labels at each of two steps of one image, and one scalar."""
    run = create_run(store, RunConfig(name=name))
    with StoreRecorder(store, run) as recorder:
        for step in (0, 1):
            recorder.pseudo_labels(step, [pseudo_labels(labels, seed=step)])
        recorder.scalars(1, {"loss/total": 1.0})
        recorder.finish("finished")
    return run


def test_sizes_are_those_of_the_verb(client: TestClient, lab_root: Path) -> None:
    answer = client.get("/lab/sizes").json()

    with Store.open(lab_root, read_only=True) as store:
        expected = {run.run_id: run_bytes(store, run.run_id).total for run in list_runs(store)}
    assert {run: size["total"] for run, size in answer["sizes"].items()} == expected
    assert answer["waiting"] == 0


def test_a_size_is_the_sum_of_its_kinds(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        run = record(store, "a", labels=3)
        checkpoints = store.run_directory(run) / "checkpoints"
        checkpoints.mkdir(parents=True)
        (checkpoints / "step-1.pt").write_bytes(bytes(1_000))
        points = len(scalar_names(store, run))  # the loss, and what the machine was doing then
        size = sizes_now(tmp_path, RunSizes())["sizes"][run]

    kinds = size["kinds"]
    assert kinds["checkpoints"] == 1_000
    assert kinds["scores"] == 6 * BYTES_PER_LABEL + 2 * BYTES_PER_LABEL_SET  # two sets of three
    assert kinds["curves"] == points * BYTES_PER_SCALAR
    assert kinds["masks"] > 0
    assert set(kinds) <= {"checkpoints", "scores", "curves", "masks", "other"}  # none that is 0
    assert size["total"] == sum(kinds.values())


def test_an_impatient_look_measures_one_run_and_the_next_another(tmp_path: Path) -> None:
    sizes = RunSizes()
    with Store.open(tmp_path) as store:
        older, newer = record(store, "older", 2), record(store, "newer", 2)

        first = sizes.look(store, patience=0)
        second = sizes.look(store, patience=0)

    assert first[older] is None
    assert first[newer] is not None
    assert None not in second.values()


def test_what_was_recorded_or_removed_since_is_measured_again(tmp_path: Path) -> None:
    sizes = RunSizes()
    with Store.open(tmp_path) as store:
        run = record(store, "a", labels=5)
        before = sizes.look(store)[run]

        carry_out(store, plan_retention(store, list_runs(store), MaskPolicy(keep_every=None)))
        after = sizes.look(store)[run]

        assert before is not None
        assert after is not None
        assert 0 < after.masks < before.masks  # the newest step keeps its masks
        assert after.total == run_bytes(store, run).total
        delete_run(store, run)
        assert sizes.look(store) == {}


def test_there_need_not_be_a_store(tmp_path: Path) -> None:
    assert sizes_now(tmp_path / "none", RunSizes()) == {"sizes": {}, "waiting": 0}


@pytest.mark.browser
def test_sizes_come_after_the_list_move_nothing_and_sort_it(page: Page, lab_root: Path) -> None:
    with Store.open(lab_root) as store:
        run = record(store, "large", labels=900)
    held: list[Route] = []
    page.route("**/lab/sizes", lambda route: held.append(route))
    page.goto("/")
    sizes = page.locator("td .size")
    expect(sizes).to_have_text(["…"] * 4)
    places = (
        "() => [...document.querySelectorAll('th, td')].map((n) => n.getBoundingClientRect().x)"
    )
    before = page.evaluate(places)

    for route in held:
        route.continue_()
    page.unroute("**/lab/sizes")

    expect(sizes).to_have_text([re.compile(r"^[\d.]+ kB$")] * 4)
    assert page.evaluate(places) == before
    expect(sizes.first).to_have_attribute("title", re.compile("masks: .* kB"))
    page.get_by_role("button", name="Size", exact=True).press("Enter")
    expect(page.locator("th[aria-sort=descending]")).to_contain_text("Size")
    expect(page.locator("tbody tr").first).to_contain_text("large")
    expect(page).to_have_url(re.compile("sort=size"))
    page.goto("about:blank")
    with Store.open(lab_root) as store:
        delete_run(store, run)
