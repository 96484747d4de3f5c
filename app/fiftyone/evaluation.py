"""Our matches as an evaluation of FiftyOne's, so that its Model Evaluation panel works on them.

FiftyOne's own `evaluate_detections` pastes every mask to full size and takes minutes for 200
images; what it would have written is in the dataset already, and this says so.
"""

from __future__ import annotations

from collections.abc import Sequence

from fiftyone.utils.eval.coco import COCOEvaluation, COCOEvaluationConfig
from fiftyone.utils.eval.detection import DetectionResults

from app.fiftyone.dataset import Dataset
from app.fiftyone.numbers import columns
from app.fiftyone.request import GROUND_TRUTH, LabelField

MIN_IOU = 0.5
Row = tuple[str | None, str | None, float | None, float | None, str | None, str | None]
"""(true class, predicted class, IoU, confidence, truth id, label id)."""


def register_evaluation(dataset: Dataset, field: LabelField, classes: Sequence[str]) -> None:
    """Tell FiftyOne of the matches of a field that the dataset holds now."""
    key = field.eval_key
    config = COCOEvaluationConfig(
        field.name, GROUND_TRUTH, iou=MIN_IOU, classwise=False, iscrowd="iscrowd", use_masks=True
    )
    if dataset.has_evaluation(key):
        # Without clean-up: the labels keep what the evaluation says of them.
        COCOEvaluation.delete_run(dataset, key, cleanup=False)
    backend = COCOEvaluation(config)
    backend.register_run(dataset, key, overwrite=True, cleanup=False)
    results = DetectionResults(
        dataset, config, key, rows(dataset, field), classes=list(classes), backend=backend
    )
    backend.save_run_results(dataset, key, results)


def rows(dataset: Dataset, field: LabelField) -> list[Row]:
    """Every evaluated label with the truth it stands against, and every truth that none does."""
    key = field.eval_key
    truth = columns(dataset, GROUND_TRUTH, ("id", "label", key, f"{key}_id"))
    classes = dict(zip(truth["id"], truth["label"], strict=True))
    names = ("id", "label", "confidence", key, f"{key}_id", f"{key}_iou")
    labels = columns(dataset, field.name, names)
    found: list[Row] = [
        (classes.get(partner), label, iou, score, partner, own)
        for own, label, score, verdict, partner, iou in zip(*labels.values(), strict=True)
        if verdict is not None
    ]
    missed: list[Row] = [
        (label, None, None, None, own, None)
        for own, label, verdict, partner in zip(*truth.values(), strict=True)
        if verdict == "fn" and partner is None
    ]
    return found + missed
