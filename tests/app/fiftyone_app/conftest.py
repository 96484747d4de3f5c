"""A real MongoDB with a dataset of a small run in it, once for all tests here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from app.fiftyone.database import Address, database
from app.fiftyone.environment import use
from app.fiftyone.mongod import URI_VARIABLE, NoDatabase, find_mongod
from app.fiftyone.request import Request, build_request
from lab.store.queries import get_run
from lab.store.store import Store
from tests.factories import filled_store


@pytest.fixture(scope="session")
def mongod_exists() -> None:
    """Skips where nothing can be tested."""
    if find_spec("fiftyone") is None:
        pytest.skip("FiftyOne is not installed: pip install -e '.[fiftyone]'")
    if not os.environ.get(URI_VARIABLE):
        try:
            find_mongod()
        except NoDatabase as error:
            pytest.skip(str(error))


@pytest.fixture(scope="session")
def fiftyone_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with three runs, read-only."""
    root = tmp_path_factory.mktemp("fiftyone") / "Läufe и 実験"
    filled_store(root, steps=12, num_images=5, side=64).close()
    with Store.open(root, read_only=True) as store:
        yield store


@pytest.fixture(scope="session")
def mongo(fiftyone_lab: Store, mongod_exists: None) -> Iterator[Address]:
    """The database of that store, told to FiftyOne before it is imported."""
    with pytest.MonkeyPatch.context() as patched, database(fiftyone_lab.root) as address:
        for name in os.environ.keys() & {URI_VARIABLE}:
            patched.delenv(name)
        use(address, fiftyone_lab.root)
        yield address


@pytest.fixture
def no_server_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests of datasets in the same process leave the name of theirs."""
    monkeypatch.delenv(URI_VARIABLE, raising=False)


@pytest.fixture(scope="module")
def request_of_teacher(fiftyone_lab: Store) -> Request:
    return build_request(fiftyone_lab.root, get_run(fiftyone_lab, "teacher"))


@pytest.fixture(scope="module")
def dataset(fiftyone_lab: Store, request_of_teacher: Request, mongo: Address) -> Any:
    from app.fiftyone.showing import show

    return show(fiftyone_lab, request_of_teacher)[1]
