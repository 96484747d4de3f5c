"""Which FiftyOne Apps of a store are open: each says so in a file for as long as it lives.

The dashboard reads the files, so it can link to an App without knowing FiftyOne.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from lab.store.processes import ProcessIdentity, is_alive

LOOPBACK = ("http://127.0.0.1:", "http://localhost:")


@dataclass(frozen=True, slots=True)
class Session:
    """One open App and the dataset it shows."""

    run_id: str
    dataset: str
    address: str
    """Of the dataset's page."""
    kinds: Mapping[str, str]
    """Address of the saved view of the kept labels of a kind, such as "sim"."""
    door: str
    """Address that leads to one image or view of the dataset: parameters are added to it."""
    split: str
    """Of its images: "train" where it shows pseudo-labels, "val" where predictions."""
    process: ProcessIdentity
    """The one that ends with the App."""


@contextmanager
def announced(root: Path, session: Session) -> Iterator[Path]:
    """Say until the block ends that an App is open; gives the file that says so."""
    path = directory(root) / f"app-{session.process.pid}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(session)), encoding="utf-8")
    fresh.replace(path)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def clear_leftovers(root: Path) -> None:
    """Remove the files of Apps that were killed; their names say whose they are."""
    for path in directory(root).glob("app-*"):
        owner = path.stem.removeprefix("app-")
        if not owner.isdecimal() or not psutil.pid_exists(int(owner)):
            path.unlink(missing_ok=True)


def open_sessions(root: Path, run_id: str) -> list[Session]:
    """The Apps that show a run now. Files of processes that are gone are passed over."""
    found = [read_session(path) for path in sorted(directory(root).glob("app-*.json"))]
    return [one for one in found if one and one.run_id == run_id and is_alive(one.process)]


def read_session(path: Path) -> Session | None:
    """What a file says; None if it was just removed, or says what no App of ours would."""
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        session = Session(**{**told, "process": ProcessIdentity(**told["process"])})
        links = (session.address, session.door, *session.kinds.values())
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return session if all(str(link).startswith(LOOPBACK) for link in links) else None


def directory(root: Path) -> Path:
    return root / "fiftyone"
