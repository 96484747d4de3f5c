"""The dashboard in a real chromium: what a visitor does, and that nobody else is asked."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from lab.analysis.judge import build_judge
from lab.analysis.watch import Watch as AlertWatch
from lab.config import RunConfig
from lab.datasets.records import LabelSource
from lab.store.recorder import StoreRecorder
from lab.store.runs import attach_datasets, create_run, delete_run
from lab.store.store import Store
from tests.app.conftest import Watch
from tests.factories import guesses, painted_dataset

pytestmark = pytest.mark.browser


def test_from_the_runs_to_one_label_and_back(page: Page) -> None:
    page.goto("/")
    expect(page.locator("#runs-tally")).to_have_text("3 of 3")
    page.get_by_placeholder("Find by name").fill("supervised")
    expect(page.locator("#runs-tally")).to_have_text("1 of 3")
    page.get_by_placeholder("Find by name").fill("")

    page.locator("tr", has=page.get_by_role("link", name="teacher", exact=True)).click()
    expect(page.get_by_role("heading", name="teacher")).to_be_visible()
    expect(page.locator("#tile-steps")).to_have_text("60")
    expect(page.locator("#chart-losses .main-svg").first).to_be_visible()

    page.get_by_role("link", name="Labels").click()
    expect(page.locator("#gallery .label-tile")).to_have_count(24)
    page.locator("[data-filter=kind-cor]").click()
    page.get_by_role("group", name="Kept for training?").get_by_text("dropped").click()
    expect(page.locator("#gallery .kept-mark")).to_have_count(0)
    for verdict in page.locator("#gallery .verdict").all_inner_texts():
        assert verdict.startswith("Right")

    page.locator("#gallery .label-tile").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    expect(page.locator(".entry[aria-current=true]")).to_contain_text("dropped:")
    first = page.url
    page.keyboard.press("j")
    expect(page).not_to_have_url(first)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page).to_have_url(re.compile(r"/labels\?run=[\w-]+&kind=cor&kept=false$"))


def test_a_link_opens_the_label_it_names(page: Page) -> None:
    page.goto("/labels?run=teacher&it=59&span=1")
    tile = page.locator("#gallery .label-tile").nth(1)
    tile.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    expect(page).to_have_url(re.compile("open="))

    page.reload()

    expect(page.get_by_role("dialog")).to_be_visible()
    expect(page.locator(".entry[aria-current=true]")).to_be_visible()


def test_moving_a_threshold_asks_nobody_and_changes_everything(page: Page, watch: Watch) -> None:
    page.goto("/what-if?run=teacher&span=0")
    slider = page.locator("#y-slider")
    expect(slider).to_have_value("80")
    expect(page.locator("#what-if-sentence")).to_contain_text("thresholds of this run")
    kept = int(page.locator("#what-if-kept").inner_text().replace(",", ""))
    page.wait_for_load_state("networkidle")
    # The bar asks for news every two seconds; nothing but that may be asked while dragging.
    watch.asked.clear()

    for value in range(79, 49, -1):
        slider.evaluate(
            "(node, value) => { node.value = value; node.dispatchEvent(new Event('input')) }", value
        )

    sentence = page.locator("#what-if-sentence")
    expect(sentence).to_contain_text("Lowering the mask threshold from 0.80 to 0.50 would keep")
    more = int(re.findall(r"keep ([\d,]+) more", sentence.inner_text())[0].replace(",", ""))
    expect(page.locator("#what-if-kept")).to_have_text(f"{kept + more:,}")
    assert [url for url in watch.asked if not re.search(r"/lab/runs(/[\w-]+/steps.*)?$", url)] == []

    slider.dispatch_event("change")
    expect(page).to_have_url(re.compile(r"mq=0\.50"))
    expect(page.locator("#what-if-enter .label-tile").first).to_be_visible()


def test_what_the_teacher_learns_appears_while_it_trains(
    page: Page, watch: Watch, lab_root: Path, tmp_path: Path
) -> None:
    train = painted_dataset(tmp_path / "pictures", "live-train", 4, 96, 7)
    with Store.open(lab_root) as store:
        run = create_run(store, RunConfig(name="growing"))
        attach_datasets(store, run, train, train.with_images(()))
        rng = np.random.default_rng(0)
        with StoreRecorder(store, run, judge=build_judge(train)) as recorder:
            recorder.scalars(0, {"loss/total": 2.0})
            recorder.flush()
            page.goto(f"/live?run={run}")
            expect(page.locator("#tile-status")).to_have_text("running")
            expect(page.locator("#tile-steps")).to_have_text("1")
            for step in range(1, 8):
                recorder.scalars(step, {"loss/total": 2.0 - 0.1 * step})
                labels = [
                    guesses(rng, image, LabelSource.PSEUDO, 0.5) for image in train.images[:2]
                ]
                recorder.pseudo_labels(step, labels)
            recorder.flush()
            expect(page.locator("#tile-steps")).to_have_text("8")
            expect(page.locator("#chart-kept .main-svg").first).to_be_visible()
            recorder.finish("finished")
        expect(page.locator("#tile-status")).to_have_text("finished")
        delete_run(store, run)
    expect(page.locator(".notice")).to_contain_text("This run cannot be shown")
    watch.complaints[:] = [text for text in watch.complaints if "404" not in text]


def test_an_alarm_is_a_line_above_the_curves_and_a_good_run_has_none(
    page: Page, lab_root: Path
) -> None:
    with Store.open(lab_root) as store:
        run = create_run(store, RunConfig(name="silent"))
        with StoreRecorder(store, run, watch=AlertWatch(store, run, str)) as recorder:
            for step in range(50):
                recorder.scalars(step, {"loss/total": 1.0, "loss/unsup/mask": 0.0})

    page.goto(f"/live?run={run}")
    expect(page.locator("#alerts li")).to_have_text(
        "the unsupervised loss stays exactly 0: no pseudo-label teaches anything (since step 0)"
    )
    page.goto("/")
    expect(page.locator(f"[data-run='{run}']")).to_contain_text("1 alert")
    page.goto("/live?run=teacher")
    expect(page.locator("#tile-steps")).to_have_text("60")
    expect(page.locator("#alerts")).to_have_count(0)
    with Store.open(lab_root) as store:
        delete_run(store, run)


def test_light_and_dark_is_remembered(page: Page) -> None:
    page.goto("/")
    expect(page.locator("html")).to_have_attribute("data-lab-theme", re.compile("light|dark"))
    before = page.locator("html").get_attribute("data-lab-theme")
    page.get_by_role("button", name="Light or dark").click()
    after = page.locator("html").get_attribute("data-lab-theme")
    page.goto("/labels?run=teacher")

    assert {before, after} == {"light", "dark"}
    expect(page.locator("html")).to_have_attribute("data-lab-theme", str(after))


def test_a_run_without_pseudo_labels_says_so_and_leaves_their_tiles_out(page: Page) -> None:
    page.goto("/live?run=baseline")
    expect(page.locator("#no-labels")).to_contain_text("This run makes no pseudo-labels")
    expect(page.locator("#tile-ap")).to_be_visible()
    for name in ("#tile-kept", "#tile-precision", "#tile-recall", "#chart-kept", "#chart-kinds"):
        expect(page.locator(name)).to_be_hidden()

    page.goto("/labels?run=baseline")
    expect(page.locator(".notice")).to_contain_text("Choose another run above.")
    expect(page.locator("#step-slider")).to_be_hidden()


def test_curves_begin_where_the_run_began_and_say_what_their_marks_are(page: Page) -> None:
    """The first AP is of step 10; checkpoints are of 20, 40 and 60, and an event of 30."""
    page.goto("/live?run=teacher")
    expect(page.locator("#chart-ap .legend")).to_contain_text("checkpoint or event")

    first, marks = page.evaluate(
        """() => {
          const plot = document.querySelector("#chart-ap");
          const ticks = plot.data.at(-1);
          return [plot._fullLayout.xaxis.range[0], ticks.x.map((x, i) => [x, ticks.text[i]])];
        }"""
    )

    assert first <= 0
    assert sorted(marks) == [
        *([20, "checkpoint"], [30, "thresholds"], [40, "checkpoint"], [60, "checkpoint"]),
    ]


def test_the_tiles_of_live_and_the_table_of_runs_agree(page: Page) -> None:
    page.goto("/")
    row = page.locator("tr", has=page.get_by_role("link", name="teacher", exact=True))
    expect(row).to_be_visible()
    kept, precision = row.locator("td.right").all_inner_texts()[1:3]
    expect(page.locator("th button", has_text="Precision")).to_have_attribute(
        "title", re.compile("over the last 50 recorded steps")
    )

    page.goto("/live?run=teacher")

    expect(page.locator("#tile-kept")).to_have_text(kept)
    expect(page.locator("#tile-precision")).to_have_text(precision)


def test_numbers_stand_under_the_end_of_their_heading(page: Page) -> None:
    page.goto("/")
    expect(page.locator("td.right").first).to_be_visible()

    ends = page.evaluate(
        """() => ["th.right button", "tbody tr:first-child td.right span"].map((where) =>
          [...document.querySelectorAll(where)].map((node) => {
            const text = document.createRange();
            text.selectNodeContents(node);
            return Math.round(text.getBoundingClientRect().right);
          }))"""
    )

    assert ends[0] == ends[1]
    assert len(ends[0]) == 4
