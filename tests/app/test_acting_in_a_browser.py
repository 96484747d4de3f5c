"""From an idea to a fork of it, in a real browser, with a run that really trains."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from playwright.sync_api import Browser, Page, expect

from lab.jobs.control import cancel
from lab.store.errors import ActionRefused
from lab.store.queries import events, get_run, list_runs
from lab.store.store import Store
from lab.store.worker_rows import living_workers
from tests.app.conftest import Watch, serving, watched_page

pytestmark = pytest.mark.browser

PATIENCE_MS = 90_000
SMALL = {
    "dataset.num_train": 24,
    "dataset.num_val": 4,
    "dataset.image_size": 64,
    "split.labeled_fraction": 0.5,
    "view.crop_size": 64,
    "view.eval_size": 64,
    "host.width": 8,
    "host.backbone_weights": None,
    "host.score_floor": 0.005,
    "method.name": "pl_dc",
    "method.dicc": False,
    "method.class_threshold": 0.02,
    "method.burn_in_steps": 3,
    "schedule.labeled_batch": 2,
    "schedule.unlabeled_batch": 2,
    "schedule.eval_every": 0,
    "schedule.checkpoint_every": 5,
    "schedule.keep_checkpoints": 50,
    "schedule.device": "cpu",
    "record.min_class_quality": 0.0,
}


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A store of its own; what trains when the test is over is ended."""
    root = tmp_path / "lab"
    yield root
    with Store.open(root) as store:
        for worker in living_workers(store):
            psutil.Process(worker.process.pid).terminate()
        for run in list_runs(store):
            try:
                cancel(store, run.run_id, at_once=True)
            except ActionRefused:
                continue


@pytest.fixture
def page(browser: Browser, root: Path, watch: Watch) -> Iterator[Page]:
    with serving(root) as address, watched_page(browser, address, watch, PATIENCE_MS) as page:
        yield page


def write(page: Page, key: str, text: str) -> None:
    page.locator(f"[data-key='{key}']").fill(text)


def drag(page: Page, slider: str, value: int) -> None:
    """As a hand does: many inputs, one change."""
    node = page.locator(slider)
    node.evaluate("(n, v) => { n.value = v; n.dispatchEvent(new Event('input')) }", value)
    node.dispatch_event("change")


@pytest.mark.timeout(600)
def test_from_a_form_to_a_fork_and_its_end(page: Page, root: Path) -> None:
    page.goto(f"/launch?preset=shapes_demo&set={quote(json.dumps(SMALL))}")
    write(page, "name", "looking around")
    write(page, "schedule.max_steps", "0")
    expect(page.locator("[id='problem-schedule.max_steps']")).to_contain_text("must be at least 1")
    expect(page.locator("#launch-button")).to_be_disabled()
    write(page, "schedule.max_steps", "100000")
    write(page, "method.mask_threshold", "0.5")
    expect(page.locator("#launch-size")).to_contain_text("to the store")
    expect(page.locator("#launch-differences [data-key='method.mask_threshold']")).to_have_count(1)
    page.locator("#launch-button").click()
    page.locator("#watch-it").click()

    expect(page.locator("#tile-status")).to_have_text("running")
    expect(page.locator("#tile-kept")).not_to_have_text("–")
    expect(page.locator("#chart-losses .main-svg").first).to_be_visible()

    page.get_by_role("link", name="Labels").click()
    expect(page.locator("#gallery .label-tile").first).to_be_visible()
    page.get_by_role("group", name="Kept for training?").get_by_text("dropped").click()
    expect(page.locator("#gallery .kept-mark")).to_have_count(0)

    page.get_by_role("link", name="What-if").click()
    expect(page.locator("#y-slider")).to_have_value("50")
    expect(page.locator("#act-fork")).to_be_disabled()
    drag(page, "#x-slider", 5)
    drag(page, "#y-slider", 60)
    page.locator("#act-fork").click()
    difference = page.locator("#child-difference [data-key='method.mask_threshold'] td")
    expect(difference).to_have_text(["method.mask_threshold", "0.5", "0.6"])
    page.locator("#child-name").fill("stricter")
    expect(page.locator("#child-difference [data-key='name'] .new")).to_have_text("stricter")
    step = int(page.locator("#fork-step").input_value())
    page.locator("#dialog-yes").click()
    page.locator("#compare-both").click()

    expect(page.locator("#config-table tbody tr")).to_have_count(2)
    row = page.locator("#config-table [data-key='method.mask_threshold'] td")
    expect(row).to_have_text(["method.mask_threshold", "0.5", "0.6"])
    expect(page.locator("#compare-scalar .main-svg").first).to_be_visible()

    page.get_by_role("link", name="Runs").click()
    child = page.locator("tr[data-run]", has=page.get_by_role("link", name="stricter", exact=True))
    expect(child).to_contain_text(f"from looking around at step {step:,}")
    page.get_by_label("Choose stricter").check()
    page.get_by_label("Choose looking around").check()
    page.locator("#bulk-cancel").click()
    expect(page.get_by_role("dialog")).to_contain_text("Cancel 2 runs?")
    page.locator("#dialog-yes").click()
    expect(page.locator("#outcomes li")).to_have_count(2)
    expect(page.locator("#outcomes")).to_contain_text("taken out of the queue")
    expect(page.locator("#outcomes")).to_contain_text("asked to stop")
    expect(child.locator(".status")).to_have_text("stopped")

    with Store.open(root, read_only=True) as store:
        run = get_run(store, "stricter")
        parent = get_run(store, "looking around")
        (forked,) = (one for one in events(store, run.run_id) if one.kind == "forked")
    assert (run.parent_run_id, run.parent_step) == (parent.run_id, step)
    assert run.config["method"] == parent.config["method"] | {
        "class_threshold": 0.05,
        "mask_threshold": 0.6,
    }
    assert forked.payload["changes"]["method.mask_threshold"] == {"old": 0.5, "new": 0.6}
    assert re.fullmatch(r"\d{8}-\d{6}-\w{4}", parent.run_id)
