"""Both kinds of database, for tests that hold on either."""

from __future__ import annotations

import pytest

BOTH = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
"""Parameters of a fixture; `new_url` turns them into what Store.open takes."""


def new_url(request: pytest.FixtureRequest) -> str:
    """ "" for a file; for a server the URL of a new, empty database."""
    return "" if request.param == "sqlite" else request.getfixturevalue("new_database")()
