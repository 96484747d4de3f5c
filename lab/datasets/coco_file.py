"""A COCO json as it stands in the file: read whole, its outer structure checked, nothing judged."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import from_json

Entry = Mapping[str, Any]


class DatasetError(ValueError):
    """A dataset that cannot be used; the message names file, place and value, and what to do."""


@dataclass(frozen=True, slots=True)
class CocoFile:
    """The three lists of a COCO json. Entries are dicts; what is in them is not yet checked."""

    path: Path
    categories: Sequence[Entry]
    images: Sequence[Entry]
    annotations: Sequence[Entry]

    def error(self, place: str, value: object, problem: str) -> DatasetError:
        """A `DatasetError` about `value`, found at `place` such as "images[3].width"."""
        return DatasetError(f"{self.path}: {place} = {shortened(value)}: {problem}")


BYTE_ORDER_MARKS = {
    b"\xef\xbb\xbf": "UTF-8 with a byte order mark",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


def open_coco(path: Path, *, images_only: bool = False) -> CocoFile:
    """Read a COCO instances json.

    Args:
        images_only: only the list of images is needed; the other two are not looked at.

    Raises:
        DatasetError: when it cannot be read, is no json, or lacks a list that is needed.
    """
    tree = _parse(path)
    if isinstance(tree, list):
        raise DatasetError(f"{path}: {_explain_list(tree)}")
    if not isinstance(tree, dict):
        raise DatasetError(f"{path}: holds {shortened(tree)}: expected a COCO object with images")
    images = _entries(path, tree, "images")
    if images_only:
        return CocoFile(path, (), images, ())
    return CocoFile(
        path, _entries(path, tree, "categories"), images, _entries(path, tree, "annotations")
    )


def find_non_finite(tree: object, place: str = "") -> Iterator[tuple[str, float]]:
    """Each NaN or infinity in a json tree with its place, such as ("bbox[0]", nan)."""
    if isinstance(tree, float) and not math.isfinite(tree):
        yield place, tree
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from find_non_finite(value, f"{place}.{key}" if place else str(key))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from find_non_finite(value, f"{place}[{index}]")


def shortened(value: object, length: int = 60) -> str:
    """repr(value), cut to `length` characters."""
    text = repr(value)
    return text if len(text) <= length else f"{text[: length - 3]}..."


def _parse(path: Path) -> object:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}") from None
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            raise DatasetError(f"{path}: is {encoding}: save it as UTF-8 without a mark")
    try:
        return from_json(content)
    except ValueError as error:
        raise DatasetError(f"{path}: is not valid json: {error}") from None


def _explain_list(tree: Sequence[object]) -> str:
    first = tree[0] if tree else None
    if isinstance(first, dict) and "score" in first:
        return (
            "is a list of results (entries have a score), not a dataset: give the json with "
            "images, categories and annotations"
        )
    return "is a list: expected an object with images, categories and annotations"


def _entries(path: Path, tree: Mapping[str, Any], key: str) -> Sequence[Entry]:
    if key not in tree:
        known = ", ".join(sorted(map(str, tree))) or "nothing"
        raise DatasetError(
            f"{path}: has no key {key!r} (it has {known}): not a COCO instances json"
        )
    entries = tree[key]
    if not isinstance(entries, list):
        raise DatasetError(f"{path}: {key} = {shortened(entries)}: expected a list")
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise DatasetError(f"{path}: {key}[{index}] = {shortened(entry)}: expected an object")
    return entries
