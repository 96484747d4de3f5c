"""Values that take long to make are made once while they are asked for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from app.recent import Recent


def test_a_value_is_made_once_and_the_one_asked_for_longest_ago_goes_first() -> None:
    recent: Recent[str, int] = Recent(2)
    numbers = count()

    def ask(key: str) -> int:
        return recent.of(key, lambda: next(numbers))

    assert [ask("a"), ask("b"), ask("a")] == [0, 1, 0]
    assert ask("c") == 2  # "b" goes: "a" was asked for since
    assert [ask("a"), ask("c"), ask("b")] == [0, 2, 3]
    assert len(recent) == 2


def test_whoever_asks_while_a_value_is_made_waits_for_it() -> None:
    recent: Recent[str, int] = Recent(2)
    numbers = count()
    with ThreadPoolExecutor(8) as threads:
        told = list(threads.map(lambda _: recent.of("a", lambda: next(numbers)), range(64)))

    assert told == [0] * 64
    assert next(numbers) == 1


def test_what_could_not_be_made_is_made_by_the_next() -> None:
    recent: Recent[str, int] = Recent(2)
    with pytest.raises(ZeroDivisionError):
        recent.of("a", lambda: 1 // 0)

    assert len(recent) == 0
    assert recent.of("a", lambda: 5) == 5
