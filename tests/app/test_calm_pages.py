"""Live updates move nothing under the reader's eyes, and two browsers do not disturb each other."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from lab.config import RunConfig
from lab.datasets.records import Dataset, LabelSource
from lab.store.recorder import StoreRecorder
from lab.store.runs import attach_datasets, create_run, delete_run
from lab.store.store import Store
from tests.app.conftest import PATIENCE_MS, Watch, watched_page
from tests.factories import build_judge, guesses, painted_dataset

pytestmark = pytest.mark.browser

WATCH_SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => {
  for (const one of list.getEntries())
    window.shifts.push([one.value, ...one.sources.map(({ node }) => node?.className ?? "")]);
}).observe({ type: "layout-shift", buffered: true });
"""


def record(recorder: StoreRecorder, train: Dataset, steps: range) -> None:
    rng = np.random.default_rng(steps.start)
    for step in steps:
        recorder.scalars(step, {"loss/total": 2.0 - 0.01 * step, "loss/mask": 1.0})
        labels = [guesses(rng, image, LabelSource.PSEUDO, 0.5) for image in train.images]
        recorder.pseudo_labels(step, labels)
    recorder.flush()


def test_live_updates_shift_nothing(page: Page, lab_root: Path, tmp_path: Path) -> None:
    train = painted_dataset(tmp_path / "pictures", "calm", 2, 96, 7)
    with Store.open(lab_root) as store:
        run = create_run(store, RunConfig(name="calm"))
        attach_datasets(store, run, train, train.with_images(()))
        with StoreRecorder(store, run, judge=build_judge(train)) as recorder:
            record(recorder, train, range(20))
            page.add_init_script(WATCH_SHIFTS)
            page.goto(f"/live?run={run}")
            expect(page.locator("#tile-steps")).to_have_text("20")
            expect(page.locator("#chart-kept .main-svg").first).to_be_visible()
            page.wait_for_timeout(1_000)
            page.evaluate("window.shifts = []")

            for until in (40, 60, 1_000):
                record(recorder, train, range(until - 20, until))
                expect(page.locator("#tile-steps")).to_have_text(f"{until:,}")
            page.wait_for_timeout(500)
            shifts = page.evaluate("window.shifts")
            page.evaluate("document.querySelector('.page-head').style.marginTop = '90px'")
            page.wait_for_function("window.shifts.length > 0")  # the sensor works
        page.goto("about:blank")
        delete_run(store, run)
    assert shifts == []


def test_two_browsers_keep_their_own_run_thresholds_and_colours(
    page: Page, browser: Browser, address: str, watch: Watch
) -> None:
    page.goto("/what-if?run=teacher&span=0")
    expect(page.locator("#y-slider")).to_have_value("80")
    with watched_page(browser, address, watch, PATIENCE_MS) as other:
        other.goto("/what-if?run=teacher-strict&span=0")
        expect(other.locator("#y-slider")).to_have_value("80")
        kept = other.locator("#what-if-kept").inner_text()
        other.get_by_role("button", name="Light or dark").click()
        theirs = str(other.locator("html").get_attribute("data-lab-theme"))

        page.locator("#y-slider").evaluate(
            "n => { n.value = 50; n.dispatchEvent(new Event('input')) }"
        )
        page.locator("#y-slider").dispatch_event("change")
        expect(page).to_have_url(re.compile(r"mq=0\.50"))
        other.reload()

        expect(other.locator("#what-if-kept")).to_have_text(kept)
        expect(other.locator("#y-slider")).to_have_value("80")
        assert "mq=" not in other.url
        expect(other.locator("html")).to_have_attribute("data-lab-theme", theirs)
    page.reload()
    expect(page.locator("html")).not_to_have_attribute("data-lab-theme", theirs)
    expect(page.locator("#y-slider")).to_have_value("50")
