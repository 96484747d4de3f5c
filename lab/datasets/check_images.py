"""What can be wrong with the images of a COCO dataset, in the json and on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from PIL import ExifTags, Image

from lab.datasets.coco_fields import path_inside, whole_number
from lab.datasets.coco_file import CocoFile, Entry, shortened
from lab.datasets.findings import Finding

USUAL_MODES = ("RGB", "L", "P", "1")
UPRIGHT = 1
SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""


def image_findings(file: CocoFile, images_dir: Path, max_decoded: int) -> Iterator[Finding]:
    """Findings about every entry of `images` and the file it names."""
    if not file.images:
        yield Finding("error", "no-images", "images", "The list is empty: there is nothing to use.")
    yield from _entry_findings(file)
    yield from _without_annotations(file)
    if not images_dir.is_dir():
        yield Finding(
            "error",
            "no-images-directory",
            str(images_dir),
            "This directory does not exist: give the one that holds the image files.",
        )
        return
    every = max(1, -(-len(file.images) // max(1, max_decoded)))
    for index, entry in enumerate(file.images):
        decode = max_decoded > 0 and index % every == 0
        yield from _file_findings(f"images[{index}]", entry, images_dir, decode)


def _entry_findings(file: CocoFile) -> Iterator[Finding]:
    ids: Counter[int] = Counter()
    names: Counter[str] = Counter()
    for index, entry in enumerate(file.images):
        where, image_id, name = f"images[{index}]", whole_number(entry.get("id")), _name(entry)
        if image_id is None:
            yield Finding(
                "error",
                "bad-image-id",
                f"{where}.id",
                f"{shortened(entry.get('id'))} is not a whole number: COCO tools need one.",
            )
        else:
            ids[image_id] += 1
            if ids[image_id] == 2:
                yield Finding(
                    "error",
                    "duplicate-image-id",
                    f"{where}.id",
                    f"Image id {image_id} occurs twice: annotations cannot tell which they mean.",
                )
        if name is not None:
            names[name] += 1
            if names[name] == 2:
                yield Finding(
                    "warning",
                    "duplicate-file-name",
                    f"{where}.file_name",
                    f"{shortened(name)} is listed twice: one entry may be labelled and the other "
                    "unlabelled, so the truth leaks; keep one.",
                )
        if stated_size(entry) is None:
            yield Finding(
                "error",
                "bad-image-size",
                where,
                f"height {shortened(entry.get('height'))}, width {shortened(entry.get('width'))}: "
                "both must be whole numbers of pixels, at least 1.",
            )


def stated_size(entry: Entry) -> tuple[int, int] | None:
    """(height, width) as the json says, when both are usable."""
    height, width = whole_number(entry.get("height")), whole_number(entry.get("width"))
    if height is None or width is None or height < 1 or width < 1:
        return None
    return height, width


def _without_annotations(file: CocoFile) -> Iterator[Finding]:
    used = {whole_number(entry.get("image_id")) for entry in file.annotations}
    empty = [entry for entry in file.images if whole_number(entry.get("id")) not in used]
    if empty:
        yield Finding(
            "note",
            "images-without-annotations",
            f"image {shortened(_name(empty[0]))}",
            f"{len(empty)} of {len(file.images)} images have no annotation: they count as empty, "
            "and everything predicted there as wrong; remove them if they were never annotated.",
        )


def _file_findings(where: str, entry: Entry, images_dir: Path, decode: bool) -> Iterator[Finding]:
    name = _name(entry)
    path = None if name is None else path_inside(images_dir, name)
    if name is None:
        yield Finding(
            "error",
            "bad-file-name",
            f"{where}.file_name",
            f"{shortened(entry.get('file_name'))} is not the name of a file.",
        )
    elif path is None:
        yield Finding(
            "error",
            "path-escapes",
            f"{where}.file_name",
            f"{shortened(name)} leads out of the images directory: make it relative to it.",
        )
    elif not _is_there(path):
        yield Finding(
            "error",
            "missing-image",
            f"{where}.file_name: {shortened(str(path))}",
            "The json lists this image but the file does not exist: is the directory right?",
        )
    else:
        yield from _picture_findings(path, entry, decode)


def _is_there(path: Path) -> bool:
    """False too for a name that no file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _picture_findings(path: Path, entry: Entry, decode: bool) -> Iterator[Finding]:
    try:
        with Image.open(path) as picture:
            if decode:
                picture.load()
            width, height, mode = *picture.size, picture.mode
            orientation = _orientation(picture, decode)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        yield Finding(
            "error",
            "undecodable-image",
            str(path),
            f"It cannot be decoded ({error}): the file is damaged or no image; fetch it again.",
        )
        return
    stated = stated_size(entry)
    swapped = stated == (width, height) and width != height
    if orientation not in (0, UPRIGHT):
        yield Finding(
            "warning",
            "exif-orientation",
            str(path),
            f"Its EXIF data ask viewers to turn it (orientation {orientation}): tools disagree "
            "whether masks lie on turned or stored pixels; save it upright without the tag.",
        )
    if (
        stated is not None
        and stated != (height, width)
        and not (swapped and orientation in SIDEWAYS)
    ):
        yield Finding(
            "error",
            "wrong-image-size",
            str(path),
            f"The file is {height} x {width} pixels (height x width), the json says {stated[0]} x "
            f"{stated[1]}: " + ("the sides are swapped." if swapped else "the masks will not fit."),
        )
    if mode not in USUAL_MODES:
        yield Finding(
            "note",
            "unusual-image-mode",
            str(path),
            f"Its pixels are {mode}: they are converted to 8-bit RGB, alpha is dropped and deeper "
            "values are cut.",
        )


def _orientation(picture: Image.Image, decoded: bool) -> int:
    """EXIF orientation. Looking it up decodes a PNG, so that is left to decoded images."""
    if not decoded and picture.format != "JPEG":
        return UPRIGHT
    return int(picture.getexif().get(ExifTags.Base.Orientation, UPRIGHT))


def _name(entry: Entry) -> str | None:
    name = entry.get("file_name")
    return name if isinstance(name, str) and name else None
