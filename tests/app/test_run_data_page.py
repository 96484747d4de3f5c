"""Data: what the datasets of a run hold, what is wrong with their files, and some images."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import Page, expect

from lab.config import parse_run_config
from lab.datasets.coco import read_coco, write_coco
from lab.datasets.records import Annotation, Category, Dataset, ImageRecord
from lab.store.runs import attach_datasets, create_run, delete_run
from lab.store.store import Store
from tests.factories import ellipse, rle

SIDE = 64
HOSTILE = '<img src=x onerror="window.hacked=1">'
CATEGORIES = (
    *(Category(1, "cat", "animal"), Category(2, "dog", "animal")),
    *(Category(3, HOSTILE, "toy"), Category(4, "kite", "toy")),
)


def thing(number: int, label: int, *, is_crowd: bool = False) -> Annotation:
    """An ellipse of about 12 x 12 x pi pixels."""
    mask = ellipse(SIDE, (8, 8, 32, 32))
    return Annotation(number, label, (8, 8, 32, 32), float(mask.sum()), rle(mask), is_crowd)


def image(directory: Path, image_id: int, *annotations: Annotation) -> ImageRecord:
    path = directory / f"{image_id}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = np.full((SIDE, SIDE, 3), 20 * image_id, np.uint8)
    path.write_bytes(cv2.imencode(".png", grey)[1].tobytes())
    return ImageRecord(image_id, path, SIDE, SIDE, annotations)


@dataclass(frozen=True)
class Files:
    """Two COCO files and their images; ids of training and validation images are the same."""

    directory: Path

    @property
    def train(self) -> Path:
        return self.directory / "train.json"

    @property
    def val(self) -> Path:
        return self.directory / "val.json"

    def config(self, method: str) -> dict[str, object]:
        named = {"train_json": self.train, "train_images": self.directory / "train"}
        named |= {"val_json": self.val, "val_images": self.directory / "val"}
        dataset = {"source": "coco"} | {key: str(path) for key, path in named.items()}
        tree = {"name": method} | ({"burn_in_steps": 0} if method == "pl_dc" else {})
        return {"dataset": dataset, "method": tree, "split": {"labeled_fraction": 0.5}}


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Training: 3 cats in images 1 and 2, a toy in 2; 3 with a crowd of dogs; 4 with nothing."""
    made = Files(tmp_path)
    train = (
        image(tmp_path / "train", 1, thing(1, 0), thing(2, 0)),
        image(tmp_path / "train", 2, thing(3, 0), thing(4, 2)),
        image(tmp_path / "train", 3, thing(5, 1, is_crowd=True)),
        image(tmp_path / "train", 4),
    )
    val = (image(tmp_path / "val", 1, thing(1, 0), thing(2, 1)),)
    write_coco(Dataset("train", CATEGORIES, train), made.train, tmp_path / "train")
    write_coco(Dataset("val", CATEGORIES, val), made.val, tmp_path / "val")
    return made


@pytest.fixture
def record(lab_root: Path, files: Files) -> Iterator[Callable[..., str]]:
    """Makes runs on the files, by method; they go at the end."""
    made: list[str] = []
    with Store.open(lab_root) as store:

        def run(method: str = "pl_dc", *, attached: bool = True) -> str:
            made.append(create_run(store, parse_run_config(files.config(method))))
            if attached:
                train = read_coco(files.train, files.directory / "train")
                val = read_coco(files.val, files.directory / "val")
                attach_datasets(store, made[-1], train, val)
            return made[-1]

        yield run
        for one in made:
            delete_run(store, one)


def test_parts_are_counted_without_crowds(client: TestClient, record: Callable[..., str]) -> None:
    told = client.get(f"/lab/runs/{record()}/data").json()

    labeled, unlabeled, val = told["parts"]
    # Image 2 alone has a toy and a cat, so it is labelled; one more makes half of four.
    assert [one["use"] for one in told["parts"]] == ["masks", "hidden", "measure"]
    assert labeled["images"] == unlabeled["images"] == 2
    assert labeled["objects"] + unlabeled["objects"] == 4
    assert labeled["crowds"] + unlabeled["crowds"] == 1
    # Images 3 and 4 have no object: a crowd is none.
    assert labeled["empty_images"] + unlabeled["empty_images"] == 2
    assert (val["images"], val["objects"], val["most_objects"], val["small"]) == (1, 2, 2, 2)
    assert val["sizes"]["commonest"] == [SIDE, SIDE]


def test_classes_have_their_objects_in_each_part(
    client: TestClient, record: Callable[..., str]
) -> None:
    cat, dog, toy, kite = client.get(f"/lab/runs/{record()}/data").json()["classes"]

    assert cat["objects"]["labeled"] + cat["objects"]["unlabeled"] == 3
    assert dog["objects"] == {"labeled": 0, "unlabeled": 0, "val": 1}
    assert toy["objects"] == {"labeled": 1, "unlabeled": 0, "val": 0}
    assert kite["objects"] == {"labeled": 0, "unlabeled": 0, "val": 0}
    assert (kite["label"], kite["supercategory"]) == (3, "toy")


def test_a_box_supervised_run_has_boxes_of_every_image(
    client: TestClient, record: Callable[..., str]
) -> None:
    labeled, val = client.get(f"/lab/runs/{record('boxinst')}/data").json()["parts"]

    assert (labeled["name"], labeled["use"], labeled["images"]) == ("labeled", "boxes", 4)
    assert val["use"] == "measure"


def test_a_run_that_has_not_begun_has_no_parts(
    client: TestClient, record: Callable[..., str]
) -> None:
    told = client.get(f"/lab/runs/{record(attached=False)}/data").json()

    assert told["parts"] == []
    assert [one["name"] for one in told["files"]] == ["train", "val"]


def test_generated_images_have_no_file_to_check(client: TestClient) -> None:
    told = client.get("/lab/runs/teacher/data").json()

    assert (told["source"], told["files"]) == ("shapes", [])
    answer = client.get("/lab/runs/teacher/data/check", params={"file": "val"})
    assert answer.status_code == 404
    assert "names no file dataset.val_json" in answer.json()["error"]


def test_images_of_a_part_come_with_their_truth_page_by_page(
    client: TestClient, record: Callable[..., str]
) -> None:
    run = record("boxinst")
    pages = [
        client.get(f"/lab/runs/{run}/data/images", params={"size": 3, "pg": pg}).json()
        for pg in (1, 2, 3)
    ]

    assert [one["total"] for one in pages] == [4, 4, 4]
    assert [[i["id"] for i in one["images"]] for one in pages] == [[1, 2, 3], [4], []]
    assert [len(one["truth"]) for one in pages[0]["images"]] == [2, 2, 1]
    assert pages[0]["images"][2]["truth"][0]["crowd"] is True
    assert pages[0]["images"][0]["truth"][0]["mask"]["size"] == [SIDE, SIDE]


def test_a_picture_of_a_split_is_not_that_of_the_other_with_its_id(
    client: TestClient, record: Callable[..., str], files: Files
) -> None:
    grey = np.full((SIDE, SIDE, 3), 250, np.uint8)
    (files.directory / "val" / "1.png").write_bytes(cv2.imencode(".png", grey)[1].tobytes())
    address = f"/lab/runs/{record()}/pictures/1"

    train = client.get(address).content
    assert client.get(address, params={"split": "train"}).content == train
    assert client.get(address, params={"split": "val"}).content != train
    assert client.get(f"/lab/runs/{record()}/pictures/3?split=val").status_code == 404


def test_a_check_says_what_the_verb_says_until_the_file_changes(
    client: TestClient, record: Callable[..., str], files: Files
) -> None:
    address = f"/lab/runs/{record()}/data/check?file=train"
    found = client.get(address).json()

    assert (found["num_images"], found["num_annotations"], found["num_crowds"]) == (4, 5, 1)
    codes = [one["code"] for one in found["issues"]]
    assert "class-with-only-crowds" in codes
    assert "class-without-instances" in codes

    files.train.write_text("[]")
    changed = client.get(address).json()
    assert [one["code"] for one in changed["issues"]] == ["unreadable-file"]


def test_an_image_that_was_deleted_is_found_missing(
    client: TestClient, record: Callable[..., str], files: Files
) -> None:
    address = f"/lab/runs/{record()}/data/check?file=val"
    assert "missing-image" not in client.get(address).text

    picture = files.directory / "val" / "1.png"
    picture.unlink()
    os.utime(picture.parent, ns=(1, 1))  # as if time had passed

    assert "missing-image" in client.get(address).text


def test_a_missing_file_is_named_in_a_sentence(
    client: TestClient, record: Callable[..., str], files: Files
) -> None:
    run = record()
    files.train.unlink()

    entry, _ = client.get(f"/lab/runs/{run}/data").json()["files"]
    assert entry["missing"] == f"dataset.train_json = {files.train}: there is no such file any more"
    checked = client.get(f"/lab/runs/{run}/data/check?file=train").json()
    assert checked["missing"] == entry["missing"]
    assert "issues" not in checked


@pytest.mark.parametrize("file", ["../train", "/etc/passwd", "unlabeled"])
def test_no_other_file_is_checked(
    client: TestClient, record: Callable[..., str], file: str
) -> None:
    answer = client.get(f"/lab/runs/{record()}/data/check", params={"file": file})

    assert answer.status_code in (404, 422)


@pytest.mark.browser
def test_the_page_tells_parts_classes_findings_and_images(
    record: Callable[..., str], page: Page
) -> None:
    page.goto(f"/data?run={record()}")

    expect(page.locator("[data-part=val] [data-number=objects]")).to_have_text("2")
    expect(page.locator("[data-part=unlabeled]")).to_contain_text("Their truth is hidden")
    expect(page.locator("[data-absent=labeled]")).to_contain_text("2 classes have no labelled")
    expect(page.locator("[data-absent=labeled]")).to_contain_text("dog, kite")
    expect(page.locator("[data-absent=val]")).to_contain_text(HOSTILE)

    rows = page.locator("#run-classes tbody tr")
    page.locator("#run-classes").get_by_role("button", name="Class").click()
    expect(rows.nth(0)).to_contain_text(HOSTILE)  # "<" comes before letters
    page.locator("#run-classes").get_by_role("button", name="Validation").click()
    expect(rows.nth(0)).to_contain_text("cat")

    page.get_by_role("button", name="Check the files").click()
    expect(page.locator("[data-file=train]")).to_contain_text("All its annotations are crowds")
    expect(page.locator("[data-file=val]")).to_contain_text("1 image, 2 annotations, 4 classes")

    expect(page.locator(".data-image")).to_have_count(2)
    page.locator("#run-examples").get_by_role("button", name="Validation").click()
    expect(page.locator(".data-image")).to_have_count(1)
    expect(page.locator(".data-image")).to_contain_text("cat, dog")
    assert page.evaluate("window.hacked") is None
    assert page.locator('img[src="x"]').count() == 0


@pytest.mark.browser
def test_a_class_opens_its_pseudo_labels(page: Page) -> None:
    page.goto("/data?run=teacher")
    expect(page.locator("#run-check")).to_contain_text("generated by seglab itself")

    page.locator("#run-classes").get_by_role("link", name="dog").click()

    expect(page).to_have_url(re.compile(r"/labels\?.*cls=1"))
    expect(page.locator(".label-tile").first).to_be_visible()


@pytest.mark.browser
def test_a_run_without_datasets_says_when_they_come(record: Callable[..., str], page: Page) -> None:
    page.goto(f"/data?run={record(attached=False)}")

    expect(page.locator("#run-data .notice")).to_contain_text("when it begins to train")
    expect(page.get_by_role("button", name="Check the files")).to_be_enabled()
