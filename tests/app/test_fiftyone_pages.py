"""The way to FiftyOne and back, on the pages: the command, the links, the labels picked there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from app.fiftyone.actions import remember_selection
from app.fiftyone_sessions import Session, announced
from lab.store.processes import this_process
from lab.store.queries import LabelFilter, label_columns
from lab.store.store import Store
from tests.factories import CATEGORIES

pytestmark = pytest.mark.browser


APP = "http://127.0.0.1:5151"


def open_session(run_id: str, kinds: dict[str, str]) -> Session:
    """As an App that shows the run's pseudo-labels announces itself."""
    door = f"{APP}/seglab/open?dataset=teacher"
    address = f"{APP}/datasets/teacher"
    return Session(run_id, "teacher", address, kinds, door, "train", this_process())


def test_errors_tells_how_to_open_fiftyone_and_links_to_an_open_one(
    page: Page, lab_root: Path, run_ids: dict[str, str]
) -> None:
    run_id = run_ids["teacher"]
    kinds = {"sim": f"{APP}/datasets/teacher?view=latest-sim"}
    page.goto("/errors?run=teacher")

    with announced(lab_root, open_session(run_id, kinds)):
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


def test_while_fiftyone_is_open_cells_labels_and_thresholds_lead_there(
    page: Page, lab_root: Path, run_ids: dict[str, str]
) -> None:
    door = f"{APP}/seglab/open?dataset=teacher"
    with announced(lab_root, open_session(run_ids["teacher"], {})):
        page.goto("/errors?run=teacher")
        cells = page.locator("#confusion [data-cell]")
        expect(cells.first).to_have_attribute("href", re.compile(r"^/labels\?"))
        page.get_by_role("group", name="Where cells lead").get_by_text("FiftyOne").click()
        expect(cells.first).to_have_attribute("target", "_blank")
        leading = cells.evaluate_all("all => all.map((one) => [one.dataset.cell, one.href])")
        assert leading == [[cell, f"{door}{names_of(cell)}"] for cell, _ in leading]

        page.goto("/labels?run=teacher&it=59&span=1")
        page.locator("#gallery .label-tile").first.click()
        sample = page.locator("#viewer-fiftyone")
        expect(sample).to_have_attribute("href", re.compile(r"&image=\d+$"))

        page.goto("/what-if?run=teacher&span=0&mq=0.50")
        enters = page.locator(".moving").get_by_role("link", name="In FiftyOne").first
        bars = "class_quality%3A0.70%2Cmask_quality%3A0.50"
        expect(enters).to_have_attribute("href", f"{door}&moving=enters&bars={bars}")


def names_of(cell: str) -> str:
    """ "0-1" -> what the door is asked for: a cat that is a dog; "0--1" is a cat on nothing."""
    called, _, true = cell.partition("-")
    names = [category.name for category in CATEGORIES]
    under = "" if true == "-1" else f"&lies_on={names[int(true)]}"
    return f"&called={names[int(called)]}{under}"
