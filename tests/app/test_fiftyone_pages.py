"""The way to FiftyOne and back, on the pages: the command, the links, the labels picked there."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from app.fiftyone.actions import remember_selection
from app.fiftyone_sessions import Session, announced
from lab.store.processes import this_process
from lab.store.queries import LabelFilter, label_columns
from lab.store.store import Store

pytestmark = pytest.mark.browser


def test_errors_tells_how_to_open_fiftyone_and_links_to_an_open_one(
    page: Page, lab_root: Path, run_ids: dict[str, str]
) -> None:
    run_id = run_ids["teacher"]
    address = "http://127.0.0.1:5151/datasets/teacher"
    kinds = {"sim": f"{address}?view=latest-sim"}
    page.goto("/errors?run=teacher")

    with announced(lab_root, Session(run_id, "teacher", address, kinds, this_process())):
        page.locator("#fiftyone summary").click()
        expect(page.locator("#fiftyone-command")).to_contain_text(f"seglab fiftyone {run_id}")
        link = page.locator("#fiftyone").get_by_role("link", name="Look-alike")
        expect(link).to_have_attribute("href", kinds["sim"])
    page.locator("#fiftyone summary").click()
    page.locator("#fiftyone summary").click()

    expect(page.locator("#fiftyone a")).to_have_count(0)


def test_a_selection_is_listed_on_live_and_opens_its_labels(
    page: Page, lab_root: Path, run_ids: dict[str, str]
) -> None:
    run_id = run_ids["teacher-strict"]
    with Store.open(lab_root, read_only=True) as store:
        ids = label_columns(store, run_id, LabelFilter(), ("label_id",))["label_id"]
    remember_selection(lab_root, run_id, [int(ids[0]), int(ids[-1])], "odd <b>cats</b>")
    page.goto(f"/live?run={run_id}")

    page.locator("#selections").get_by_role("link", name="odd <b>cats</b>").click()

    tally = page.locator("#labels-tally")
    expect(tally).to_have_text("2 labels of the selection “odd <b>cats</b>”")
    expect(page.locator("#gallery > *")).to_have_count(2)
