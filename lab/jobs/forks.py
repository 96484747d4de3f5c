"""The checkpoint that a fork begins with: taken over from its parent."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from lab.store.errors import RunNotFound
from lab.store.queries import checkpoints, get_run
from lab.store.store import Store


def take_over_checkpoint(store: Store, run_id: str) -> None:
    """Give a fork its parent's checkpoint, unless it has one, or the parent has none there.

    Raises:
        OSError: it cannot be taken over.
    """
    directory = store.run_directory(run_id) / "checkpoints"
    if any(directory.glob("step-*.pt")):
        return
    try:
        row = get_run(store, run_id)
        found = [] if row.parent_run_id is None else checkpoints(store, row.parent_run_id)
    except RunNotFound:
        return  # deleted meanwhile; the engine says that it cannot begin
    for one in found:
        if one.step == row.parent_step and one.exists:
            share_file(one.path, directory)


def share_file(source: Path, directory: Path) -> None:
    """A second name for the same file where the disk can do that, else a copy."""
    directory.mkdir(parents=True, exist_ok=True)
    target = directory / source.name
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
