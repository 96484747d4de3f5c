"""Labels by the size of their mask, and by the class they had before correction."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import Page, expect

from app.thresholds import corrects_classes
from lab.config import parse_run_config
from lab.datasets.records import LabelSource, PseudoLabels
from lab.store.recorder import StoreRecorder
from lab.store.runs import attach_datasets, create_run, delete_run
from lab.store.store import Store
from tests.factories import candidates, painted_dataset, rle

SIDES = ((33, 31), (32, 32), (97, 95), (96, 96))
"""Boxes of 1023, 1024, 9215 and 9216 pixels: the edges of COCO's sizes."""
CAT, DOG, CAR, BUS = range(4)
WAS, IS = (CAT, CAT, DOG, CAR), (CAT, DOG, DOG, BUS)
"""The second and the fourth label were corrected."""


@pytest.fixture(scope="module")
def sized(lab_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A run of one step on one image, with the four labels above."""
    yield from recorded(lab_root, tmp_path_factory.mktemp("sized"), "sized", corrects=True)


@pytest.fixture(scope="module")
def plain(lab_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same of a method that corrects no class."""
    yield from recorded(lab_root, tmp_path_factory.mktemp("plain"), "plain", corrects=False)


def recorded(root: Path, pictures: Path, name: str, *, corrects: bool) -> Iterator[str]:
    """The id of the run, which is deleted afterwards."""
    train = painted_dataset(pictures, name, 1, 128, 3)
    method = {"name": "pl_dc", "dicc": corrects, "burn_in_steps": 0}
    config = {"name": name, "method": method, "schedule": {"max_steps": 1}}
    with Store.open(root) as store:
        run = create_run(store, parse_run_config(config))
        attach_datasets(store, run, train, train.with_images(()))
        with StoreRecorder(store, run) as recorder:
            recorder.scalars(0, {"loss/total": 1.0})
            recorder.pseudo_labels(0, [four_labels()])
            recorder.finish("finished")
    yield run
    with Store.open(root) as store:
        delete_run(store, run)


def four_labels() -> PseudoLabels:
    boxes = np.array([(0, 0, width, height) for width, height in SIDES], np.float64)
    masks = np.zeros((4, 128, 128), np.bool_)
    for mask, (width, height) in zip(masks, SIDES, strict=True):
        mask[:height, :width] = True
    rng, sure = np.random.default_rng(0), np.full((2, 4), 0.9)
    made = candidates(rng, 1, LabelSource.PSEUDO, 128, boxes, np.array(IS), sure)
    return replace(
        made,
        labels_before=np.array(WAS),
        masks=tuple(rle(mask) for mask in masks),
        areas=masks.sum(axis=(1, 2)).astype(np.float32),
    )


@pytest.mark.parametrize(
    ("question", "areas"),
    [
        ({"range": "area::1023"}, [1023]),
        ({"range": "area:1024:9215"}, [1024, 9215]),
        ({"range": "area:9216:"}, [9216]),
        ({"range": "area:9217:"}, []),
        ({"before": CAT}, [1023, 1024]),
        ({"before": CAT, "cls": DOG}, [1024]),
        ({"before": DOG}, [9215]),
        ({"before": BUS}, []),
        ({"changed": "true"}, [1024, 9216]),
        ({"changed": "true", "before": CAR}, [9216]),
        ({"before": CAT, "range": "area:1024:"}, [1024]),
    ],
)
def test_labels_are_found_by_size_and_by_the_class_before_correction(
    client: TestClient, sized: str, question: dict[str, str], areas: list[int]
) -> None:
    asked = {"span": 0, "sort": "area", **question}
    answer = client.get(f"/lab/runs/{sized}/labels", params=asked).json()

    assert [row["area"] for row in answer["rows"]] == areas
    assert answer["total"] == len(areas)


def test_only_a_method_with_clip_corrects_classes(
    client: TestClient, sized: str, plain: str
) -> None:
    corrects = [
        client.get(f"/lab/runs/{run}").json()["corrects"] for run in (sized, plain, "baseline")
    ]

    assert corrects == [True, False, False]
    assert not corrects_classes({})


@pytest.mark.browser
def test_each_size_has_its_own_labels(sized: str, page: Page) -> None:
    page.goto(f"/labels?run={sized}&span=0")
    tally, sizes = page.locator("#labels-tally"), page.get_by_role("group", name="Mask size")
    expect(tally).to_have_text(re.compile("^4 labels"))
    for size, count in (("small", "1 label "), ("medium", "2 labels "), ("large", "1 label ")):
        sizes.get_by_text(size).click()
        expect(tally).to_have_text(re.compile(f"^{count}"))


@pytest.mark.browser
def test_what_correction_changed_is_found_by_what_it_was(sized: str, page: Page) -> None:
    page.goto(f"/labels?run={sized}&span=0")
    tally = page.locator("#labels-tally")
    page.get_by_label("class was changed by CLIP").check()
    expect(tally).to_have_text(re.compile("^2 labels"))

    page.get_by_label("Before correction").select_option("cat")

    expect(tally).to_have_text(re.compile("^1 label "))
    expect(page.locator(".label-tile .class s")).to_have_text("cat")
    expect(page).to_have_url(re.compile("changed=true&was=0"))


@pytest.mark.browser
def test_a_run_that_corrects_nothing_says_so_and_is_not_asked(plain: str, page: Page) -> None:
    page.goto(f"/labels?run={plain}&span=0&changed=true&was=3")
    expect(page.locator(".side")).to_contain_text("corrects no classes")
    expect(page.locator("#labels-tally")).to_have_text(re.compile("^4 labels"))
    expect(page.get_by_label("Before correction")).to_have_count(0)
