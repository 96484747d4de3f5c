"""Pages in a real chromium say all of what they know, and nothing that is not so."""

from __future__ import annotations

import json
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

    room = lineage.evaluate(
        "(node) => [node.getBoundingClientRect().width, node.parentElement.clientWidth]"
    )

    assert 0 < room[0] <= room[1]


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
