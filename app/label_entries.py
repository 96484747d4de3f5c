"""Labels, truths and images as the browser draws them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.thresholds import why_dropped
from lab.datasets.records import (
    Annotation,
    DropRule,
    ErrorKind,
    ImageRecord,
    IntArray,
    LabelSource,
    Rle,
)
from lab.store.queries import (
    LabelFilter,
    find_labels,
    image_record,
    label_masks,
    visible_parts,
)
from lab.store.rows import LabelRow
from lab.store.store import Store

Box = tuple[float, float, float, float]
BOX = ("x1", "y1", "x2", "y2")
NUMBERS = (
    "class_quality",
    "mask_quality",
    "score",
    "teacher_before",
    "teacher_after",
    "clip_before",
    "clip_after",
    "uncertainty",
    "true_iou",
    "weight",
    "num_candidates",
    "num_effective",
    "box_score",
    "pixel_score",
    "mask_score",
    "depth_score",
    "match_score",
    "semantic_score",
    "instance_score",
    "target_iou",
    "single_iou",
)


def label_entries(
    store: Store, run_id: str, rows: Sequence[LabelRow]
) -> tuple[list[dict[str, Any]], dict[int, dict[str, Any]]]:
    """Entries of labels with their masks, and of their images by id."""
    masks = label_masks(store, [row.label_id for row in rows])
    ids = dict.fromkeys(row.image_id for row in rows)
    images = {image_id: image_entry(image_record(store, run_id, image_id)) for image_id in ids}
    parts = seen_parts(store, run_id, rows, images)
    entries = [
        label_entry(row, masks.get(row.label_id), parts.get((row.step, row.image_id)))
        for row in rows
    ]
    return entries, images


def seen_parts(
    store: Store, run_id: str, rows: Sequence[LabelRow], images: Mapping[int, dict[str, Any]]
) -> dict[tuple[int, int], Box]:
    """The part of its image that a teacher saw, by (step, image id), where the view cut some off.

    All rows are of one source.
    """
    if not rows:
        return {}
    places = {(row.step, row.image_id) for row in rows}
    parts = visible_parts(store, run_id, rows[0].source, places)
    return {
        place: part
        for place, part in parts.items()
        if cuts(part, images[place[1]]["width"], images[place[1]]["height"])
    }


def cuts(part: Box, width: int, height: int) -> bool:
    """Whether a pixel of the image lies outside the part: a pixel is inside when its centre is."""
    x1, y1, x2, y2 = part
    return x1 > 0.5 or y1 > 0.5 or x2 < width - 0.5 or y2 < height - 0.5


def label_entry(row: LabelRow, mask: Rle | None, seen: Box | None) -> dict[str, Any]:
    """A label as the browser draws it: scores, box, mask, kind, and in words why it was dropped.

    `seen` is the part of the image that the teacher saw; None = all of it.
    """
    rule = DropRule(row.rule)
    measured = {
        DropRule.CLASS_QUALITY: row.class_quality,
        DropRule.MASK_QUALITY: row.mask_quality,
        DropRule.COUPLED_SCORE: row.score,
        DropRule.MASK_AREA: row.area,
        DropRule.MATCH_SCORE: row.match_score,
    }
    return {
        "id": row.label_id,
        "step": row.step,
        "image_id": row.image_id,
        "label": row.label,
        "label_before": row.label_before,
        "box": row.box,
        "area": row.area,
        "kept": row.kept,
        "rule": rule.name.lower(),
        "why": why_dropped(rule, row.rule_value, measured),
        "kind": ErrorKind(row.kind).name.lower(),
        "duplicate": row.duplicate,
        "gt_id": row.gt_id,
        "target_id": row.target_id,
        "mask": mask_entry(mask),
        "seen": seen,
    } | {name: getattr(row, name) for name in NUMBERS}


def mask_entry(mask: Rle | None) -> dict[str, Any] | None:
    return None if mask is None else {"size": [mask.height, mask.width], "counts": mask.counts}


def truth_entry(annotation: Annotation) -> dict[str, Any]:
    return {
        "id": annotation.annotation_id,
        "label": annotation.label,
        "box": annotation.box,
        "area": annotation.area,
        "crowd": annotation.is_crowd,
        "mask": mask_entry(annotation.mask),
    }


def image_entry(record: ImageRecord) -> dict[str, Any]:
    """What a page needs of an image; its path stays here, its file name is shown."""
    return {
        "id": record.image_id,
        "name": record.path.name,
        "width": record.width,
        "height": record.height,
    }


def rows_by_id(
    store: Store, run_id: str, source: LabelSource, ids: Sequence[int]
) -> list[LabelRow]:
    """The labels of a run with these ids, in their order.

    One that is gone is left out: a run that goes on from a checkpoint takes labels back.
    """
    wanted = LabelFilter(source=source, label_ids=ids)
    found = find_labels(store, run_id, wanted, sort="label_id", limit=len(ids))
    by_id = {row.label_id: row for row in found.rows}
    return [by_id[label_id] for label_id in ids if label_id in by_id]


def rows_of(columns: Mapping[str, NDArray[Any]], places: IntArray) -> list[LabelRow]:
    """Some of the labels that `label_columns` answered with all its columns."""
    names = [name for name in columns if name not in BOX]
    boxes = np.stack([columns[side][places] for side in BOX], axis=1).tolist()
    values = [columns[name][places].tolist() for name in names]
    return [
        row_of(dict(zip(names, row, strict=True)), tuple(box))
        for box, *row in zip(boxes, *values, strict=True)
    ]


def row_of(values: dict[str, Any], box: tuple[float, float, float, float]) -> LabelRow:
    return LabelRow(
        **values
        | {
            "source": LabelSource.PSEUDO,
            "box": box,
            "rule": DropRule(values["rule"]),
            "kind": ErrorKind(values["kind"]),
            "has_mask": True,
        }
    )
