"""Which training images keep their labels: a deterministic, stratified draw, written to disk.

Drawn in two steps. First the images that no class can do without: rarest class first, one image
at random among those that hold it, until every class has a labelled instance. The rest at random.
So a split of 1 % still knows every class, and beyond that favours none.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lab.datasets.coco_file import DatasetError, shortened
from lab.datasets.records import Dataset


@dataclass(frozen=True, slots=True)
class Split:
    """Image ids with and without labels, each in ascending order."""

    labeled: tuple[int, ...]
    unlabeled: tuple[int, ...]

    def digest(self) -> str:
        """16 hex digits that differ whenever another image is labelled or takes part."""
        told = json.dumps([self.labeled, self.unlabeled])
        return hashlib.sha256(told.encode()).hexdigest()[:16]


def split_labeled(dataset: Dataset, fraction: float, seed: int) -> Split:
    """Draw the labelled images: `fraction` of all, rounded, at least one.

    Every class that has an instance (crowds do not count) keeps at least one that is labelled;
    where that takes more images than the fraction allows, there are more. The draw depends on
    seed, image ids and the classes in each image, not on the order of the images.

    Raises:
        DatasetError: when the dataset has no image or the fraction is not in (0, 1].
    """
    if not 0 < fraction <= 1:
        raise DatasetError(f"{dataset.name}: labeled fraction = {fraction}: expected 0 < f <= 1")
    if not dataset.images:
        raise DatasetError(f"{dataset.name}: has no image to label")
    image_ids = sorted(image.image_id for image in dataset.images)
    count = max(1, round(fraction * len(image_ids)))
    rng = np.random.default_rng(seed)
    shuffled = [image_ids[i] for i in rng.permutation(len(image_ids))]
    labeled = _cover(shuffled, _images_by_class(dataset))
    labeled += [one for one in shuffled if one not in set(labeled)][: max(0, count - len(labeled))]
    chosen = frozenset(labeled)
    return Split(
        labeled=tuple(sorted(chosen)),
        unlabeled=tuple(one for one in image_ids if one not in chosen),
    )


def write_split(split: Split, path: Path) -> None:
    """Write a split as json, with its digest."""
    tree = {"digest": split.digest(), "labeled": split.labeled, "unlabeled": split.unlabeled}
    path.write_text(json.dumps(tree), encoding="utf-8")


def read_split(path: Path) -> Split:
    """Read what `write_split` wrote.

    Raises:
        DatasetError: when the file is no split or was changed since it was written.
    """
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise DatasetError(f"{path}: is not valid json: {error}") from None
    if not isinstance(tree, dict):
        raise DatasetError(f"{path}: holds {shortened(tree)}: expected a split")
    split = Split(_read_ids(path, tree, "labeled"), _read_ids(path, tree, "unlabeled"))
    if tree.get("digest") != split.digest():
        raise DatasetError(
            f"{path}: digest = {shortened(tree.get('digest'))}: its image ids give "
            f"{split.digest()}, so the file was changed after it was written"
        )
    return split


def apply_split(dataset: Dataset, split: Split) -> tuple[Dataset, Dataset]:
    """The labelled dataset and the unlabelled one, whose images still hold their hidden truth.

    Call `ImageRecord.without_annotations` on what a loss may see.

    Raises:
        DatasetError: when the split names an image that the dataset lacks.
    """
    by_id = dataset.by_id()
    absent = [one for one in (*split.labeled, *split.unlabeled) if one not in by_id]
    if absent:
        raise DatasetError(
            f"{dataset.name}: the split names image {absent[0]} ({len(absent)} such), which the "
            "dataset lacks: it was made for another dataset"
        )
    labeled = dataset.with_images([by_id[one] for one in split.labeled])
    return labeled, dataset.with_images([by_id[one] for one in split.unlabeled])


def _images_by_class(dataset: Dataset) -> Mapping[int, frozenset[int]]:
    """Label -> ids of the images that hold an instance of it; classes without one are absent."""
    found: defaultdict[int, set[int]] = defaultdict(set)
    for image in dataset.images:
        for annotation in image.annotations:
            if not annotation.is_crowd:
                found[annotation.label].add(image.image_id)
    return {label: frozenset(ids) for label, ids in found.items()}


def _cover(shuffled: Sequence[int], by_class: Mapping[int, frozenset[int]]) -> list[int]:
    """Images that together hold every class, chosen rarest class first."""
    chosen: list[int] = []
    for label in sorted(by_class, key=lambda one: (len(by_class[one]), one)):
        if by_class[label].isdisjoint(chosen):
            chosen.append(next(one for one in shuffled if one in by_class[label]))
    return chosen


def _read_ids(path: Path, tree: Mapping[str, object], key: str) -> tuple[int, ...]:
    ids = tree.get(key)
    if not isinstance(ids, list) or not all(type(one) is int for one in ids):
        raise DatasetError(f"{path}: {key} = {shortened(ids)}: expected a list of image ids")
    return tuple(ids)
