"""Names that people, data and enemies give: every page shows them as text and keeps its shape."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import Page, expect

from lab.config import RunConfig
from lab.datasets.records import Category, Dataset, ImageRecord, LabelSource
from lab.store.recorder import StoreRecorder
from lab.store.runs import add_event, attach_datasets, create_run, delete_run, finish_run
from lab.store.store import Store
from tests.factories import build_judge, guesses, painted_dataset

HOSTILE = '<img src=x onerror="window.hacked=1">'
QUOTES = "\"'`\\ ${1} {{1}} %00 '; DROP TABLE runs; --"
EMOJI = "👩‍🔬 細胞 \u202egnp"
TRICK = "../../../../etc/passwd"
LONG = "x" * 10_000
HARD = (HOSTILE, QUOTES, EMOJI, LONG)
NAME = f"{HOSTILE} {QUOTES} {EMOJI} {TRICK} {LONG}"
PAGES = ("", "live", "labels", "timeline", "errors", "what-if", "compare", "launch", "data")


@pytest.fixture
def run(lab_root: Path, tmp_path: Path) -> Iterator[str]:
    """A run whose name, classes, files, scalars, events and end are all hard to show."""
    made = painted_dataset(tmp_path / "pictures", "hard", 4, 96, 3)
    images = tuple(map(_renamed, made.images, HARD))
    categories = tuple(Category(i, name, HOSTILE) for i, name in enumerate(HARD, start=1))
    train = Dataset(NAME, categories, images)
    with Store.open(lab_root) as store:
        run = create_run(store, RunConfig(name=NAME))
        attach_datasets(store, run, train, train.with_images(()))
        rng = np.random.default_rng(0)
        with StoreRecorder(store, run, judge=build_judge(train)) as recorder:
            for step in range(3):
                recorder.scalars(step, {f"loss/{HOSTILE}": 2.0, f"loss/{LONG}": 1.0})
                labels = [guesses(rng, one, LabelSource.PSEUDO, 0.5) for one in images]
                recorder.pseudo_labels(step, labels)
        add_event(store, run, 1, HOSTILE, {HOSTILE: LONG, "note": QUOTES})
        finish_run(store, run, "failed", NAME)
        yield run
        delete_run(store, run)


def _renamed(image: ImageRecord, name: str) -> ImageRecord:
    """The picture under a file name as hard as a file system takes it."""
    path = image.path.with_name(f"{name.replace('/', '%2F')[:200]}.png")
    image.path.rename(path)
    return replace(image, path=path)


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1440])
def test_every_page_shows_hard_names_as_text_and_keeps_its_width(
    run: str, page: Page, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    for name in PAGES:
        key = {"compare": "runs", "launch": "like"}.get(name, "run")
        page.goto(f"/{name}?{key}={run}&span=0&of=all")
        expect(page.get_by_text(HOSTILE).first).to_be_attached()
        if name == "data":
            expect(page.locator(".data-image").first).to_be_attached()
        assert page.evaluate("window.hacked") is None, name
        assert page.locator('img[src="x"]').count() == 0, name
        over = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert over <= 0, f"{name} is {over} px too wide"


@pytest.mark.browser
def test_a_label_with_a_hard_class_and_file_opens(run: str, page: Page) -> None:
    page.goto(f"/labels?run={run}&span=0")
    page.locator(".label-tile").first.click()

    expect(page.get_by_role("dialog")).to_be_visible()
    expect(page.get_by_role("dialog")).to_contain_text(".png")
    assert page.evaluate("window.hacked") is None


@pytest.mark.parametrize("key", [HOSTILE, QUOTES, EMOJI, TRICK, "%2e%2e%2fstore.db", "x" * 5_000])
def test_no_hard_key_finds_a_run_or_a_file(client: TestClient, key: str) -> None:
    for route in ("live", "labels", "errors", "pictures/1"):
        answer = client.get(f"/lab/runs/{key.replace('?', '').replace('#', '')}/{route}")

        assert answer.status_code == 404
        assert "root:" not in answer.text
