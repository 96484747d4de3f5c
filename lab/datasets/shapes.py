"""The generated dataset `shapes`: pictures, depth and COCO json of any size from a seed.

Image i of a split depends on (seed, family, split, i, image size) alone: asking for more images
adds to the ones there were. What is on disk is complete or absent, also when several processes
generate at once, because a finished directory is renamed into place.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lab.config import LooksConfig, ShapesConfig
from lab.datasets import rle
from lab.datasets.coco import read_coco, write_coco
from lab.datasets.records import Annotation, Category, Dataset, ImageRecord
from lab.datasets.shapes_classes import family_classes
from lab.datasets.shapes_scene import Scene, VisibleObject, draw_scene

Progress = Callable[[int, int], None]
"""Called with (images done, images in all) after each image."""

GENERATOR_VERSION = 3
"""Part of the directory's name: raise it when the same config must give other pictures."""
LATER = {"looks": LooksConfig(), "labels": "class"}
"""Keys of the config that are younger than the first datasets, with their defaults."""
SPLITS = ("train", "val")


def make_shapes(
    config: ShapesConfig, root: Path, progress: Progress | None = None
) -> tuple[Dataset, Dataset]:
    """The (train, val) datasets of `config`, generated under `root` unless they are there.

    Raises:
        OSError: when `root` cannot be written.
    """
    directory = root / shapes_directory_name(config)
    if not directory.is_dir():
        _generate(config, directory, progress)
    train, val = (_read_split(config, directory, split) for split in SPLITS)
    return train, val


def shapes_directory_name(config: ShapesConfig) -> str:
    """The name of the directory that holds exactly this config's images.

    What came later is not part of it while it is as usual: that is what was drawn before there was
    a choice.
    """
    usual = {name for name, value in LATER.items() if getattr(config, name) == value}
    told = f"{GENERATOR_VERSION}:{config.model_dump_json(exclude=usual)}"
    return f"shapes-{hashlib.sha256(told.encode()).hexdigest()[:16]}"


def shapes_categories(config: ShapesConfig) -> tuple[Category, ...]:
    """Categories of the config's family, ids from 1 in the order of their labels."""
    classes = family_classes(config.family)
    if config.labels == "supercategory":
        names = dict.fromkeys(shape.supercategory for shape in classes)
        return tuple(Category(index, name, name) for index, name in enumerate(names, start=1))
    return tuple(
        Category(index, shape.name, shape.supercategory)
        for index, shape in enumerate(classes, start=1)
    )


def shapes_scene(config: ShapesConfig, split: str, index: int) -> Scene:
    """Image `index` of a split ("train" or "val"), drawn anew. Every call gives the same."""
    family = ("main", "pretrain").index(config.family)
    rng = np.random.default_rng([config.seed, family, SPLITS.index(split), index])
    scene = draw_scene(rng, family_classes(config.family), config.image_size, config.looks)
    return with_supercategories(scene, config) if config.labels == "supercategory" else scene


def with_supercategories(scene: Scene, config: ShapesConfig) -> Scene:
    """The same scene, where an object's label is that of its supercategory."""
    names = [category.name for category in shapes_categories(config)]
    of_class = [names.index(shape.supercategory) for shape in family_classes(config.family)]
    objects = (replace(thing, label=of_class[thing.label]) for thing in scene.objects)
    return replace(scene, objects=tuple(objects))


def _generate(config: ShapesConfig, directory: Path, progress: Progress | None) -> None:
    counts = (config.num_train, config.num_val)
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f".{directory.name}-", dir=directory.parent, ignore_cleanup_errors=True
    ) as scratch:
        workplace = Path(scratch) / directory.name
        done = 0
        for split, count in zip(SPLITS, counts, strict=True):
            images: list[ImageRecord] = []
            for image in _write_images(config, workplace / split, split, count):
                images.append(image)
                done += 1
                if progress is not None:
                    progress(done, sum(counts))
            dataset = Dataset(split, shapes_categories(config), tuple(images))
            write_coco(dataset, workplace / f"{split}.json", workplace / split)
        _move_into_place(workplace, directory)


def _write_images(
    config: ShapesConfig, directory: Path, split: str, count: int
) -> Iterator[ImageRecord]:
    for part in ("images", "depth"):
        (directory / part).mkdir(parents=True)
    annotation_ids = itertools.count(1)
    for index in range(count):
        scene = shapes_scene(config, split, index)
        file_name = f"{index + 1:06d}.png"
        _write_png(directory / "images" / file_name, scene.image[..., ::-1])
        _write_png(directory / "depth" / file_name, scene.depth)
        yield ImageRecord(
            image_id=index + 1,
            path=directory / "images" / file_name,
            height=config.image_size,
            width=config.image_size,
            annotations=tuple(_annotation(thing, next(annotation_ids)) for thing in scene.objects),
            depth_path=directory / "depth" / file_name,
        )


def _annotation(thing: VisibleObject, annotation_id: int) -> Annotation:
    mask = rle.encode(thing.mask)
    return Annotation(annotation_id, thing.label, rle.tight_box(mask), float(rle.area(mask)), mask)


def _write_png(path: Path, pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Write grey or BGR pixels."""
    written, encoded = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not written:
        raise OSError(f"{path}: the image could not be encoded as PNG")
    path.write_bytes(encoded.tobytes())


def _move_into_place(workplace: Path, directory: Path) -> None:
    """Rename; when another process was faster, its equal result stays and ours goes."""
    try:
        workplace.rename(directory)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        shutil.rmtree(workplace)


def _read_split(config: ShapesConfig, directory: Path, split: str) -> Dataset:
    name = f"shapes-{config.family}-{split}"
    return read_coco(directory / f"{split}.json", directory / split, name)
