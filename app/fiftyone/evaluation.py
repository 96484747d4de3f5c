"""Our matches as an evaluation of FiftyOne's, so that its Model Evaluation panel works on them.

FiftyOne's own `evaluate_detections` pastes every mask to full size and takes minutes for 200
images; what it would have written is in the dataset already, and this says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from fiftyone.utils.eval.coco import COCODetectionResults, COCOEvaluation, COCOEvaluationConfig
from fiftyone.utils.eval.detection import DetectionResults

from app.fiftyone.dataset import Dataset
from app.fiftyone.evaluation_notes import evaluation_id, note_on, put_note
from app.fiftyone.numbers import columns
from app.fiftyone.request import GROUND_TRUTH, LabelField
from lab.analysis.average_precision import Curves

MIN_IOU = 0.5
IOUS = [percent / 100 for percent in range(50, 100, 5)]
RECALLS = np.linspace(0, 1, 101)
Row = tuple[str | None, str | None, float | None, float | None, str | None, str | None]
"""(true class, predicted class, IoU, confidence, truth id, label id)."""


def register_evaluation(
    dataset: Dataset, field: LabelField, classes: Sequence[str], curves: Curves | None
) -> None:
    """Tell FiftyOne of the matches of a field that the dataset holds now.

    Args:
        curves: what mAP and mAR are of; None leaves them out.
    """
    key = field.eval_key
    before = evaluation_id(dataset, key)
    config = COCOEvaluationConfig(
        field.name,
        GROUND_TRUTH,
        iou=MIN_IOU,
        classwise=False,
        iscrowd="iscrowd",
        use_masks=True,
        compute_mAP=curves is not None,
    )
    if dataset.has_evaluation(key):
        # Without clean-up: the labels keep what the evaluation says of them.
        COCOEvaluation.delete_run(dataset, key, cleanup=False)
    backend = COCOEvaluation(config)
    backend.register_run(dataset, key, overwrite=True, cleanup=False)
    found = (dataset, config, key, rows(dataset, field))
    known: dict[str, Any] = {"classes": list(classes), "backend": backend}
    if curves is None:
        results = DetectionResults(*found, **known)
    else:
        results = COCODetectionResults(*found, **known, **curves_as_fiftyone_has_them(curves))
    backend.save_run_results(dataset, key, results)
    put_note(dataset, key, before, note_on(field, curves is not None))


def curves_as_fiftyone_has_them(curves: Curves) -> dict[str, Any]:
    return {
        "precision": curves.precision.transpose(0, 2, 1),
        "recall": RECALLS,
        "iou_threshs": IOUS,
        "recall_sweep": curves.recall,
    }


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
