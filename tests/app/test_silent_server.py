"""The server goes and comes back: what was on the page stays, and says of when it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from app.main import bind
from lab.config import RunConfig
from lab.store.recorder import StoreRecorder
from lab.store.runs import create_run
from lab.store.store import Store
from tests.app.conftest import LOOPBACK, PATIENCE_MS, Watch, serving, watched_page

pytestmark = pytest.mark.browser

CURVE = "document.querySelector('#chart-losses').data[0].y"


def free_port() -> int:
    with bind("127.0.0.1", 0) as listener:
        return listener.getsockname()[1]


def test_curves_stay_while_the_server_is_away_and_go_on_after(
    browser: Browser, watch: Watch, tmp_path: Path
) -> None:
    port = free_port()
    with (
        Store.open(tmp_path) as store,
        watched_page(browser, f"{LOOPBACK}:{port}", watch, PATIENCE_MS) as page,
    ):
        run = create_run(store, RunConfig(name="going"))
        with StoreRecorder(store, run) as recorder:
            recorder.scalars(0, {"loss/total": 2.0})
            recorder.scalars(1, {"loss/total": 1.5})
            recorder.flush()
            trouble = page.locator("#trouble")
            with serving(tmp_path, port):
                page.goto(f"/live?run={run}")
                expect(page.locator("#chart-losses .main-svg").first).to_be_visible()
                expect(trouble).to_be_hidden()

            expect(trouble).to_contain_text("The server does not answer.")
            expect(trouble).to_contain_text(re.compile(r"what was known at \d\d:\d\d:\d\d"))
            expect(page.locator("#tile-steps")).to_have_text("2")
            assert page.evaluate(CURVE) == [2.0, 1.5]
            expect(page.locator(".notice")).to_have_count(0)

            recorder.scalars(2, {"loss/total": 1.0})
            recorder.flush()
            with serving(tmp_path, port):
                expect(trouble).to_be_hidden()
                expect(page.locator("#tile-steps")).to_have_text("3")
                page.wait_for_function(f"{CURVE}.length === 3")
                page.goto("about:blank")
            recorder.finish("finished")
        watch.complaints[:] = [one for one in watch.complaints if "ERR_CONNECTION" not in one]


def test_a_page_that_never_heard_of_a_run_says_that_nobody_answers(
    browser: Browser, watch: Watch, tmp_path: Path
) -> None:
    """The server ends while the first page loads: there is nothing to keep."""
    port = free_port()
    with watched_page(browser, f"{LOOPBACK}:{port}", watch, PATIENCE_MS) as page:
        page.route("**/lab/runs", lambda route: route.abort())
        with serving(tmp_path, port):
            page.goto("/live")
            expect(page.locator(".notice")).to_contain_text("The server does not answer.")

            page.unroute("**/lab/runs")
            expect(page.locator(".notice")).to_contain_text("No runs yet")
            page.goto("about:blank")
        watch.complaints[:] = [one for one in watch.complaints if "ERR_FAILED" not in one]
