"""Progress in words people read."""

from __future__ import annotations

import pytest

from engine.progress import in_words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (99.4, "99 s"),
        (100, "2 min"),
        (3_600, "60 min"),
        (11_100, "3 h 05 min"),
        (187_200, "2 days 4 h"),
    ],
)
def test_seconds_become_the_unit_that_fits(seconds: float, words: str):
    assert in_words(seconds) == words
