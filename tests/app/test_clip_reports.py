"""CLIP reports: listed and read from the store, and drawn in the browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import Page, expect

from app.engine_process import clip_report_command

HOSTILE = '<img src=x onerror="window.hacked=1">'


def class_score(name: str, objects: int, right: int, named: int, **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "supercategory": "animal",
        "known": True,
        "objects": objects,
        "judged": objects,
        "named": named,
        "right": right,
        "precision": right / named if named else None,
        "recall": right / objects if objects else None,
        **changes,
    }


def made_up(key: str, created: float, model: str) -> dict[str, Any]:
    """Ten cats, two of them dogs to CLIP; no parrot."""
    return {
        "format": "seglab clip report 1",
        "key": key,
        "created": created,
        "seconds": 1.0,
        "dataset": {"name": HOSTILE, "source": "val.json", "images": 3},
        "clip": {
            **{"model": model, "pretrained": "openai", "templates": ["a {class}."]},
            **{"descriptions": None, "margin": 0.25},
        },
        **{"objects": 16, "judged": 15, "unseen": 1, "unknown": 0, "right": 13},
        **{"accuracy": 13 / 15, "similar_accuracy": 1.0},
        **{"macro_precision": 0.857, "macro_recall": 0.9},
        "classes": [
            class_score("cat", 10, 8, 8),
            class_score("dog", 5, 5, 7),
            class_score(HOSTILE, 0, 0, 0, known=False),
        ],
        "sizes": [
            {"size": "small", "objects": 16, "judged": 15, "right": 13, "accuracy": 13 / 15},
            {"size": "large", "objects": 0, "judged": 0, "right": 0, "accuracy": None},
        ],
        "confusions": [{"truth": "cat", "named": "dog", "count": 2, "share": 0.2, "similar": True}],
    }


@pytest.fixture
def reports(lab_root: Path) -> Iterator[Path]:
    """Two reports in the store, and two files that are none."""
    directory = lab_root / "clip-reports"
    directory.mkdir()
    for key, created, model in (("older", 1.0, "RN50"), ("newer", 2.0, "ViT-B-32")):
        (directory / f"{key}.json").write_text(json.dumps(made_up(key, created, model)))
    (directory / "broken.json").write_text("{")
    (directory / "other.json").write_text('{"format": "else"}')
    yield directory
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()


def test_without_reports_the_list_is_empty(client: TestClient):
    assert client.get("/lab/clip-reports").json()["reports"] == []


def test_reports_are_listed_newest_first_and_other_files_left_out(client, reports):
    listed = client.get("/lab/clip-reports").json()["reports"]

    assert [one["key"] for one in listed] == ["newer", "older"]
    assert listed[0]["clip"] == {"model": "ViT-B-32", "pretrained": "openai"}
    assert "classes" not in listed[0]


def test_a_report_is_whole(client, reports):
    assert client.get("/lab/clip-reports/older").json()["classes"][0]["right"] == 8


@pytest.mark.parametrize("key", ["none", "broken", "other", "..%2Fstore", "NEWER"])
def test_what_is_no_report_is_not_found(client, reports, key: str):
    answer = client.get(f"/lab/clip-reports/{key}")

    assert answer.status_code == 404


def test_the_command_line_is_the_one_the_engine_reads():
    options = {"--model": "RN50", "--template": ["a {class}", "-x {class}"], "--limit": None}

    command = clip_report_command(Path("/a store"), "-odd.json", Path("im ages"), options)

    assert command[1:] == [
        *("-m", "engine.clip_report", "--store", "/a store", "--model=RN50"),
        *("--template=a {class}", "--template=-x {class}", "--", "-odd.json", "im ages"),
    ]


@pytest.mark.browser
def test_a_visitor_without_reports_is_told_how_to_make_one(page: Page):
    page.goto("/data")

    expect(page.locator("#clip-reports .notice")).to_contain_text("seglab clip-report shapes")


@pytest.mark.browser
def test_classes_are_sorted_by_what_one_clicks_and_another_report_is_one_choice_away(
    page: Page, reports: Path
):
    page.goto("/data")
    expect(page.locator("#clip-right")).to_have_text(re.compile(r"86\.7\s%"))
    rows = page.locator("#clip-classes tbody tr")
    expect(rows.nth(0)).to_contain_text("cat")
    expect(page.locator("#clip-confusions")).to_contain_text("a look-alike")
    expect(page.locator("#clip-large")).to_have_count(0)

    page.locator("#clip-classes").get_by_role("button", name="Precision").click()
    expect(rows.nth(0)).to_contain_text("cat")
    expect(rows.nth(1)).to_contain_text(re.compile(r"71\.4\s%"))
    page.locator("#clip-classes").get_by_role("button", name="Precision").click()
    expect(rows.nth(0)).to_contain_text("dog")
    # Never named: last either way, and its name is text.
    expect(rows.nth(2)).to_contain_text("not in its vocabulary")
    expect(rows.nth(2)).to_contain_text(HOSTILE)

    page.get_by_label("CLIP report").select_option("older")
    expect(page).to_have_url(re.compile(r"/data\?.*report=older$"))
    expect(page.get_by_label("CLIP report")).to_have_value("older")
    assert page.evaluate("window.hacked") is None
    assert page.locator('img[src="x"]').count() == 0
