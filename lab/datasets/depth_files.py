"""Which file holds the depth of which image: the image's name, in another directory, as PNG."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lab.datasets.coco_file import DatasetError
from lab.datasets.records import Dataset, ImageRecord


def depth_files(images: Sequence[ImageRecord], images_dir: Path, depth_dir: Path) -> list[Path]:
    """Where the depth map of each image is or belongs: `a/b.jpg` -> `depth_dir/a/b.png`.

    Raises:
        DatasetError: when two images would share a map.
    """
    files = [_depth_file(image.path, images_dir, depth_dir) for image in images]
    owners: dict[Path, ImageRecord] = {}
    for file, image in zip(files, images, strict=True):
        other = owners.setdefault(file, image)
        if other is not image:
            raise DatasetError(
                f"{image.path} and {other.path} would have one depth map, {file}: images need "
                "names that differ in more than their ending"
            )
    return files


def with_depth(dataset: Dataset, images_dir: Path, depth_dir: Path) -> Dataset:
    """The dataset with the depth maps that are there; a map named in the json itself stays.

    Raises:
        DatasetError: when there is no such directory, or two images would share a map.
    """
    if not depth_dir.is_dir():
        raise DatasetError(
            f"dataset.train_depth = {depth_dir}: there is no such directory; "
            "`seglab data depth` makes depth maps"
        )
    files = depth_files(dataset.images, images_dir, depth_dir)
    present = _files_under(depth_dir)
    return dataset.with_images(
        [
            replace(image, depth_path=file)
            if image.depth_path is None and file in present
            else image
            for image, file in zip(dataset.images, files, strict=True)
        ]
    )


def _depth_file(image: Path, images_dir: Path, depth_dir: Path) -> Path:
    return (depth_dir / image.relative_to(images_dir)).with_suffix(".png")


def _files_under(directory: Path) -> frozenset[Path]:
    """One walk instead of a question per image."""
    walk = os.walk(directory)
    return frozenset(Path(parent, name) for parent, _, names in walk for name in names)
