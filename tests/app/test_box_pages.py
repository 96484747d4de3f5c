"""Labels and What-if over the scores of masks that were made from boxes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import Page, expect

from lab.analysis.mask_quality import judged_masks, mean_true_iou
from lab.store.queries import LabelFilter, label_columns, recorded_scores
from lab.store.runs import delete_run
from lab.store.store import Store
from tests.app.boxed_runs import record_boxes


@pytest.fixture(scope="module")
def boxes(lab_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Store.open(lab_root) as store:
        run = record_boxes(store, tmp_path_factory.mktemp("pictures"))
        yield run
        delete_run(store, run)


def test_a_run_says_which_scores_its_labels_have(client: TestClient, boxes: str) -> None:
    run = client.get(f"/lab/runs/{boxes}").json()
    names = [one["name"] for one in run["scores"]]

    assert {"box_score", "pixel_score", "mask_score", "num_effective", "target_iou"} <= set(names)
    assert not {"depth_score", "semantic_score", "true_iou"} & set(names)
    assert run["axes"] == {"x": "box_score", "y": "pixel_score"}
    assert all(one["key"] is None for one in run["scores"])

    semi = client.get("/lab/runs/teacher").json()
    keys = {one["name"]: (one["key"], one["threshold"]) for one in semi["scores"]}
    assert keys["class_quality"] == ("method.class_threshold", 0.7)
    assert keys["mask_quality"] == ("method.mask_threshold", 0.8)
    assert "box_score" not in keys
    assert client.get("/lab/runs/baseline").json()["scores"] == []


def test_scores_are_those_of_the_first_and_the_newest_labels(
    lab_root: Path, boxes: str, run_ids: dict[str, str]
) -> None:
    with Store.open(lab_root, read_only=True) as store:
        assert "mask_score" in recorded_scores(store, boxes)
        assert "depth_score" not in recorded_scores(store, boxes)
        assert "mask_score" not in recorded_scores(store, run_ids["teacher"])
        assert recorded_scores(store, run_ids["baseline"]) == ()


@pytest.mark.parametrize(
    ("x", "y"), [("box_score", "pixel_score"), ("pixel_score", "mask_score"), (None, None)]
)
def test_the_plane_of_any_two_scores_agrees_with_a_count(
    client: TestClient, lab_root: Path, boxes: str, x: str | None, y: str | None
) -> None:
    wanted = {name: value for name, value in (("x", x), ("y", y)) if value}
    answer = client.get(f"/lab/runs/{boxes}/what-if", params={"span": 0, **wanted}).json()
    names = (x or "box_score", y or "pixel_score")
    with Store.open(lab_root, read_only=True) as store:
        labels = label_columns(store, boxes, LabelFilter(), [*names, "kind", "target_iou"])
    passing = (labels[names[0]] >= np.float32(0.6)) & (labels[names[1]] >= np.float32(0.7))
    sums, known = np.array(answer["ious"]["pair"]).reshape(2, 101, 101)[:, 60, 70]
    counts = np.array(answer["pair"]).reshape(8, 101, 101)[:, 60, 70]

    assert answer["axes"] == {"x": names[0], "y": names[1]}
    assert 0 < passing.sum() < len(passing)
    np.testing.assert_array_equal(counts[:7], np.bincount(labels["kind"][passing], minlength=7))
    assert known == passing.sum()
    assert sums == pytest.approx(labels["target_iou"][passing].sum(), abs=1e-3)


def test_the_product_of_any_two_scores_is_a_threshold_too(
    client: TestClient, lab_root: Path, boxes: str
) -> None:
    question = {"span": 0, "x": "mask_score", "y": "class_quality"}
    answer = client.get(f"/lab/runs/{boxes}/what-if", params=question).json()
    with Store.open(lab_root, read_only=True) as store:
        labels = label_columns(store, boxes, LabelFilter(), ["mask_score", "class_quality"])
    product = labels["mask_score"] * labels["class_quality"]

    kept = np.array(answer["coupled"]).reshape(8, 101)[:7, 40].sum()
    assert kept == (product >= np.float32(0.4)).sum() > 0


def test_other_runs_have_no_sums_of_iou(client: TestClient) -> None:
    assert client.get("/lab/runs/teacher/what-if", params={"span": 0}).json()["ious"] is None


@pytest.mark.parametrize("route", ["what-if", "moving"])
def test_a_score_that_a_run_has_not_is_refused_by_name(
    client: TestClient, boxes: str, route: str
) -> None:
    for run, question, words in (
        (boxes, {"x": "depth_score"}, "x=depth_score: this run has no such score"),
        ("teacher", {"y": "box_score"}, "y=box_score: this run has no such score"),
        (boxes, {"x": "box_score", "y": "box_score"}, "choose two different scores"),
    ):
        answer = client.get(f"/lab/runs/{run}/{route}", params=question)
        assert answer.status_code == 422
        assert words in answer.json()["detail"]


def test_what_leaves_lies_below_the_new_threshold(client: TestClient, boxes: str) -> None:
    question = {"span": 0, "x": "pixel_score", "y": "box_score", "to_x": 0.8}
    answer = client.get(f"/lab/runs/{boxes}/moving", params=question).json()

    assert answer["enter"]["total"] == 0
    assert answer["leave"]["total"] > 0
    assert all(row["pixel_score"] < 0.8 for row in answer["leave"]["rows"])


def test_labels_are_filtered_and_sorted_by_scores_of_boxes(client: TestClient, boxes: str) -> None:
    question = {"span": 0, "range": "pixel_score:0.7:0.9", "sort": "target_iou", "desc": "true"}
    rows = client.get(f"/lab/runs/{boxes}/labels", params=question).json()["rows"]

    assert len(rows) > 3
    assert all(0.7 <= row["pixel_score"] <= 0.9 for row in rows)
    ious = [row["target_iou"] for row in rows]
    assert ious == sorted(ious, reverse=True)


def test_errors_and_labels_say_what_fusing_gained(client: TestClient, boxes: str) -> None:
    rows = client.get(f"/lab/runs/{boxes}/labels", params={"span": 0, "size": 120}).json()["rows"]
    gains = [row["target_iou"] - row["single_iou"] for row in rows]

    found = client.get(f"/lab/runs/{boxes}/errors", params={"span": 0}).json()["fusion"]

    assert found["masks"] == len(gains) > 3
    assert found["gain"] == pytest.approx(sum(gains) / len(gains), abs=1e-5)
    assert found["better"] == pytest.approx(sum(gain > 0 for gain in gains) / len(gains))
    assert client.get("/lab/runs/teacher/errors", params={"span": 0}).json()["fusion"] is None


@pytest.mark.browser
def test_errors_tells_what_fusing_gained(page: Page, boxes: str) -> None:
    page.goto(f"/errors?run={boxes}&span=0")

    words = page.locator(".honesty-words")
    expect(words).to_contain_text("Fused masks reach a true IoU of 0.", timeout=30_000)


@pytest.mark.browser
def test_the_plane_starts_with_box_and_pixel_scores_and_shows_how_well_masks_fit(
    page: Page, lab_root: Path, boxes: str
) -> None:
    with Store.open(lab_root, read_only=True) as store:
        mean = mean_true_iou(judged_masks(store, boxes))

    page.goto(f"/what-if?run={boxes}&span=0")

    expect(page.locator("#what-if-iou")).to_have_text(f"{mean:.2f}")
    expect(page.locator("label[for=x-slider]")).to_have_text("Box score ≥")
    expect(page.locator("label[for=y-slider]")).to_have_text("Pixel score ≥")
    expect(page.get_by_label("Colour shows")).to_have_value("iou")
    expect(page.locator("#what-if-applies")).to_contain_text("a threshold on neither score")
    expect(page.locator("#what-if-sentence")).to_contain_text("drops nothing by these scores")
    expect(page.locator("#what-if-why")).to_be_empty()
    options = page.get_by_label("Score across the plane").locator("option").all_inner_texts()
    assert "mask score (MQS)" in options
    assert "depth score" not in options


@pytest.mark.browser
def test_another_axis_and_its_threshold_are_in_the_address(page: Page, boxes: str) -> None:
    page.goto(f"/what-if?run={boxes}&span=0")
    expect(page.locator("#what-if-iou")).not_to_be_empty()

    page.get_by_label("Score across the plane").select_option("mask_score")
    expect(page.locator("label[for=x-slider]")).to_have_text("Mask score (MQS) ≥")
    slider = page.locator("#x-slider")
    slider.evaluate("node => { node.value = 75; node.dispatchEvent(new Event('input')) }")
    slider.dispatch_event("change")

    expect(page).to_have_url(re.compile(r"x=mask_score&y=pixel_score&mask_score=0\.75"))
    sentence = page.locator("#what-if-sentence")
    expect(sentence).to_contain_text(
        "Raising the mask score threshold from 0.00 to 0.75 would drop"
    )
    expect(sentence).to_contain_text("The mean true IoU of what is kept would")
    expect(page.locator("#what-if-leave .label-tile").first).to_be_visible()
    kept = page.locator("#what-if-kept").inner_text()

    page.reload()
    expect(page.locator("#what-if-kept")).to_have_text(kept)
    page.get_by_label("Score across the plane").select_option("pixel_score")
    expect(page.locator("label[for=y-slider]")).to_have_text("Mask score (MQS) ≥")
    expect(page.locator("#what-if-kept")).to_have_text(kept)


@pytest.mark.browser
def test_a_run_with_two_scores_has_no_axes_to_choose(page: Page) -> None:
    page.goto("/what-if?run=teacher&span=0&x=mask_score&y=box_score")

    expect(page.locator("label[for=x-slider]")).to_have_text("Class quality ≥")
    expect(page.locator("#what-if-axes")).to_be_hidden()
    expect(page.locator("#what-if-applies")).to_be_empty()
    expect(page.locator("#what-if-iou")).to_be_hidden()


@pytest.mark.browser
def test_labels_offers_the_scores_of_the_run_in_view(page: Page, boxes: str) -> None:
    page.goto(f"/labels?run={boxes}&span=0")
    expect(page.get_by_label("Sort by")).to_have_value("mask_score")
    expect(page.locator("#gallery .label-tile").first).to_contain_text("true IoU")
    page.get_by_label("Sort by").select_option("pixel_score")
    page.get_by_label("least pixel score").fill("0.8")
    page.get_by_label("least pixel score").blur()
    expect(page).to_have_url(re.compile(r"sort=pixel_score&pixel_score=0\.8\.\."))
    expect(page.locator("#gallery .label-tile").first).to_contain_text("pixel score")

    page.locator("#gallery .label-tile").first.click()
    expect(page.locator(".entry[aria-current=true]")).to_contain_text("mask score (MQS)")
    expect(page.locator(".entry[aria-current=true]")).to_contain_text("effective candidates")

    page.goto("/labels?run=teacher&span=0")
    expect(page.get_by_label("Sort by")).to_have_value("mask_quality")
    expect(page.get_by_label("least class quality")).to_be_visible()
    expect(page.get_by_label("least pixel score")).to_have_count(0)
