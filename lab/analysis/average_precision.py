"""COCO mask AP, and the kinds of error of the same predictions.

AP is hotcoco's, bit-identical to pycocotools and some 40 times faster; pycocotools takes over
where hotcoco has no build. What either gets wrong or accepts silently is settled before they see
it: ids count from 1, a detection's area is its mask's and never its box's, and NaN scores,
unknown images or classes and masks of another size are refused.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import coco as reference
from pycocotools import cocoeval as reference_eval

from lab.analysis.errors import supercategory_groups
from lab.analysis.match import mask_ious
from lab.analysis.tally import Scene, tally
from lab.analysis.truth import check_mask_size, image_truth
from lab.datasets.records import (
    Annotation,
    Dataset,
    ErrorKind,
    FloatArray,
    ImageRecord,
    IntArray,
    Rle,
)

try:
    import hotcoco
except ImportError:  # no wheel for this machine
    hotcoco = None

AREAS = {"AP": 0, "APs": 1, "APm": 2, "APl": 3}
IOU_ROWS = {"AP50": 0, "AP75": 5}
SHOWN_KINDS = (ErrorKind.COR, ErrorKind.LOC, ErrorKind.SIM, ErrorKind.OTH, ErrorKind.BG)

Precision = NDArray[np.float64]
CocoDict = dict[str, object]
Results = Mapping[str, object] | None


@dataclass(frozen=True, slots=True)
class Detections:
    """All predictions of a dataset as M columns: a dict for each of them would cost the most."""

    image_ids: IntArray
    category_ids: IntArray
    """From 1."""
    scores: Precision
    masks: list[CocoDict]


Evaluator = Callable[[CocoDict, Detections], Precision]
"""(truth, detections) -> precision (10 IoUs, 101 recalls, K, 4 areas, 3 maxDets); -1 = no truth."""


@dataclass(frozen=True, slots=True)
class ImagePredictions:
    """What a network found in one image. Order breaks ties between equal scores."""

    image_id: int
    labels: IntArray
    """(N,) class in 0..K-1."""
    scores: FloatArray
    """(N,) higher is better."""
    masks: tuple[Rle, ...]
    """N masks in the image frame."""

    def __post_init__(self) -> None:
        lengths = len(self.labels), len(self.scores), len(self.masks)
        if len(set(lengths)) > 1:
            raise ValueError(
                f"predictions of image {self.image_id}: {lengths[0]} labels, "
                f"{lengths[1]} scores, {lengths[2]} masks"
            )
        if not np.isfinite(self.scores).all():
            index = int((~np.isfinite(self.scores)).argmax())
            raise ValueError(
                f"score {index} of image {self.image_id} is {self.scores[index]}, not finite"
            )


@dataclass(frozen=True, slots=True)
class ApResult:
    """COCO mask AP in [0, 100]."""

    metrics: Mapping[str, float]
    """AP, AP50, AP75, APs, APm, APl; NaN when there is no truth of that size."""
    per_class: Mapping[str, float]
    """AP of each class name; NaN when it has no truth, and then not in the mean."""


def mask_ap(
    dataset: Dataset, predictions: Sequence[ImagePredictions], evaluator: Evaluator | None = None
) -> ApResult:
    """COCO mask AP of predictions on all images of a dataset; an image may have none.

    Raises:
        ValueError: for predictions that do not fit the dataset, or truth without masks.
    """
    _check(dataset, predictions)
    evaluate = evaluator or (pycocotools_precision if hotcoco is None else hotcoco_precision)
    with _without_collector():
        precision = evaluate(truth_as_coco(dataset), detections_of(predictions))[..., -1]
    by_area = {name: _mean(precision[..., area]) for name, area in AREAS.items()}
    by_iou = {name: _mean(precision[row, ..., 0]) for name, row in IOU_ROWS.items()}
    per_class = {
        category.name: _mean(precision[:, :, label, 0])
        for label, category in enumerate(dataset.categories)
    }
    return ApResult({"AP": by_area.pop("AP"), **by_iou, **by_area}, per_class)


@dataclass(frozen=True, slots=True)
class Curves:
    """What COCO's AP and AR are means of: objects of all sizes, the best 100 of each image."""

    precision: Precision
    """(10 IoUs, 101 recalls, K); -1 for a class without truth."""
    recall: Precision
    """(10 IoUs, K); -1 for a class without truth."""


def precision_curves(dataset: Dataset, predictions: Sequence[ImagePredictions]) -> Curves:
    """Precision at every recall, and the recall reached. Raises ValueError as `mask_ap` does."""
    _check(dataset, predictions)
    evaluate = _pycocotools_results if hotcoco is None else _hotcoco_results
    with _without_collector():
        results = evaluate(truth_as_coco(dataset), detections_of(predictions))
    precision, recall = (_array_of(results, name) for name in ("precision", "recall"))
    return Curves(precision[:, :, :, 0, -1], recall[:, :, 0, -1])


def evaluation_kinds(
    dataset: Dataset,
    predictions: Sequence[ImagePredictions],
    min_score: float = 0.5,
    max_per_image: int = 100,
) -> Mapping[str, int]:
    """Cor, Loc, Sim, Oth, BG of the predictions with at least `min_score`, best 100 per image.

    With "Missed": truths that none of them takes; "Duplicate": those among Cor that take none.
    """
    images = _check(dataset, predictions)
    chosen = (_best(one, min_score, max_per_image) for one in predictions)
    scenes = [_scene(one, images[one.image_id]) for one in chosen if len(one.labels)]
    found = tally(scenes, supercategory_groups(dataset.categories))
    truths = sum(not one.is_crowd for image in dataset.images for one in image.annotations)
    named = {kind.name.title(): int(found.kinds[kind]) for kind in SHOWN_KINDS[:-1]}
    return {
        **named,
        "BG": int(found.kinds[ErrorKind.BG]),
        "Missed": truths - found.found,
        "Duplicate": found.duplicates,
    }


def _scene(one: ImagePredictions, image: ImageRecord) -> Scene:
    truth = image_truth(image)
    ious = mask_ious(one.masks, truth.masks, truth.is_crowd)
    return Scene(ious, one.labels, one.scores, truth.labels, truth.is_crowd)


def hotcoco_precision(truth: CocoDict, detections: Detections) -> Precision:
    """By hotcoco."""
    return _array_of(_hotcoco_results(truth, detections), "precision")


def _hotcoco_results(truth: CocoDict, detections: Detections) -> Results:
    if hotcoco is None:
        raise RuntimeError("hotcoco is not installed")
    rows = np.zeros((len(detections.scores), 7))
    rows[:, 0], rows[:, 5], rows[:, 6] = (
        detections.image_ids,
        detections.scores,
        detections.category_ids,
    )
    # x, y, width, height: a box serves for its area alone here, which is to be the mask's.
    rows[:, 3], rows[:, 4] = hotcoco.mask.area(detections.masks), 1
    coco = hotcoco.COCO(truth)
    found = coco.load_res(rows, segmentation=[*detections.masks])
    evaluation = hotcoco.COCOeval(coco, found, "segm")
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation.eval


def pycocotools_precision(truth: CocoDict, detections: Detections) -> Precision:
    """By pycocotools, whose progress messages are swallowed."""
    return _array_of(_pycocotools_results(truth, detections), "precision")


def _pycocotools_results(truth: CocoDict, detections: Detections) -> Results:
    with redirect_stdout(StringIO()):
        coco = _indexed(truth)
        found = _indexed({**truth, "annotations": []})
        if detections.masks:
            found = coco.loadRes(as_dicts(detections))
        evaluation = reference_eval.COCOeval(coco, found, "segm")
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval


def as_dicts(detections: Detections) -> list[CocoDict]:
    """Detections in COCO's result form, without boxes: one would replace the mask's area."""
    columns = zip(
        detections.image_ids.tolist(),
        detections.category_ids.tolist(),
        detections.scores.tolist(),
        detections.masks,
        strict=True,
    )
    return [
        {"image_id": image_id, "category_id": category_id, "score": score, "segmentation": mask}
        for image_id, category_id, score, mask in columns
    ]


def _indexed(content: CocoDict) -> Any:
    coco: Any = reference.COCO()  # its type stubs know files only
    coco.dataset = content
    coco.createIndex()
    return coco


def _array_of(results: Results, name: str) -> Precision:
    if results is None:
        raise RuntimeError("the evaluator accumulated nothing")
    return np.asarray(results[name], dtype=np.float64)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Half a million dicts without a cycle: looking for one again and again costs a second."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _mean(precision: Precision) -> float:
    """In percent, over what exists (COCO writes -1 for a class without truth)."""
    known = precision[precision > -1]
    return 100 * float(known.mean()) if known.size else float("nan")


def _best(one: ImagePredictions, min_score: float, count: int) -> ImagePredictions:
    order = np.argsort(-one.scores, kind="stable")[:count]
    order = order[one.scores[order] >= min_score]
    masks = tuple(one.masks[index] for index in order.tolist())
    return ImagePredictions(one.image_id, one.labels[order], one.scores[order], masks)


def _check(dataset: Dataset, predictions: Sequence[ImagePredictions]) -> Mapping[int, ImageRecord]:
    """The images by id, when every prediction belongs to one of them and fits it."""
    images, seen = dataset.by_id(), set[int]()
    for one in predictions:
        image = images.get(one.image_id)
        if image is None:
            raise ValueError(f"image {one.image_id} is not in dataset {dataset.name}")
        if one.image_id in seen:
            raise ValueError(f"image {one.image_id} has two lists of predictions")
        seen.add(one.image_id)
        wrong = (one.labels < 0) | (one.labels >= len(dataset.categories))
        if wrong.any():
            raise ValueError(
                f"image {one.image_id}: class {one.labels[wrong][0]} is not in "
                f"0..{len(dataset.categories) - 1}"
            )
        if {(mask.height, mask.width) for mask in one.masks} - {(image.height, image.width)}:
            for index, mask in enumerate(one.masks):
                check_mask_size(mask, image, f"prediction {index}")
    return images


def truth_as_coco(dataset: Dataset) -> CocoDict:
    """The dataset in COCO form: annotation ids and categories from 1."""
    annotations = [(image, one) for image in dataset.images for one in image.annotations]
    return {
        "images": [
            {"id": image.image_id, "height": image.height, "width": image.width}
            for image in dataset.images
        ],
        "categories": [
            {"id": label + 1, "name": category.name}
            for label, category in enumerate(dataset.categories)
        ],
        "annotations": [
            _annotation_as_coco(number, image, one)
            for number, (image, one) in enumerate(annotations, start=1)
        ],
    }


def _annotation_as_coco(number: int, image: ImageRecord, one: Annotation) -> CocoDict:
    what = f"annotation {one.annotation_id}"
    if one.mask is None:
        raise ValueError(f"{what} of image {image.image_id} has no mask")
    check_mask_size(one.mask, image, what)
    left, top, right, bottom = one.box
    return {
        "id": number,  # an id 0 would read as "unmatched"
        "image_id": image.image_id,
        "category_id": one.label + 1,
        "area": one.area,
        "bbox": [left, top, right - left, bottom - top],
        "iscrowd": int(one.is_crowd),
        "segmentation": one.mask.as_coco(),
    }


def detections_of(predictions: Sequence[ImagePredictions]) -> Detections:
    """Predictions as columns, in their order."""
    if not predictions:
        return Detections(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), [])
    counts = [len(one.labels) for one in predictions]
    return Detections(
        np.repeat([one.image_id for one in predictions], counts),
        np.concatenate([one.labels for one in predictions]) + 1,
        np.concatenate([one.scores for one in predictions]).astype(np.float64),
        [mask for one in predictions for mask in _masks_as_coco(one.masks)],
    )


def _masks_as_coco(masks: Sequence[Rle]) -> list[CocoDict]:
    """Masks of one image; they share their size, since a list for each costs 4 times as much."""
    size = [masks[0].height, masks[0].width] if masks else []
    return [{"size": size, "counts": mask.counts} for mask in masks]
