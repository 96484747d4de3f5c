"""What of an image the teacher saw: answered by the server, drawn in the browser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import Page, expect

from app.label_entries import cuts
from lab.analysis.judge import build_judge
from lab.config import RunConfig
from lab.datasets.records import ErrorKind, LabelSource
from lab.store.queries import LabelFilter, find_labels, visible_parts
from lab.store.recorder import StoreRecorder
from lab.store.runs import attach_datasets, create_run, delete_run
from lab.store.store import Store
from tests.app.test_scripts import call
from tests.factories import ellipse, painted_dataset, pseudo_labels, rle

SIDE = 96
WHOLE = (0.0, 0.0, 96.0, 96.0)


@pytest.fixture
def cropped(lab_root: Path, tmp_path: Path) -> Iterator[str]:
    """Step 0: image 1 seen in its left half, image 2 whole, image 3 as a view of everything.

    The one label of image 1 is the left half of its first truth.
    """
    train = painted_dataset(tmp_path / "pictures", "cropped", 3, SIDE, 0)
    truth = train.images[0].annotations[0]
    x1, y1, x2, y2 = truth.box
    edge = (x1 + x2) / 2
    mask = ellipse(SIDE, truth.box)
    mask[:, int(edge) :] = False
    half = replace(
        pseudo_labels(1, image_id=1, side=SIDE, judged=False),
        masks=(rle(mask),),
        boxes=np.array([[x1, y1, int(edge), y2]], np.float32),
        labels=np.array([truth.label]),
        visible=(0.0, 0.0, float(int(edge)), 96.0),
    )
    others = [
        pseudo_labels(2, image_id=2, side=SIDE, judged=False),
        replace(pseudo_labels(2, image_id=3, side=SIDE, judged=False), visible=WHOLE),
    ]
    with Store.open(lab_root) as store:
        run = create_run(store, RunConfig(name="cropped"))
        attach_datasets(store, run, train, train.with_images(()))
        with StoreRecorder(store, run, judge=build_judge(train)) as recorder:
            recorder.pseudo_labels(0, [half, *others])
        yield run
        delete_run(store, run)


@pytest.mark.parametrize(
    ("part", "is_cut"),
    [
        (WHOLE, False),
        ((0.4, 0.0, 96.0, 95.6), False),
        ((0.6, 0.0, 96.0, 96.0), True),
        ((0.0, 0.0, 96.0, 48.0), True),
    ],
)
def test_a_view_cuts_when_a_pixels_centre_is_outside(
    part: tuple[float, float, float, float], is_cut: bool
) -> None:
    assert cuts(part, 96, 96) is is_cut


def test_only_cut_views_are_told(client: TestClient, cropped: str) -> None:
    rows = client.get(f"/lab/runs/{cropped}/labels").json()["rows"]
    seen = {row["image_id"]: row["seen"] for row in rows}

    assert seen[1][:2] == [0, 0]
    assert 0 < seen[1][2] < 96
    assert seen[1][3] == 96
    assert seen[2] is None
    assert seen[3] is None
    for image_id, part in seen.items():
        image = client.get(f"/lab/runs/{cropped}/images/{image_id}", params={"it": 0}).json()
        assert image["seen"] == part
        assert len(image["truth"][0]["mask"]["counts"]) > 0


def test_the_store_answers_for_places_of_one_source(lab_root: Path, cropped: str) -> None:
    with Store.open(lab_root, read_only=True) as store:
        found = visible_parts(store, cropped, LabelSource.PSEUDO, {(0, 1), (0, 2), (9, 1)})
        others = visible_parts(store, cropped, LabelSource.PROBE_TEACHER, {(0, 1)})
        nothing = visible_parts(store, cropped, LabelSource.PSEUDO, set())

    assert list(found) == [(0, 1)]
    assert others == nothing == {}


def test_half_an_object_is_right_when_the_view_shows_that_half(
    lab_root: Path, cropped: str
) -> None:
    """Its IoU with the whole truth is about one half; with the visible part of it, about one."""
    with Store.open(lab_root, read_only=True) as store:
        [row] = find_labels(store, cropped, LabelFilter(image_id=1)).rows

    assert row.kind is ErrorKind.COR
    assert row.true_iou > 0.8


@pytest.mark.browser
def test_the_edge_of_the_view_is_drawn_and_explained(cropped: str, page: Page) -> None:
    page.goto(f"/labels?run={cropped}&span=0")
    cut = page.locator(".label-tile", has_text="cut by the edge of the view")
    expect(cut).to_have_count(1)

    cut.click()
    expect(page.locator("#viewer-seen")).to_have_text(
        "It saw only what lies inside the thin dashed frame."
    )
    truth = page.locator("figure", has=page.locator("#viewer-truth"))
    expect(truth).to_contain_text("Drawn whole, judged inside the frame.")


@pytest.mark.browser
def test_what_lies_outside_the_view_is_dimmed(page: Page) -> None:
    """A white picture of 100 x 100 of which the left 60 columns were seen."""
    body = """
      const canvas = document.createElement("canvas");
      Object.assign(canvas.style, { width: "100px", height: "100px" });
      document.body.append(canvas);
      const white = new OffscreenCanvas(100, 100);
      const paint = white.getContext("2d");
      paint.fillStyle = "#fff";
      paint.fillRect(0, 0, 100, 100);
      const image = { width: 100, height: 100 };
      const view = { x: 0, y: 0, width: 100, height: 100 };
      const at = (x) => canvas.getContext("2d").getImageData(x, 50, 1, 1).data[0];
      return given.map((seen) => {
        m.drawView(canvas, white, image, view, [], seen);
        return [at(30), at(80)];
      });"""
    box = [0, 0, 60, 100]

    page.goto("/lab/static/not_found.html")
    drawn = call(page, "drawing.js", body, [None, {"box": box}, {"box": box, "dim": True}])

    assert drawn[0] == drawn[1] == [255, 255]
    assert drawn[2][0] == 255
    assert drawn[2][1] < 120
