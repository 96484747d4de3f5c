"""The labels of one field, read from the store or from an evaluation's predictions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.fiftyone.request import LabelField, Split
from lab.analysis.errors import classify, supercategory_groups
from lab.analysis.judge import MIN_VISIBLE_AREA
from lab.analysis.match import mask_ious
from lab.analysis.truth import ImageTruth, image_truth, visible_truth
from lab.datasets.records import Category, ErrorKind, ImageRecord, LabelSource, Rle
from lab.datasets.rle import areas, from_counts, tight_box
from lab.store.errors import StoreError
from lab.store.queries import (
    LABEL_COLUMNS,
    LabelFilter,
    RunRow,
    evaluations,
    images_of,
    label_masks,
    label_steps,
    newest_columns,
    newest_places,
    visible_parts,
)
from lab.store.store import Store

LAST_STEP = 2**31 - 1
OVER = ("finished", "stopped", "failed")
"""States of a run that records nothing more."""
Box = tuple[float, float, float, float]
SHOWN_SCORE = 0.5
"""Predictions of at least this score count as kept: the evaluation's own breakdown is of those."""


@dataclass(frozen=True, slots=True)
class Version:
    """Which labels of an image a field holds; another one where they were recorded anew."""

    step: int
    number: int


@dataclass(frozen=True, slots=True)
class FieldContent:
    """All labels of a field, image by image."""

    field: LabelField
    versions: Mapping[int, Version]
    """By image id. Images without a label are in it too."""
    columns: Mapping[str, NDArray[Any]]
    """(N,) as `label_columns` answers, sorted by image."""
    rows: Mapping[int, slice]
    """Where the labels of each image are in the columns."""
    masks: Mapping[int, Rle]
    """By label id; those that the store still keeps."""
    visible: Mapping[int, Box]
    """By image id, the part that the teacher saw where that was not all."""

    def row_masks(self, rows: slice) -> list[Rle | None]:
        return [self.masks.get(one) for one in self.columns["label_id"][rows].tolist()]

    def truth_of(self, image: ImageRecord) -> ImageTruth | None:
        """What of an image's truth the network could see; None where the truth is not known.

        An image without objects is one on which every label is wrong, if its labels were judged.
        """
        kinds = self.columns["kind"][self.rows.get(image.image_id, slice(0, 0))]
        if not image.annotations and not (kinds != ErrorKind.UNKNOWN).any():
            return None
        if any(one.mask is None for one in image.annotations):
            return None
        least = MIN_VISIBLE_AREA if self.field.source == "pseudo" else 0
        return visible_truth(image_truth(image), self.visible.get(image.image_id), least)


def check_labels(store: Store, run: RunRow, iterations: Iterable[int]) -> None:
    """Raises StoreError for a step that the run has not, or before its first pseudo-labels."""
    steps = label_steps(store, run.run_id)
    if not len(steps) and run.status in OVER:
        raise StoreError(
            f"run {run.run_id}: it recorded no pseudo-labels; --evaluation shows its predictions"
        )
    for iteration in iterations:
        if not len(steps) or iteration < steps[0]:
            first = f"the first are of step {steps[0]}" if len(steps) else "there are none yet"
            raise StoreError(f"run {run.run_id}: no pseudo-labels up to step {iteration}; {first}")
        if iteration > max(steps[-1], run.max_steps):
            raise StoreError(
                f"run {run.run_id}: no step {iteration}; its newest labels are of step {steps[-1]}"
            )


def check_same_images(store: Store, run: RunRow, other: RunRow, split: Split) -> None:
    """Raises StoreError where labels of another run have no place on the images of this one."""
    if run.categories != other.categories:
        what = "classes"
    elif _paths(store, run, split) != _paths(store, other, split):
        what = "training images" if split == "train" else "validation images"
    else:
        return
    raise StoreError(f"run {other.run_id}: its {what} are not those of run {run.run_id}")


def _paths(store: Store, run: RunRow, split: Split) -> dict[int, Path]:
    return {image.image_id: image.path for image in images_of(store, run.run_id, split)}


def read_versions(store: Store, field: LabelField, image_ids: Iterable[int]) -> dict[int, Version]:
    """What the field holds now, without its labels: enough to see what is new.

    An evaluation is of all `image_ids`, pseudo-labels of those that were recorded.
    """
    if field.source == "pseudo":
        places = newest_places(
            store, field.run_id, LabelSource.PSEUDO, last_step=last_step_of(field)
        )
        return {image: Version(*place) for image, place in places.items()}
    path = predictions_file(store, field)
    step = max((one.step for one in evaluations(store, field.run_id)), default=0)
    version = Version(step, path.stat().st_mtime_ns)
    return dict.fromkeys(image_ids, version)


def last_step_of(field: LabelField) -> int:
    """The last step whose pseudo-labels a field may show."""
    return LAST_STEP if field.iteration is None else field.iteration


def read_labels(
    store: Store,
    field: LabelField,
    versions: Mapping[int, Version],
    images: Mapping[int, ImageRecord],
    categories: Sequence[Category],
) -> FieldContent:
    """The labels of a field of the images in `versions`, whatever they are."""
    if field.source == "pseudo":
        return read_pseudo_labels(store, field, versions)
    return read_predictions(store, field, versions, images, categories)


def read_pseudo_labels(
    store: Store, field: LabelField, versions: Mapping[int, Version]
) -> FieldContent:
    """The pseudo-labels of the images in `versions`."""
    chosen = LabelFilter(last_step=last_step_of(field))
    columns = newest_columns(store, field.run_id, chosen, LABEL_COLUMNS)
    wanted = np.isin(columns["image_id"], np.fromiter(versions, np.int64, len(versions)))
    columns = {name: values[wanted] for name, values in columns.items()}
    places = {(version.step, image) for image, version in versions.items()}
    parts = visible_parts(store, field.run_id, LabelSource.PSEUDO, places) if places else {}
    masks = label_masks(store, columns["label_id"].tolist())
    visible = {
        image: parts[version.step, image]
        for image, version in versions.items()
        if (version.step, image) in parts  # those of other steps are, too
    }
    return FieldContent(field, versions, columns, rows_by_image(columns), masks, visible)


def read_predictions(
    store: Store,
    field: LabelField,
    versions: Mapping[int, Version],
    images: Mapping[int, ImageRecord],
    categories: Sequence[Category],
) -> FieldContent:
    """The validation predictions of the images in `versions`, judged here."""
    by_image: dict[int, list[dict[str, Any]]] = {image: [] for image in versions}
    for number, one in enumerate(_results(predictions_file(store, field))):
        if int(one["image_id"]) in by_image:
            by_image[int(one["image_id"])].append(one | {"number": number})
    number_of = {category.category_id: label for label, category in enumerate(categories)}
    parts, masks = [], {}
    for image_id in sorted(by_image):
        part, found = _judged(by_image[image_id], images[image_id], number_of, categories)
        parts.append(part | {"step": np.full(len(found), versions[image_id].step)})
        masks |= found
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return FieldContent(field, versions, columns, rows_by_image(columns), masks, {})


def predictions_file(store: Store, field: LabelField) -> Path:
    """Raises StoreError when the run has no predictions of that network."""
    path = store.run_directory(field.run_id) / "predictions" / f"val-{field.source}.json"
    if not path.is_file():
        raise StoreError(f"run {field.run_id}: no predictions of the {field.source} at {path}")
    return path


def rows_by_image(columns: Mapping[str, NDArray[Any]]) -> dict[int, slice]:
    """Columns sorted by image -> where each image's rows are."""
    image_ids = columns["image_id"]
    starts = np.flatnonzero(np.diff(image_ids, prepend=-1 - image_ids[:1])).tolist()
    ends = [*starts[1:], len(image_ids)]
    pairs = zip(starts, ends, strict=False)
    return {int(image_ids[start]): slice(start, end) for start, end in pairs}


def _results(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text(encoding="utf-8"))


def _judged(
    results: Sequence[dict[str, Any]],
    image: ImageRecord,
    number_of: Mapping[int, int],
    categories: Sequence[Category],
) -> tuple[dict[str, NDArray[Any]], dict[int, Rle]]:
    """One image's predictions as columns, and their masks by number."""
    masks = [
        from_counts(one["segmentation"]["counts"], *one["segmentation"]["size"]) for one in results
    ]
    labels = np.array([number_of[one["category_id"]] for one in results], np.int64)
    scores = np.array([one["score"] for one in results], np.float64)
    truth = image_truth(image)
    verdict = classify(
        mask_ious(masks, truth.masks, truth.is_crowd),
        labels,
        truth.labels,
        supercategory_groups(categories),
        scores,
        truth.is_crowd,
    )
    linked = verdict.gt_index >= 0
    gt_ids = np.full(len(results), -1, np.int64)
    gt_ids[linked] = truth.ids[verdict.gt_index[linked]]
    boxes = np.array([tight_box(mask) for mask in masks], np.float64).reshape(-1, 4)
    numbers = np.array([one["number"] for one in results], np.int64)
    columns = {
        **{"label_id": numbers, "image_id": np.full(len(results), image.image_id, np.int64)},
        **{"label": labels, "score": scores, "area": areas(masks).astype(np.float64)},
        **{"kind": verdict.kinds, "true_iou": verdict.true_ious, "gt_id": gt_ids},
        **{"duplicate": verdict.duplicates, "kept": scores >= SHOWN_SCORE},
        **{side: boxes[:, place] for place, side in enumerate(("x1", "y1", "x2", "y2"))},
    }
    return columns, dict(zip(numbers.tolist(), masks, strict=True))
