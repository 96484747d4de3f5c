"""From a dataset's config to its images: the one place that knows every source."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

import numpy as np

from lab.config import CocoConfig, ShapesConfig
from lab.datasets.coco import read_coco, read_images
from lab.datasets.coco_file import DatasetError
from lab.datasets.depth_files import with_depth
from lab.datasets.records import Dataset, IntArray
from lab.datasets.shapes import Progress, make_shapes


@dataclass(frozen=True, slots=True)
class LoadedData:
    """Everything a run may use. All parts share their categories."""

    train: Dataset
    """Every image with its truth; a split decides which of them keep it."""
    val: Dataset
    extra_unlabeled: Dataset
    """Images that never had labels; empty when the config names none."""


def load_dataset(
    config: ShapesConfig | CocoConfig, root: Path, progress: Progress | None = None
) -> LoadedData:
    """Read the dataset that `config` describes, generating it first where needed.

    Args:
        root: where generated datasets are kept.
        progress: hears (done, total) while images are generated.

    Raises:
        DatasetError: when a file cannot be used or the parts do not fit together.
    """
    match config:
        case ShapesConfig():
            train, val = make_shapes(config, root, progress)
            return LoadedData(train, val, train.with_images(()))
        case CocoConfig():
            return _load_coco(config)
    assert_never(config)


def class_frequencies(dataset: Dataset) -> IntArray:
    """(K,) instances of each class, crowds not counted."""
    counts = Counter(
        annotation.label
        for image in dataset.images
        for annotation in image.annotations
        if not annotation.is_crowd
    )
    return np.array([counts[label] for label in range(len(dataset.categories))], dtype=np.int64)


def _load_coco(config: CocoConfig) -> LoadedData:
    train = read_coco(config.train_json, config.train_images)
    val = read_coco(config.val_json, config.val_images)
    if train.categories != val.categories:
        raise DatasetError(
            f"{config.val_json}: its categories are not those of {config.train_json} (same ids, "
            "names, supercategories and order): labels would mean different things"
        )
    if config.train_depth is not None:
        train = with_depth(train, config.train_images, config.train_depth)
    return LoadedData(train, val, _load_unlabeled(config, train))


def _load_unlabeled(config: CocoConfig, train: Dataset) -> Dataset:
    """More images, with ids that do not occur in `train`."""
    if config.unlabeled_json is None:
        return train.with_images(())
    if config.unlabeled_images is None:
        raise DatasetError(
            f"dataset.unlabeled_json = {config.unlabeled_json}: dataset.unlabeled_images must "
            "name the directory of its images"
        )
    images = read_images(config.unlabeled_json, config.unlabeled_images)
    taken = train.by_id()
    doubles = [image.image_id for image in images if image.image_id in taken]
    if doubles:
        raise DatasetError(
            f"{config.unlabeled_json}: image id {doubles[0]} ({len(doubles)} such) also occurs in "
            f"{config.train_json}: ids must differ, because labels are stored under them"
        )
    return Dataset(config.unlabeled_json.stem, train.categories, images)
