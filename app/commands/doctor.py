"""`seglab doctor`: is everything here that training and the dashboard need?"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import typer

from app.commands.options import Json, StoreRoot
from app.commands.terminal import counted, say_json, say_table
from app.fiftyone.mongod import NoDatabase
from app.fiftyone.readiness import fiftyone_version, is_named, server_at_hand
from lab.store.errors import StoreError, StoreMissing
from lab.store.queries import store_sizes
from lab.store.sqlite import SqliteFile
from lab.store.store import Store, default_root

PACKAGES = ("seglab", "torch", "torchvision", "gradio", "sqlalchemy", "hotcoco", "open_clip_torch")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LOW_DISK_GIB = 5.0
GIB = 2**30
ASK_TORCH = "import torch; c = torch.cuda; print(c.get_device_name() if c.is_available() else '')"

State = Literal["ok", "note", "broken"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. "broken" = something will not work."""

    name: str
    state: State
    detail: str


def doctor(store_root: StoreRoot = None, json: Json = False) -> None:
    """Look at versions, GPU, browser, FiftyOne, store and disk. Exit code 1: one is broken."""
    root = store_root or default_root()
    findings = [
        check_python(sys.version_info[:2]),
        *(check_package(name) for name in PACKAGES),
        check_torch(),
        check_browser(shutil.which),
        *check_fiftyone(),
        check_store(root),
        check_disk(root),
    ]
    if json:
        say_json(findings)
    else:
        rows = [(one.state, one.name, one.detail) for one in findings]
        say_table(("", "what", "found"), rows, words=3)
    raise typer.Exit(int(any(one.state == "broken" for one in findings)))


def check_python(found: tuple[int, int]) -> Finding:
    text = f"{platform.python_version()} at {sys.executable}"
    return Finding("python", "ok" if found >= (3, 11) else "broken", text)


def check_package(name: str) -> Finding:
    try:
        return Finding(name, "ok", version(name))
    except PackageNotFoundError:
        return Finding(name, "broken", "not installed: make install")


def check_torch() -> Finding:
    """Whether torch starts, and on which device; asked in a process of its own."""
    asked = subprocess.run(
        [sys.executable, "-c", ASK_TORCH], capture_output=True, text=True, check=False
    )
    if asked.returncode != 0:
        reason = asked.stderr.strip().splitlines() or ["no reason given"]
        return Finding("device", "broken", f"torch does not start: {reason[-1]}")
    device = asked.stdout.strip()
    if device:
        return Finding("device", "ok", device)
    return Finding("device", "note", "CPU only: fine for the demo, too slow for COCO")


def check_browser(find: Callable[[str], str | None]) -> Finding:
    """Chromium is needed by the browser tests alone."""
    for name in BROWSERS:
        path = find(name)
        if path is not None:
            return Finding("chromium", "ok", path)
    return Finding(
        "chromium", "note", "none: browser tests skip (Debian: apt-get install chromium)"
    )


def check_fiftyone() -> list[Finding]:
    """FiftyOne is wanted by `seglab fiftyone` alone, and needs a MongoDB."""
    try:
        found = Finding("fiftyone", "ok", fiftyone_version())
    except NoDatabase as problem:
        return [Finding("fiftyone", "note", str(problem))]
    try:
        return [found, Finding("mongodb", "ok", server_at_hand())]
    except NoDatabase as problem:
        state: State = "broken" if is_named() else "note"
        return [found, Finding("mongodb", state, str(problem))]


def check_store(root: Path) -> Finding:
    """Whether it can be opened: the file, or the server that SEGLAB_STORE names."""
    try:
        with Store.open(root, read_only=True) as store:
            sizes, where = store_sizes(store), place(store)
    except StoreMissing as error:
        return Finding("store", "note", f"{error}: seglab demo or seglab train")
    except StoreError as error:
        return Finding("store", "broken", str(error))
    runs, size = len(sizes.runs), sizes.database_bytes / GIB
    return Finding("store", "ok", f"{where}: {counted(runs, 'run')}, {size:.2f} GiB of database")


def place(store: Store) -> str:
    """Where the rows lie; of a server also where the files do."""
    if isinstance(store.database, SqliteFile):
        return str(store.root)
    return f"{store.name} answers, files in {store.root}"


def check_disk(root: Path) -> Finding:
    """Free space where the store is or will be."""
    existing = next(path for path in (root.absolute(), *root.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free / GIB
    state: State = "ok" if free >= LOW_DISK_GIB else "note"
    return Finding("disk", state, f"{free:.1f} GiB free at {existing}")
