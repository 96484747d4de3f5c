"""Read and write datasets in COCO format.

What the reader decides, so that nobody downstream has to: labels are contiguous in the order of
the file's categories; boxes become XYXY, cut to the image; polygons and every kind of RLE become
compressed RLE of the image's size; an instance without a pixel, or with a box of less than one
pixel, is left out; annotation ids are renumbered from 1 when 0 or doubles occur, because COCO's
own evaluation takes id 0 for "no match". `lab.datasets.check` explains what a file holds.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.datasets import rle as rle_codec
from lab.datasets.coco_fields import (
    Box,
    clip_box,
    finite_number,
    path_inside,
    read_box,
    read_mask,
    whole_number,
)
from lab.datasets.coco_file import CocoFile, DatasetError, Entry, open_coco
from lab.datasets.records import Annotation, Category, Dataset, ImageRecord, Rle

MIN_BOX_SIDE = 1.0


def read_coco(json_path: Path, images_dir: Path, name: str | None = None) -> Dataset:
    """Read a COCO instances json whose images lie in `images_dir`.

    An image may name a 16-bit depth file in `depth_file_name`, relative to `images_dir` too: a
    key of ours that other readers pass over.

    Args:
        name: what the dataset is called; None = the name of the json file.

    Raises:
        DatasetError: naming file, place and value, for anything that cannot be used.
    """
    file = open_coco(json_path)
    categories = read_categories(file)
    labels = {category.category_id: label for label, category in enumerate(categories)}
    sizes = _read_sizes(file)
    images = _read_images(file, images_dir, sizes, _read_annotations(file, sizes, labels))
    return Dataset(name or json_path.stem, categories, images)


def read_images(json_path: Path, images_dir: Path) -> tuple[ImageRecord, ...]:
    """The images of a COCO json without annotations, which the file need not have.

    Raises:
        DatasetError: as `read_coco`.
    """
    file = open_coco(json_path, images_only=True)
    return _read_images(file, images_dir, _read_sizes(file), {})


def read_categories(file: CocoFile) -> tuple[Category, ...]:
    """Categories in file order. One without a supercategory is its own: it has no look-alikes."""
    categories: dict[int, Category] = {}
    for index, entry in enumerate(file.categories):
        place = f"categories[{index}]"
        category_id, name = whole_number(entry.get("id")), entry.get("name")
        if category_id is None:
            raise file.error(f"{place}.id", entry.get("id"), "expected a whole number")
        if not isinstance(name, str) or not name:
            raise file.error(f"{place}.name", name, "expected a name")
        if category_id in categories:
            raise file.error(f"{place}.id", category_id, "this category id was used before")
        categories[category_id] = Category(
            category_id, name, str(entry.get("supercategory") or name)
        )
    return tuple(categories.values())


def write_coco(dataset: Dataset, json_path: Path, images_dir: Path | None = None) -> None:
    """Write a dataset so that `read_coco(json_path, images_dir)` gives it back.

    Args:
        images_dir: file names are written relative to it; None = the deepest directory that
            holds all images and depth files.

    Raises:
        DatasetError: when an image lies outside `images_dir`.
    """
    root = images_dir if images_dir is not None else _common_directory(dataset.images)
    ids = [category.category_id for category in dataset.categories]
    tree = {
        "info": {"description": dataset.name},
        "categories": [
            {"id": c.category_id, "name": c.name, "supercategory": c.supercategory}
            for c in dataset.categories
        ],
        "images": [_image_entry(image, root) for image in dataset.images],
        "annotations": [
            _annotation_entry(annotation, image.image_id, ids)
            for image in dataset.images
            for annotation in image.annotations
        ],
    }
    json_path.write_text(json.dumps(tree, separators=(",", ":")), encoding="utf-8")


def _read_sizes(file: CocoFile) -> dict[int, tuple[int, int]]:
    """Image id -> (height, width)."""
    sizes: dict[int, tuple[int, int]] = {}
    for index, entry in enumerate(file.images):
        image_id = whole_number(entry.get("id"))
        if image_id is None:
            raise file.error(f"images[{index}].id", entry.get("id"), "expected a whole number")
        if image_id in sizes:
            raise file.error(f"images[{index}].id", image_id, "this image id was used before")
        height, width = (_read_side(file, index, entry, key) for key in ("height", "width"))
        sizes[image_id] = (height, width)
    return sizes


def _read_side(file: CocoFile, index: int, entry: Entry, key: str) -> int:
    side = whole_number(entry.get(key))
    if side is None or side < 1:
        raise file.error(f"images[{index}].{key}", entry.get(key), "expected pixels, at least 1")
    return side


def _read_images(
    file: CocoFile,
    images_dir: Path,
    sizes: Mapping[int, tuple[int, int]],
    found: Mapping[int, Sequence[Annotation]],
) -> tuple[ImageRecord, ...]:
    """Every image with its annotations; `sizes` are in file order."""
    images = []
    entries = zip(file.images, sizes.items(), strict=True)
    for index, (entry, (image_id, (height, width))) in enumerate(entries):
        place = f"images[{index}]"
        path = _read_path(file, f"{place}.file_name", entry.get("file_name"), images_dir)
        depth = entry.get("depth_file_name")
        if depth is not None:
            depth = _read_path(file, f"{place}.depth_file_name", depth, images_dir)
        annotations = tuple(found.get(image_id, ()))
        images.append(ImageRecord(image_id, path, height, width, annotations, depth))
    _check_files(file, [image.path for image in images])
    return tuple(images)


def _read_path(file: CocoFile, place: str, name: object, images_dir: Path) -> Path:
    if not isinstance(name, str) or not name:
        raise file.error(place, name, "expected the name of a file")
    path = path_inside(images_dir, name)
    if path is None:
        raise file.error(place, name, f"leads out of the images directory {images_dir}")
    return path


def _read_annotations(
    file: CocoFile, sizes: Mapping[int, tuple[int, int]], labels: Mapping[int, int]
) -> Mapping[int, Sequence[Annotation]]:
    """Image id -> its usable annotations in file order."""
    found: defaultdict[int, list[Annotation]] = defaultdict(list)
    ids = _annotation_ids(file.annotations)
    for index, entry in enumerate(file.annotations):
        place = f"annotations[{index}]"
        image_id = whole_number(entry.get("image_id"))
        category_id = whole_number(entry.get("category_id"))
        if image_id is None or image_id not in sizes:
            raise file.error(f"{place}.image_id", entry.get("image_id"), "no image has this id")
        if category_id is None or category_id not in labels:
            raise file.error(
                f"{place}.category_id", entry.get("category_id"), "no category has this id"
            )
        annotation = _read_annotation(
            file, place, entry, sizes[image_id], labels[category_id], ids[index]
        )
        if annotation is not None:
            found[image_id].append(annotation)
    return found


def _annotation_ids(entries: Sequence[Entry]) -> Sequence[int]:
    """The file's ids when each is a number above 0 and none occurs twice; otherwise 1, 2, ..."""
    ids = [whole_number(entry.get("id")) for entry in entries]
    usable = [one for one in ids if one is not None and one > 0]
    if len(set(usable)) == len(entries):
        return usable
    return range(1, len(entries) + 1)


def _read_annotation(
    file: CocoFile, place: str, entry: Entry, size: tuple[int, int], label: int, annotation_id: int
) -> Annotation | None:
    height, width = size
    try:
        mask = read_mask(entry.get("segmentation"), height, width)
    except rle_codec.RleError as error:
        raise file.error(
            f"{place}.segmentation", entry.get("segmentation"), f"{error} (id {entry.get('id')})"
        ) from None
    pixels = None if mask is None else rle_codec.area(mask)
    box = _annotation_box(file, place, entry, mask)
    x1, y1, x2, y2 = box = clip_box(box, height, width)
    if pixels == 0 or min(x2 - x1, y2 - y1) < MIN_BOX_SIDE:
        return None
    area = finite_number(entry.get("area"))
    if area is None or area <= 0:
        area = float(pixels) if pixels is not None else (x2 - x1) * (y2 - y1)
    return Annotation(annotation_id, label, box, area, mask, _is_crowd(file, place, entry))


def _is_crowd(file: CocoFile, place: str, entry: Entry) -> bool:
    flag = entry.get("iscrowd")
    if flag not in (None, 0, 1):
        raise file.error(f"{place}.iscrowd", flag, "expected 0 or 1")
    return bool(flag)


def _annotation_box(file: CocoFile, place: str, entry: Entry, mask: Rle | None) -> Box:
    bbox = entry.get("bbox")
    if bbox is None and mask is not None:
        return rle_codec.tight_box(mask)
    box = read_box(bbox)
    if box is None:
        raise file.error(
            f"{place}.bbox", bbox, f"expected [x, y, width, height] (id {entry.get('id')})"
        )
    return box


def _check_files(file: CocoFile, paths: Sequence[Path]) -> None:
    """Refuse a dataset whose images are not there; one listing per directory, not one per file."""
    present = {parent: _names_in(parent) for parent in {path.parent for path in paths}}
    missing = [path for path in paths if path.name not in present[path.parent]]
    if missing:
        raise DatasetError(
            f"{file.path}: {len(missing)} of {len(paths)} image files do not exist, first "
            f"{missing[0]}: is the images directory right?"
        )


def _names_in(directory: Path) -> frozenset[str]:
    try:
        with os.scandir(directory) as entries:
            return frozenset(entry.name for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()


def _common_directory(images: Iterable[ImageRecord]) -> Path:
    paths = [path for image in images for path in (image.path, image.depth_path) if path]
    parents = [str(path.absolute().parent) for path in paths]
    return Path(os.path.commonpath(parents)) if parents else Path()


def _image_entry(image: ImageRecord, root: Path) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": image.image_id,
        "file_name": _relative(image.path, root),
        "height": image.height,
        "width": image.width,
    }
    if image.depth_path is not None:
        entry["depth_file_name"] = _relative(image.depth_path, root)
    return entry


def _relative(path: Path, root: Path) -> str:
    try:
        return path.absolute().relative_to(root.absolute()).as_posix()
    except ValueError:
        raise DatasetError(f"{path}: lies outside the images directory {root}") from None


def _annotation_entry(
    annotation: Annotation, image_id: int, category_ids: Sequence[int]
) -> dict[str, Any]:
    x1, y1, x2, y2 = annotation.box
    entry: dict[str, Any] = {
        "id": annotation.annotation_id,
        "image_id": image_id,
        "category_id": category_ids[annotation.label],
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": annotation.area,
        "iscrowd": int(annotation.is_crowd),
    }
    if annotation.mask is not None:
        mask = annotation.mask
        entry["segmentation"] = {
            "size": [mask.height, mask.width],
            "counts": mask.counts.decode("ascii"),
        }
    return entry
