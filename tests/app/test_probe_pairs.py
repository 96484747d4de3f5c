"""Teacher beside student: the same image at the same step, or in words why not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import Page, expect

from app.probe_pairs import nearest_step
from lab.analysis.judge import build_judge
from lab.datasets.records import LabelSource
from lab.store.recorder import StoreRecorder
from lab.store.runs import attach_datasets, create_run, delete_run
from lab.store.store import Store
from tests.factories import example_config, guesses, painted_dataset

TEACHER, STUDENT = LabelSource.PROBE_TEACHER, LabelSource.PROBE_STUDENT
PROBES = ((10, STUDENT), (20, STUDENT), (20, TEACHER), (30, STUDENT), (30, TEACHER))
"""Of image 1; image 2 is none of the probe images. Its teacher begins after step 10."""


@pytest.fixture(scope="module")
def probed(lab_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A run with pseudo-labels of both images at step 23, and with the probes above."""
    train = painted_dataset(tmp_path_factory.mktemp("probed"), "probed", 2, 96, 4)
    rng = np.random.default_rng(1)
    with Store.open(lab_root) as store:
        run = create_run(store, example_config("probed", "pl_dc", 40))
        attach_datasets(store, run, train, train.with_images(()))
        with StoreRecorder(store, run, judge=build_judge(train)) as recorder:
            taught = [guesses(rng, image, LabelSource.PSEUDO, 0.5) for image in train.images]
            recorder.pseudo_labels(23, taught)
            for step, source in PROBES:
                recorder.pseudo_labels(step, [guesses(rng, train.images[0], source, 0.5)])
            recorder.finish("finished")
    yield run
    with Store.open(lab_root) as store:
        delete_run(store, run)


@pytest.mark.parametrize(
    ("steps", "asked", "shown"),
    [([10, 20], 23, 20), ([10, 20], 20, 20), ([10, 20], 19, 10), ([10, 20], 3, 10), ([], 3, None)],
)
def test_the_nearest_probe_is_the_last_one_before(
    steps: list[int], asked: int, shown: int | None
) -> None:
    assert nearest_step(np.array(steps, np.int64), asked) == shown


def test_both_networks_answer_for_the_same_step(client: TestClient, probed: str) -> None:
    pair = client.get(f"/lab/runs/{probed}/images/1/probes", params={"it": 23}).json()

    assert pair["step"] == 20
    assert pair["recorded"] == {"teacher": [20, 30], "student": [10, 20, 30]}
    for name, source in (("teacher", TEACHER), ("student", STUDENT)):
        question = {"it": 20, "source": int(source)}
        alone = client.get(f"/lab/runs/{probed}/images/1", params=question).json()
        assert pair[name]["labels"] == alone["labels"]
        assert pair["truth"] == alone["truth"]
    ids = [{label["id"] for label in pair[name]["labels"]} for name in ("teacher", "student")]
    assert ids[0].isdisjoint(ids[1])


def test_a_network_that_was_not_probed_at_the_step_has_no_side(
    client: TestClient, probed: str
) -> None:
    pair = client.get(f"/lab/runs/{probed}/images/1/probes", params={"it": 10}).json()

    assert pair["step"] == 10
    assert pair["teacher"] is None
    assert pair["student"]["labels"]


def test_an_image_that_is_no_probe_image_says_which_are(client: TestClient, probed: str) -> None:
    pair = client.get(f"/lab/runs/{probed}/images/2/probes", params={"it": 23}).json()

    assert pair["step"] is None
    assert (pair["teacher"], pair["student"], pair["probed"]) == (None, None, [1])


def test_an_image_of_nobody_is_a_sentence(client: TestClient, probed: str) -> None:
    answer = client.get(f"/lab/runs/{probed}/images/77/probes", params={"it": 23})

    assert answer.status_code == 404
    assert "image 77 is in none of its datasets" in answer.json()["error"]


def pixels(page: Page, canvas: str) -> str:
    return page.evaluate(f"document.querySelector('#{canvas}').toDataURL()")


@pytest.mark.browser
def test_a_key_shows_teacher_beside_student_and_the_address_keeps_it(
    probed: str, page: Page
) -> None:
    page.goto(f"/labels?run={probed}&image=1&span=0")
    page.locator(".label-tile").first.click()
    expect(page.locator("#viewer-truth")).to_be_visible()
    page.keyboard.press("s")
    teacher, student = page.locator("#viewer-pair-teacher"), page.locator("#viewer-pair-student")
    expect(teacher).to_be_visible()
    expect(page.locator("#viewer-truth")).to_be_hidden()
    boxes = teacher.bounding_box(), student.bounding_box()
    assert boxes[0] is not None
    assert boxes[1] is not None
    assert boxes[0]["x"] < boxes[1]["x"]
    assert boxes[0]["y"] == boxes[1]["y"]
    expect(page.locator("#viewer-probe")).to_have_text("step 20 (nearest to 23), probe 2 of 3")

    before = pixels(page, "viewer-pair-teacher"), pixels(page, "viewer-pair-student")
    page.keyboard.press("t")
    expect(page.get_by_label("truth over both")).to_be_checked()
    after = pixels(page, "viewer-pair-teacher"), pixels(page, "viewer-pair-student")
    assert before[0] != after[0]
    assert before[1] != after[1]
    page.keyboard.press(".")
    expect(page.locator("#viewer-probe")).to_have_text("step 30, probe 3 of 3")
    expect(page).to_have_url(re.compile("beside=student&over=truth&probe=30"))

    page.reload()
    expect(page.locator("#viewer-probe")).to_have_text("step 30, probe 3 of 3")
    expect(page.get_by_label("truth over both")).to_be_checked()
    page.keyboard.press("s")
    expect(page.locator("#viewer-truth")).to_be_visible()
    expect(page.locator(".entry[aria-current=true]")).to_be_visible()
    assert "beside" not in page.url


@pytest.mark.browser
def test_what_was_not_recorded_is_said_in_words(probed: str, page: Page) -> None:
    page.goto(f"/labels?run={probed}&image=1&span=0&beside=student&probe=10")
    page.locator(".label-tile").first.click()
    page.keyboard.press(",")
    expect(page.get_by_role("dialog")).to_contain_text(
        "No probe of the teacher was recorded at step 10; there are 2 from step 20 to 30."
    )
    expect(page.locator("#viewer-pair-student")).to_be_visible()
    expect(page.locator("#viewer-pair-teacher")).to_be_hidden()
    expect(page.locator("#viewer-earlier")).to_be_disabled()

    page.goto(f"/labels?run={probed}&image=2&span=0&beside=student")
    page.locator(".label-tile").first.click()
    expect(page.get_by_role("dialog")).to_contain_text("this is none of them")
    page.get_by_role("link", name="image 1").click()
    expect(page).to_have_url(re.compile("image=1&span=0&beside=student|image=1.*beside=student"))
    expect(page.locator(".label-tile").first).to_be_visible()
