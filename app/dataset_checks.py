"""`seglab data check` for the files that a run's config names, kept while they stay as they are."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from app.recent import Recent
from lab.config import CocoConfig, RunConfig
from lab.datasets.check import Report, check_coco, check_unannotated
from lab.store.errors import StoreError

FileName = Literal["train", "val", "unlabeled"]
MOST_KEPT = 32


class NothingToCheck(StoreError):
    """The run's config names no such file; the message says which."""


@dataclass(frozen=True, slots=True)
class DeclaredFile:
    """A COCO json that a run's config names, and the directory of its images."""

    name: FileName
    json: Path
    images: Path | None


def declared_files(config: RunConfig | None) -> list[DeclaredFile]:
    """None for generated images, and for runs of other code: their configs name no files."""
    data = None if config is None else config.dataset
    if not isinstance(data, CocoConfig):
        return []
    files = [
        DeclaredFile("train", data.train_json, data.train_images),
        DeclaredFile("val", data.val_json, data.val_images),
    ]
    if data.unlabeled_json is not None:
        files.append(DeclaredFile("unlabeled", data.unlabeled_json, data.unlabeled_images))
    return files


def declared_file(config: RunConfig | None, name: FileName) -> DeclaredFile:
    """Raises: NothingToCheck."""
    found = [one for one in declared_files(config) if one.name == name]
    if not found:
        raise NothingToCheck(f"the config of this run names no file dataset.{name}_json")
    return found[0]


def file_entry(file: DeclaredFile) -> dict[str, Any]:
    """Where it is, and in `missing` a sentence if it cannot be checked."""
    return {
        "name": file.name,
        "json": str(file.json),
        "images": None if file.images is None else str(file.images),
        "missing": whats_missing(file),
    }


def whats_missing(file: DeclaredFile) -> str | None:
    """A sentence that names key and value; None when there is something to check."""
    if not file.json.is_file():
        return f"dataset.{file.name}_json = {file.json}: there is no such file any more"
    if file.images is None:
        return f"dataset.{file.name}_images is not set: it must name the directory of the images"
    if not file.images.is_dir():
        return f"dataset.{file.name}_images = {file.images}: is not a directory"
    return None


class CheckCache:
    """Reports by file, its size and the time it was changed, and that of its images' directory."""

    def __init__(self) -> None:
        self._recent: Recent[tuple[object, ...], dict[str, Any]] = Recent(MOST_KEPT)

    def of(self, file: DeclaredFile) -> dict[str, Any]:
        """The file's entry with its findings, or without when something is missing.

        Takes as long as the file is large; a second who asks waits for the first.
        """
        entry = file_entry(file)
        if entry["missing"] is not None or file.images is None:
            return entry
        images = file.images
        return entry | self._recent.of(state_of(file, images), lambda: findings(file, images))


def state_of(file: DeclaredFile, images: Path) -> tuple[object, ...]:
    """Differs when another file is meant, or the same after a change."""
    told, directory = file.json.stat(), images.stat()
    return (
        *(file.name == "unlabeled", file.json, told.st_size, told.st_mtime_ns),
        *(images, directory.st_mtime_ns),
    )


def findings(file: DeclaredFile, images: Path) -> dict[str, Any]:
    """What `seglab data check` says; of images without labels nothing but their list is used."""
    check = check_unannotated if file.name == "unlabeled" else check_coco
    report: Report = check(file.json, images)
    return asdict(report)
