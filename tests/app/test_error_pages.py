"""Errors and Timeline in a real chromium: what they show is what the store holds."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import Page, expect

from lab.analysis.judge import build_judge
from lab.config import RunConfig
from lab.datasets.records import Category, Dataset, LabelSource
from lab.store.recorder import StoreRecorder
from lab.store.runs import attach_datasets, create_run, delete_run
from lab.store.store import Store
from tests.app.conftest import Watch
from tests.app.test_hard_names import HOSTILE
from tests.factories import guesses, painted_dataset

pytestmark = pytest.mark.browser


def tally(page: Page) -> int:
    """How many labels the page Labels says there are."""
    text = page.locator("#labels-tally")
    expect(text).to_contain_text("label")
    return int(text.inner_text().split()[0].replace(",", ""))


def test_every_bar_cell_and_bin_opens_the_labels_behind_it(page: Page) -> None:
    page.goto("/errors?run=teacher&span=0&of=all")
    expect(page.locator("#errors-history .main-svg").first).to_be_visible()
    page.locator("#bars-table summary").click()
    page.locator("#bins-table summary").click()
    found = page.evaluate(
        """() => ["[data-cell='0-1']", ".class-bar a", "[data-bar$=loc]", "[data-bin]"].map(at => {
          const link = document.querySelector(at);
          const words = link.getAttribute("aria-label") ?? link.textContent;
          return [link.href, words];
        })"""
    )

    for href, words in found:
        number = int(re.findall(r"([\d,]+)(?: of|$)", words)[0].replace(",", ""))
        page.goto(href)
        assert tally(page) == number, href


def test_a_click_on_a_bar_opens_its_steps_and_its_kind(page: Page) -> None:
    page.goto("/errors?run=teacher&span=10&it=59")
    expect(page.locator("#errors-history .main-svg").first).to_be_visible()
    at = page.evaluate(
        """() => {
          const plot = document.querySelector("#errors-history");
          const box = plot.getBoundingClientRect();
          const { xaxis, yaxis } = plot._fullLayout;
          const trace = plot.data[0];
          const x = trace.x[20] + trace.width[20] / 2;
          const y = trace.y[20] / 2;
          return [box.x + xaxis._offset + xaxis.d2p(x), box.y + yaxis._offset + yaxis.d2p(y),
                  trace.meta.key];
        }"""
    )
    assert at[2] == "cor"

    page.mouse.move(at[0], at[1])
    page.mouse.move(at[0] + 1, at[1])
    page.mouse.click(at[0] + 1, at[1])

    expect(page).to_have_url(re.compile(r"/labels\?.*kind=cor.*"))
    asked = parse_qs(urlsplit(page.url).query)
    assert (asked["kept"], asked["again"]) == (["true"], ["false"])
    expect(page.locator("#labels-tally")).to_contain_text(f"{int(asked['it'][0])}")


def test_a_score_and_a_choice_stay_in_the_address_and_the_bar(page: Page) -> None:
    page.goto("/errors?run=teacher&it=39&span=10")
    expect(page.locator("#errors-tally")).to_contain_text("kept labels of steps 30 to 39")
    page.get_by_role("combobox", name="Score").select_option("class_quality")
    page.get_by_role("group", name="Which labels").get_by_text("dropped").click()

    expect(page.locator("#errors-tally")).to_contain_text("dropped labels of steps 30 to 39")
    expect(page).to_have_url(re.compile("of=dropped"))
    page.get_by_role("link", name="What-if").click()
    expect(page.locator("#step-number")).to_have_text("39")
    expect(page).to_have_url(re.compile(r"/what-if\?run=[\w-]+&it=39&span=10"))


def test_one_image_is_played_and_stepped_through(page: Page, client: TestClient) -> None:
    answer = client.get("/lab/runs/teacher/timeline/1", params={"source": "probe_teacher"}).json()
    steps = [frame["step"] for frame in answer["frames"]]
    page.goto("/timeline?run=teacher&image=1")
    expect(page.locator("#timeline-step")).to_have_text(f"step {steps[-1]}, 6 of 6")
    kept = {x["track"] for frame in answer["frames"] for x in frame["labels"] if x["kept"]}
    expect(page.locator(".lane")).to_have_count(len(kept))
    page.get_by_role("group", name="Which things").get_by_text("all candidates").click()
    expect(page.locator(".lane")).to_have_count(answer["tracks"])

    page.keyboard.press("Home")
    expect(page.locator("#timeline-step")).to_have_text(f"step {steps[0]}, 1 of 6")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#timeline-step")).to_have_text(f"step {steps[1]}, 2 of 6")
    expect(page).to_have_url(re.compile(f"it={steps[1]}"))
    here = [event for event in answer["events"] if event["frame"] == 1]
    expect(page.locator("#timeline-events .event")).to_have_count(len(here))

    page.get_by_role("combobox", name="Speed").select_option("10")
    page.locator("#timeline-page h1").click()
    page.keyboard.press("Space")
    expect(page.locator("#timeline-step")).to_have_text(f"step {steps[-1]}, 6 of 6")
    expect(page.locator("#timeline-play")).to_have_text("Play")


def test_a_thing_is_picked_in_its_lane_and_opened_in_labels(page: Page, watch: Watch) -> None:
    page.goto("/timeline?run=teacher&source=pseudo&image=2")
    cell = page.locator(".lane [data-kept=true]").first
    cell.click()

    expect(page.locator(".lane[aria-current=true]")).to_have_count(1)
    expect(page.locator("#timeline-thing")).to_contain_text("kept")
    assert [url for url in watch.asked if "/timeline/2" in url][1:] == []
    page.get_by_role("link", name="Open in Labels").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    expect(page.locator(".entry[aria-current=true]")).to_contain_text("kept")


def test_both_pages_say_what_to_do_when_there_is_nothing(page: Page, lab_root: Path) -> None:
    with Store.open(lab_root) as store:
        run = create_run(store, RunConfig(name="nothing yet"))
    page.goto(f"/errors?run={run}")
    expect(page.locator(".notice")).to_contain_text("No pseudo-labels")
    page.goto(f"/timeline?run={run}")
    expect(page.locator(".notice")).to_contain_text("No image has a past yet")
    page.goto("about:blank")
    with Store.open(lab_root) as store:
        delete_run(store, run)


def test_names_from_data_stay_text_in_bars_cells_and_lanes(
    page: Page, lab_root: Path, tmp_path: Path
) -> None:
    made = painted_dataset(tmp_path / "pictures", "hostile-errors", 2, 96, 3)
    categories = tuple(Category(i, f"{HOSTILE} {i}", HOSTILE) for i in range(1, 5))
    train = Dataset(HOSTILE, categories, made.images)
    with Store.open(lab_root) as store:
        run = create_run(store, RunConfig(name=HOSTILE))
        attach_datasets(store, run, train, train.with_images(()))
        rng = np.random.default_rng(0)
        with StoreRecorder(store, run, judge=build_judge(train)) as recorder:
            for step in range(3):
                labels = [guesses(rng, one, LabelSource.PSEUDO, 0.5) for one in train.images]
                recorder.pseudo_labels(step, labels)
    for path, where in (
        ("errors", ".class-name"),
        ("errors", "#confusion th"),
        ("timeline", ".lane"),
    ):
        page.goto(f"/{path}?run={run}&span=0&of=all")
        expect(page.locator(where).first).to_contain_text("<img src=x onerror=")
        assert page.evaluate("window.hacked") is None
        assert page.locator('img[src="x"]').count() == 0
    page.goto("about:blank")
    with Store.open(lab_root) as store:
        delete_run(store, run)


def test_pages_fit_a_phone_and_a_wide_screen(page: Page) -> None:
    for width in (390, 2560):
        page.set_viewport_size({"width": width, "height": 900})
        for path, where in (("errors", "#confusion"), ("timeline", ".lane")):
            page.goto(f"/{path}?run=teacher&span=0")
            expect(page.locator(where).first).to_be_visible()
            over = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert over <= 0, json.dumps([path, width, over])
