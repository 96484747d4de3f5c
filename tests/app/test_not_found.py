"""An address where there is no page."""

from __future__ import annotations

import re

import pytest
from fastapi.testclient import TestClient

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.mark.parametrize("path", ["/whatif", "/labels/7", "/lab"])
def test_a_browser_is_shown_the_way_back(client: TestClient, path: str) -> None:
    answer = client.get(path, headers=BROWSER)

    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    links = re.findall(r'<a href="([^"]+)">', answer.text)
    assert links == ["/", "/live", "/labels", "/what-if", "/data"]
    for link in links:
        assert client.get(link, headers=BROWSER).status_code == 200


def test_a_program_is_told_as_programs_are(client: TestClient) -> None:
    answer = client.get("/whatif", headers={"Accept": "application/json"})

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json"


def test_our_own_answers_stay_sentences(client: TestClient) -> None:
    answer = client.get("/lab/runs/nobody/live", headers=BROWSER)

    assert answer.status_code == 404
    assert "nobody" in answer.json()["error"]
