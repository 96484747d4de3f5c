"""The datasets of a store: as answers, and on the page Data."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import Page, expect

from app.dataset_findings import check_command, findings
from app.server import build_server
from lab.config import CocoConfig, RunConfig
from lab.datasets.records import Category
from lab.store.dataset_queries import ClassFacts, DatasetFacts, DatasetRow
from lab.store.queries import dataset_facts, images_of, list_datasets
from lab.store.store import Store

CATS_AND_DOGS = (Category(1, "cat", "animal"), Category(2, "dog", "animal"))
PART = DatasetRow(1, "key", "pets", CATS_AND_DOGS, 10)


def facts(*labels: int, crowds: int = 0, empty: int = 0, maskless: int = 0) -> DatasetFacts:
    """Three objects of each label."""
    classes = tuple(ClassFacts(label, 3, 2, (1, 3), maskless) for label in labels)
    return DatasetFacts(classes, crowds, empty, (64, 64), (64, 64))


def test_facts_are_counts_of_the_stored_truth(lab_root: Path, run_ids: dict[str, str]) -> None:
    with Store.open(lab_root, read_only=True) as store:
        images = images_of(store, run_ids["teacher"], "train")
        counted = dataset_facts(store, list_datasets(store)[0], (1024,))
    truth = [one for image in images for one in image.annotations]

    assert sum(one.objects for one in counted.classes) == len(truth)
    assert sum(one.below[0] for one in counted.classes) == sum(one.area < 1024 for one in truth)
    for one in counted.classes:
        shown = [image for image in images if any(a.label == one.label for a in image.annotations)]
        assert one.images == len(shown)
    assert counted.empty_images == sum(not image.annotations for image in images)
    assert counted.widths == counted.heights == (96, 96)


def test_runs_on_the_same_images_are_one_entry(client: TestClient) -> None:
    (entry,) = client.get("/lab/datasets").json()["datasets"]
    told = client.get(f"/lab/datasets/{entry['key']}").json()

    assert {run["name"] for run in entry["runs"]} == {"baseline", "teacher", "teacher-strict"}
    assert entry["splits"] == [{"fraction": 0.1, "seed": 0, "images": 1, "runs": 3}]
    for part in ("train", "val"):
        assert sum(told[part]["sizes"].values()) == told[part]["objects"] > 0
    assert sum(one["objects"] for one in told["classes"]) == told["train"]["objects"]
    assert told["check"] is None  # generated images are in no file


def test_data_that_nobody_uses_are_not_found_and_no_store_is_no_data(
    client: TestClient, tmp_path: Path
) -> None:
    for key in ("9-9", "x", "1", "..%2Fstore"):
        assert client.get(f"/lab/datasets/{key}").status_code == 404
    with TestClient(build_server(tmp_path / "none"), base_url="http://127.0.0.1") as other:
        assert other.get("/lab/datasets").json() == {"datasets": []}


def test_a_class_that_is_judged_and_never_taught_is_a_warning() -> None:
    found = findings(PART, facts(0, crowds=2), PART, facts(0, 1, empty=4))

    assert [(one.severity, one.words.split(":")[0]) for one in found] == [
        ("warning", "dog"),
        ("note", "2 crowds in training images"),
        ("note", "4 of 10 validation images hold no object"),
    ]


def test_boxes_without_masks_are_told_and_a_sound_dataset_is_not() -> None:
    assert findings(PART, facts(0, 1), PART, facts(0, 1)) == []

    (one,) = findings(PART, facts(0, 1, maskless=3), PART, facts(0, 1))

    assert one.words == "6 of 6 training objects have a box and no mask"


def test_the_command_that_checks_files_is_quoted() -> None:
    paths = {"train_json": "my data/a.json", "val_json": "b.json"}
    images = {"train_images": "images", "val_images": "images"}
    config = RunConfig(dataset=CocoConfig.model_validate({"source": "coco", **paths, **images}))

    command = check_command(config.model_dump(mode="json"))

    assert command == "seglab data check 'my data/a.json' images"


@pytest.mark.browser
def test_the_page_counts_what_the_store_holds(page: Page) -> None:
    page.goto("/data")
    told = page.request.get("/lab/datasets/1-2").json()

    expect(page.locator("#data-images")).to_have_text(f"{told['train']['images']}")
    expect(page.locator("#data-objects")).to_have_text(f"{told['train']['objects']}")
    expect(page.locator("#data-classes tbody tr")).to_have_count(len(told["classes"]))
    expect(page.locator("#data-sizes")).to_contain_text(f"{told['train']['sizes']['small']} (")
    expect(page.locator("#data-findings")).to_be_visible()
    expect(page.locator("#clip-reports")).to_contain_text("No CLIP report yet")
