"""What can be wrong with the annotations of a COCO dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from lab.datasets import rle as rle_codec
from lab.datasets.check_images import stated_size
from lab.datasets.coco_fields import (
    Box,
    clip_box,
    finite_number,
    is_far_from,
    read_box,
    read_mask,
    whole_number,
)
from lab.datasets.coco_file import CocoFile, Entry, find_non_finite, shortened
from lab.datasets.findings import Finding
from lab.datasets.records import Rle

BOX_TOLERANCE = 3.0
"""Pixels by which a side of the box may miss the mask; polygons have fractions and soft rims."""
AREA_TOLERANCE = 0.2
"""Share by which the stated area may differ from the mask's ..."""
AREA_TOLERANCE_PIXELS = 20.0
"""... once it differs by more pixels than this."""


def annotation_findings(file: CocoFile) -> Iterator[Finding]:
    """Findings about every entry of `annotations`."""
    if not file.annotations:
        yield Finding(
            "warning",
            "no-annotations",
            "annotations",
            "The list is empty: nothing can be learned from these images or measured on them.",
        )
    yield from _id_findings(file)
    categories = {whole_number(entry.get("id")) for entry in file.categories} - {None}
    sizes = {whole_number(entry.get("id")): stated_size(entry) for entry in file.images}
    for index, entry in enumerate(file.annotations):
        where = f"annotations[{index}] (id {shortened(entry.get('id'))})"
        yield from _reference_findings(where, entry, categories, sizes)
        yield from _flag_findings(where, entry)
        plain = {key: value for key, value in entry.items() if key != "segmentation"}
        for key, value in find_non_finite(plain):
            yield Finding(
                "error",
                "not-a-finite-number",
                f"{where}.{key}",
                f"{value} is no finite number (and no valid json): write a number or leave the "
                "annotation out.",
            )
        size = sizes.get(whole_number(entry.get("image_id")))
        if size is not None:
            yield from _geometry_findings(where, entry, *size)


def _id_findings(file: CocoFile) -> Iterator[Finding]:
    ids: Counter[int] = Counter()
    for index, entry in enumerate(file.annotations):
        where, annotation_id = f"annotations[{index}].id", whole_number(entry.get("id"))
        if annotation_id is None or annotation_id < 0:
            yield Finding(
                "warning",
                "bad-annotation-id",
                where,
                f"{shortened(entry.get('id'))} is not a whole number above 0: seglab renumbers "
                "all annotations from 1.",
            )
            continue
        ids[annotation_id] += 1
        if annotation_id == 0:
            yield Finding(
                "warning",
                "annotation-id-zero",
                where,
                "COCO's evaluation takes id 0 for 'no match' and counts a perfect prediction as "
                "wrong; seglab renumbers from 1, other tools do not: renumber the file.",
            )
        elif ids[annotation_id] == 2:
            yield Finding(
                "warning",
                "duplicate-annotation-id",
                where,
                f"Annotation id {annotation_id} occurs twice: other tools keep one of the two; "
                "seglab renumbers all from 1.",
            )


def _reference_findings(
    where: str,
    entry: Entry,
    categories: set[int | None],
    sizes: Mapping[int | None, tuple[int, int] | None],
) -> Iterator[Finding]:
    for key, known in (("category_id", categories), ("image_id", sizes)):
        value = entry.get(key)
        what = key.removesuffix("_id")
        if value is None:
            yield Finding(
                "error",
                f"no-{what}-id",
                f"{where}.{key}",
                f"The annotation names no {what}: add its id or leave the annotation out.",
            )
        elif whole_number(value) is None or whole_number(value) not in known:
            yield Finding(
                "error",
                f"unknown-{what}",
                f"{where}.{key}",
                f"No {what} of the file has id {shortened(value)}: other tools drop the annotation "
                "without a word; add the missing entry or leave the annotation out.",
            )


def _flag_findings(where: str, entry: Entry) -> Iterator[Finding]:
    is_crowd = entry.get("iscrowd")
    if is_crowd not in (None, 0, 1):
        yield Finding(
            "error",
            "bad-iscrowd",
            f"{where}.iscrowd",
            f"{shortened(is_crowd)} is neither 0 nor 1.",
        )
    elif is_crowd:
        yield Finding(
            "note",
            "crowd",
            where,
            "A crowd region: never a training target, and predictions on it are ignored instead "
            "of counted as wrong.",
        )
    elif entry.get("ignore"):
        yield Finding(
            "warning",
            "ignore-without-iscrowd",
            f"{where}.ignore",
            "COCO's evaluation overwrites 'ignore' by 'iscrowd', so this instance does count; set "
            "iscrowd to 1 if it should not.",
        )
    if "score" in entry:
        yield Finding(
            "warning",
            "score-in-truth",
            f"{where}.score",
            "Ground truth has no score: are these predictions? If so they are no truth to train "
            "on or to measure with.",
        )


def _geometry_findings(where: str, entry: Entry, height: int, width: int) -> Iterator[Finding]:
    segmentation = entry.get("segmentation")
    try:
        mask = read_mask(segmentation, height, width)
    except rle_codec.RleError as error:
        code = "wrong-size-rle" if _has_other_size(segmentation, height, width) else "bad-mask"
        yield Finding(
            "error",
            code,
            f"{where}.segmentation",
            f"{error}. COCO's evaluation would silently give it IoU -1; write the mask again.",
        )
        mask = None
    if segmentation in (None, []) and not entry.get("iscrowd"):
        yield Finding(
            "warning",
            "no-mask",
            f"{where}.segmentation",
            "Only the box is known: enough for box supervision, not for mask losses or mask AP.",
        )
    if isinstance(segmentation, list) and any(_is_degenerate(part) for part in segmentation):
        yield Finding(
            "warning",
            "degenerate-polygon",
            f"{where}.segmentation",
            "A polygon has fewer than three points and encloses nothing (with two, pycocotools "
            "takes it for a box); seglab passes over it.",
        )
    yield from _mask_findings(where, entry, mask)
    yield from _box_findings(where, entry, mask, height, width)


def _mask_findings(where: str, entry: Entry, mask: Rle | None) -> Iterator[Finding]:
    if mask is None:
        return
    pixels = rle_codec.area(mask)
    if pixels == 0:
        yield Finding(
            "warning",
            "empty-mask",
            f"{where}.segmentation",
            "The mask has no pixel: nothing can match it; seglab leaves the annotation out.",
        )
        return
    area = finite_number(entry.get("area"))
    if area is None or area <= 0:
        yield Finding(
            "warning",
            "no-area",
            f"{where}.area",
            f"{shortened(entry.get('area'))} is no area: it decides between small, medium and "
            "large; seglab counts the mask's pixels instead.",
        )
    elif abs(area - pixels) > max(AREA_TOLERANCE_PIXELS, AREA_TOLERANCE * pixels):
        yield Finding(
            "warning",
            "area-disagrees",
            f"{where}.area",
            f"{area:g} is stated, the mask has {pixels} pixels: AP of small, medium and large goes "
            "by the stated area; was the image resized without it?",
        )


def _box_findings(
    where: str, entry: Entry, mask: Rle | None, height: int, width: int
) -> Iterator[Finding]:
    bbox = entry.get("bbox")
    box = read_box(bbox)
    if bbox is None and mask is not None:
        yield Finding(
            "note", "no-box", f"{where}.bbox", "No box is given: the mask's tight box is used."
        )
        return
    if box is None:
        yield Finding(
            "error",
            "bad-box",
            f"{where}.bbox",
            f"{shortened(bbox)} is not [x, y, width, height] in pixels.",
        )
        return
    clipped = clip_box(box, height, width)
    if clipped[2] - clipped[0] < 1 or clipped[3] - clipped[1] < 1:
        yield Finding(
            "warning",
            "zero-area-box",
            f"{where}.bbox",
            f"{shortened(bbox)} has less than one pixel inside the image: seglab leaves the "
            "annotation out.",
        )
    elif max(abs(a - b) for a, b in zip(box, clipped, strict=True)) > 1:
        yield Finding(
            "warning",
            "box-outside-image",
            f"{where}.bbox",
            f"{shortened(bbox)} (x, y, width, height) leaves the image of {width} x {height}: "
            "seglab cuts it; is it XYXY, or were boxes and images resized apart?",
        )
    yield from _agreement_findings(where, bbox, clipped, mask)


def _agreement_findings(where: str, bbox: object, box: Box, mask: Rle | None) -> Iterator[Finding]:
    if mask is None or rle_codec.area(mask) == 0:
        return
    tight = rle_codec.tight_box(mask)
    if is_far_from(box, tight, BOX_TOLERANCE):
        x1, y1, x2, y2 = tight
        yield Finding(
            "warning",
            "box-disagrees",
            f"{where}.bbox",
            f"{shortened(bbox)} is stated, the mask's tight box is "
            f"{[x1, y1, x2 - x1, y2 - y1]}: losses on boxes and on masks will pull apart.",
        )


def _has_other_size(segmentation: object, height: int, width: int) -> bool:
    return isinstance(segmentation, dict) and segmentation.get("size") != [height, width]


def _is_degenerate(polygon: object) -> bool:
    return isinstance(polygon, list) and len(polygon) < rle_codec.MIN_POLYGON_COORDINATES
