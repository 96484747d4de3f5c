"""A run as one file, NAME.seglab, that any store can take in.

It is a zip archive of `manifest.json` (format, schema version, run, digest of its rows),
`store.db` (a complete store with this one run, so that any SQLite reads it and migrations apply to
it, whatever kind of store it came from) and `files/` (log and predictions; checkpoints when asked
for).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import get_args

from sqlalchemy import inspect, select
from sqlalchemy.exc import DatabaseError, DataError, IntegrityError, NoResultFound

from lab.store import tables
from lab.store.column_check import misfit
from lab.store.database import A_FILE
from lab.store.errors import RunNotFound, StoreError, StoreTooNew
from lab.store.run_queries import get_run
from lab.store.run_state import StoredStatus
from lab.store.runs import delete_run
from lab.store.schema import newest_version
from lab.store.store import RUN_ID, Store
from lab.store.transfer import TRANSLATED, WHOLE, copy_run, is_unfinished, run_digest

FORMAT = 1
SUFFIX = ".seglab"


class BundleError(StoreError):
    """A file that cannot be written or taken in; the message names it."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is in the file."""

    format: int
    schema: int
    run_id: str
    name: str
    digest: str
    checkpoints: bool


def write_bundle(store: Store, run_id: str, out: Path, *, checkpoints: bool = False) -> Manifest:
    """Write the run to `out`, which is complete when it appears. Images are not part of it."""
    row = get_run(store, run_id)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        with Store.open(Path(scratch), url=A_FILE) as alone:
            copy_run(store, alone, row.run_id)
            digest = run_digest(alone, row.run_id)
        manifest = Manifest(
            FORMAT, newest_version(), row.run_id, row.name, digest, checkpoints=checkpoints
        )
        temporary = Path(scratch) / "bundle.zip"
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("manifest.json", json.dumps(asdict(manifest), indent=2))
            archive.write(Path(scratch) / "store.db", "store.db")
            for path, name in _files(store.run_directory(row.run_id), checkpoints=checkpoints):
                archive.write(path, f"files/{name}")
        temporary.replace(out)
    return manifest


def read_manifest(path: Path) -> Manifest:
    """What the file says it holds.

    Raises:
        BundleError: it is no run file, or a newer seglab wrote it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            tree = json.loads(archive.read("manifest.json"))
        found = tree["format"]
        if isinstance(found, int) and found > FORMAT:
            raise BundleError(
                f"{path}: format {found}, this seglab knows up to {FORMAT}; upgrade seglab"
            )
        return _checked(Manifest(**tree))
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from None
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise BundleError(f"{path}: not a run written by seglab export: {error}") from None


def _checked(manifest: Manifest) -> Manifest:
    if not isinstance(manifest.run_id, str) or not RUN_ID.fullmatch(manifest.run_id):
        raise ValueError(f"run_id {manifest.run_id!r}")
    return manifest


def import_bundle(store: Store, path: Path) -> tuple[Manifest, bool]:
    """Take the run into the store; False = it was there already, with the same content.

    Raises:
        BundleError: no run file, damaged, or the store has another run of that id.
        StoreTooNew: a newer seglab wrote it.
    """
    manifest = read_manifest(path)
    directory = store.run_directory(manifest.run_id)
    directory.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".importing-{os.getpid()}-"
    with tempfile.TemporaryDirectory(prefix=prefix, dir=directory.parent) as scratch:
        _extract(path, Path(scratch))
        with _opened(Path(scratch), manifest.run_id, path) as alone:
            new = not _is_there(store, alone, manifest.run_id, path)
            if new:
                _copy(alone, store, manifest.run_id, path)
        _move_files(Path(scratch) / "files", directory)
    return manifest, new


def _opened(scratch: Path, run_id: str, path: Path) -> Store:
    """The store inside the file, once all of its run can be read and makes sense.

    Raises:
        BundleError: it cannot.
        StoreTooNew: a newer seglab wrote it.
    """
    try:
        alone = Store.open(scratch, url=A_FILE)
    except StoreTooNew as error:
        raise StoreTooNew(f"{path}: {error}") from None
    except StoreError as error:
        raise BundleError(f"{path}: damaged: its store.db: {error.__cause__ or error}") from None
    try:
        reason = _flaw(alone, run_id)
    except (DatabaseError, ValueError, TypeError, LookupError, AttributeError) as error:
        reason = f"run {run_id} cannot be read: {getattr(error, 'orig', None) or error}"
    if reason is not None:
        alone.close()
        raise BundleError(f"{path}: damaged: {reason}")
    return alone


def _flaw(alone: Store, run_id: str) -> str | None:
    """Why the run cannot be taken from this store; None = it can."""
    with alone.reading() as connection:
        there = set(inspect(connection).get_table_names())
        missing = sorted({one.name for one in tables.METADATA.sorted_tables} - there)
        if missing:
            return f"its store.db has no table {missing[0]}"
        wrong = misfit(connection, (*WHOLE, *TRANSLATED))
        if wrong is not None:
            return wrong
        status = connection.scalar(select(tables.runs.c.status))
    known = get_args(StoredStatus)
    if status is not None and status not in known:
        return f"status {status!r} of the run: expected {', '.join(known)}"
    try:
        get_run(alone, run_id)
    except RunNotFound:
        return f"it does not hold run {run_id}"
    return None


def _is_there(store: Store, alone: Store, run_id: str, path: Path) -> bool:
    """Whether the store has this very run; what an interrupted import left is deleted."""
    try:
        if is_unfinished(store, run_id):
            delete_run(store, run_id)
            return False
    except RunNotFound:
        return False
    if run_digest(store, run_id) != run_digest(alone, run_id):
        raise BundleError(
            f"{path}: the store has a run {run_id} with other content (it went on, or masks were "
            "removed); delete it first (seglab gc RUN --delete), or import into another store"
        )
    return True


def _copy(alone: Store, store: Store, run_id: str, path: Path) -> None:
    """Copy the run as it is, or nothing.

    Raises:
        BundleError: rows of the file do not belong together, or came out otherwise.
    """
    try:
        copy_run(alone, store, run_id)
        is_same = run_digest(store, run_id) == run_digest(alone, run_id)
    except (LookupError, ValueError, NoResultFound, IntegrityError, DataError) as error:
        with contextlib.suppress(RunNotFound):  # it broke off before the run was there
            delete_run(store, run_id)
        reason = getattr(error, "orig", None) or error
        raise BundleError(
            f"{path}: damaged: rows of run {run_id} do not belong together: {reason!r}"
        ) from None
    if not is_same:
        delete_run(store, run_id)
        raise BundleError(
            f"{path}: the copy of run {run_id} differs from the file; nothing is kept"
        )


def _extract(path: Path, directory: Path) -> None:
    """Unpack what belongs to a run file; every byte is checked against its checksum."""
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                place = PurePosixPath(member.filename)
                inside = not place.is_absolute() and ".." not in place.parts
                if inside and (member.filename == "store.db" or place.parts[:1] == ("files",)):
                    archive.extract(member, directory)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise BundleError(f"{path}: damaged: {error}") from None
    if not (directory / "store.db").is_file():
        raise BundleError(f"{path}: damaged: it has no store.db")


def _files(directory: Path, *, checkpoints: bool) -> Iterator[tuple[Path, str]]:
    """The run's files and their names inside its directory; no temporary ones."""
    for path in sorted(directory.rglob("*")) if directory.is_dir() else ():
        name = path.relative_to(directory)
        wanted = checkpoints or name.parts[0] != "checkpoints"
        if wanted and path.is_file() and path.suffix != ".tmp":
            yield path, name.as_posix()


def _move_files(source: Path, directory: Path) -> None:
    """Put files in place that are not there yet."""
    for path in sorted(source.rglob("*")) if source.is_dir() else ():
        target = directory / path.relative_to(source)
        if path.is_file() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, target)
