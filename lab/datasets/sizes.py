"""How large a dataset is, quickly: enough to foretell what a run on it will write."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any, assert_never

from lab.config import CocoConfig, ShapesConfig
from lab.datasets.coco_file import DatasetError

READ_BYTES = 64_000_000
"""Larger json files are not read, which would take longer than an estimate is worth."""
BYTES_PER_IMAGE, COCO_INSTANCES, COCO_SIDE = 3_800, 7.3, 60.0
"""Of COCO's own files: json bytes and instances per image, root of the mean instance's area."""
SHAPES_INSTANCES, SHAPES_SIDE = 4.5, 0.18
"""Instances per generated image, and their size as a share of the image's side."""


@dataclass(frozen=True, slots=True)
class DatasetSize:
    """What matters for how much a run writes."""

    train_images: int
    val_images: int
    instances_per_image: float
    mean_side: float
    """Mean square root of an instance's area, pixels."""


def dataset_size(config: ShapesConfig | CocoConfig) -> DatasetSize:
    """Counted where the json file is small, else guessed from the file's size as if it were COCO.

    Raises:
        DatasetError: a file is missing or is no json.
    """
    match config:
        case ShapesConfig():
            side = SHAPES_SIDE * config.image_size
            return DatasetSize(config.num_train, config.num_val, SHAPES_INSTANCES, side)
        case CocoConfig():
            train, instances, side = _measure("train_json", config.train_json)
            unlabeled, val = config.unlabeled_json, _measure("val_json", config.val_json)[0]
            more = 0 if unlabeled is None else _measure("unlabeled_json", unlabeled)[0]
            return DatasetSize(train + more, val, instances, side)
    assert_never(config)


def _measure(key: str, path: Path) -> tuple[int, float, float]:
    """Images, instances per image, mean side."""
    try:
        size = path.stat().st_size
        if size > READ_BYTES:
            return size // BYTES_PER_IMAGE, COCO_INSTANCES, COCO_SIDE
        tree: Any = json.loads(path.read_text(encoding="utf-8"))
        images, annotations = len(tree["images"]), tree.get("annotations", [])
        sides = [sqrt(max(0.0, float(one["area"]))) for one in annotations if "area" in one]
    except OSError as error:
        raise DatasetError(f"dataset.{key} = {path}: {error.strerror}") from None
    except (ValueError, TypeError, KeyError) as error:
        raise DatasetError(f"dataset.{key} = {path}: is no COCO file: {error}") from None
    return images, len(annotations) / max(1, images), sum(sides) / max(1, len(sides)) or COCO_SIDE
