"""Pages in a real chromium say all of what they know, and nothing that is not so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from typer.testing import CliRunner

from app.cli import cli

pytestmark = pytest.mark.browser


def test_what_if_is_as_precise_as_the_verb_says(page: Page, lab_root: Path) -> None:
    asked = ["what-if", "teacher", "--store", str(lab_root), "--json"]
    told = json.loads(CliRunner().invoke(cli, asked).stdout)
    answer = next(case["answer"] for case in told["cases"] if case["name"] == "now")
    assert answer["found"] < answer["correct"], "duplicates are what the two could disagree on"

    page.goto("/what-if?run=teacher&span=0")

    expect(page.locator("#what-if-kept")).to_have_text(f"{answer['kept']:,}")
    expect(page.locator("#what-if-precision")).to_have_text(
        f"{answer['precision']:.0%}"[:-1] + "\u00a0%"
    )
    expect(page.locator("#what-if-recall")).to_have_text(f"{answer['recall']:.0%}"[:-1] + "\u00a0%")


def test_a_fork_says_from_whom_in_words_that_are_seen(page: Page) -> None:
    page.goto("/")
    lineage = page.locator(".lineage .link", has_text="from teacher at step 30")
    expect(lineage).to_be_visible()

    page.wait_for_function(  # rows are drawn anew while one measures
        """() => [...document.querySelectorAll(".lineage .link")].some((node) => {
            const wide = node.getBoundingClientRect().width;
            return node.textContent.includes("from teacher at step 30")
                && wide > 0 && wide <= node.parentElement.clientWidth;
        })"""
    )


def test_a_class_that_the_run_lacks_is_named_and_leaves_words(page: Page) -> None:
    page.goto("/labels?run=teacher&cls=99")
    expect(page.get_by_label("Class", exact=True)).to_have_value("99")
    empty = page.locator(".gallery .notice")
    expect(empty).to_contain_text("Nothing passes these filters")
    assert empty.bounding_box()["width"] > 400  # type: ignore[index]  # it is visible

    page.goto("/errors?run=teacher&cls=99")

    card = page.locator(".card", has_text="Which class is taken for which")
    expect(card).to_contain_text("No such label in these steps.")
    assert "0" not in card.inner_text().replace("10 %", "").replace("10\u00a0%", "")


def test_what_if_says_what_thresholds_do_to_small_masks_and_to_every_class(page: Page) -> None:
    page.goto("/what-if?run=teacher&span=0")
    small = page.locator("#what-if-sizes [data-group=small]")
    expect(small).to_be_visible()
    expect(small).not_to_contain_text("→")

    slider = page.locator("#y-slider")
    slider.evaluate("(node) => { node.value = 50; node.dispatchEvent(new Event('input')) }")
    slider.dispatch_event("change")

    expect(small).to_contain_text("→")
    told = page.request.get(
        "/lab/runs/teacher/groups?span=0&from_x=0.7&from_y=0.8&to_x=0.7&to_y=0.5"
    ).json()
    counts = told["sizes"][0]
    share = f"{counts['after']['right'] / counts['all']['right']:.0%}"[:-1]
    expect(page.locator("#what-if-groups-words")).to_contain_text(
        f"{share}\u00a0% of the small ones"
    )
    expect(small).to_contain_text(f"of {counts['all']['labels']:,}")
    assert page.locator("#what-if-classes tbody tr").count() == len(told["classes"])


def test_labels_are_narrowed_by_size_and_by_the_class_they_had(page: Page) -> None:
    page.goto("/labels?run=teacher&span=0")
    tally = page.locator("#labels-tally")
    expect(tally).to_contain_text("label")
    everything = tally.inner_text()

    page.get_by_role("group", name="Mask size").get_by_text("medium").click()

    expect(tally).not_to_have_text(everything)
    expect(page).to_have_url(re.compile("masks=medium"))

    page.get_by_label("Before correction").select_option("dog")

    expect(page).to_have_url(re.compile("was=1"))
    page.get_by_role("button", name="Clear filters").click()
    expect(tally).to_have_text(everything)


def test_teacher_and_student_stand_side_by_side(page: Page) -> None:
    told = page.request.get("/lab/runs/teacher/timeline/1?source=probe_student").json()
    labels = [one for one in told["frames"][-1]["labels"] if one["kept"]]

    page.goto("/timeline?run=teacher&source=probe_teacher&image=1")

    caption = page.locator("figure", has=page.locator("#timeline-partner")).locator("figcaption")
    step = told["frames"][-1]["step"]
    expect(caption).to_have_text(
        re.compile(f"The student, step {step}: {len(labels)} kept labels? of ")
    )
    expect(page.locator("#timeline-partner")).to_be_visible()

    page.goto("/timeline?run=teacher&source=pseudo&image=2")

    expect(page.locator("#timeline-truth")).to_be_visible()
    expect(page.locator("#timeline-partner")).to_be_hidden()


def test_on_a_phone_the_legend_of_a_chart_stands_above_it(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto("/live?run=teacher")

    card = page.locator(".card", has=page.locator("#chart-ap"))
    expect(card.locator(".chart-legend")).to_have_text(re.compile("teacher.*checkpoint or event"))
    expect(card.locator(".main-svg .legend")).to_have_count(0)
    page.goto("/errors?run=teacher&span=0")
    expect(page.locator("#errors-history .main-svg").first).to_be_visible()
    expect(page.locator("#errors-honesty .main-svg").first).to_be_visible()
    expect(page.locator(".chart-legend span", has_text=re.compile(r"^\s*\|?\s*$"))).to_have_count(0)

    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto("/live?run=teacher")

    expect(card.locator(".main-svg .legend")).to_contain_text("checkpoint or event")
    expect(page.locator(".chart-legend")).to_have_count(0)
