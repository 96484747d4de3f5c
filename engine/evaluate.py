"""Mask AP and the kinds of error of a network on a dataset with truth."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from engine import ranks
from engine.data.loading import EvalBatch
from engine.encode import to_image_frame
from engine.interfaces import Segmenter
from lab.analysis.average_precision import ImagePredictions, evaluation_kinds, mask_ap
from lab.datasets.records import Dataset, Evaluation


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation says, and the predictions it says it of."""

    evaluation: Evaluation
    predictions: list[ImagePredictions]


def evaluate(
    segmenter: Segmenter,
    batches: Iterable[EvalBatch],
    dataset: Dataset,
    split: str,
    model: Literal["student", "teacher"],
) -> Evaluated:
    """AP, AP50, AP75, APs, APm, APl in [0, 100], AP per class, and Cor/Loc/Sim/Oth/BG counts."""
    return judge(predict_dataset(segmenter, batches), dataset, split, model)


def judge(
    predictions: list[ImagePredictions],
    dataset: Dataset,
    split: str,
    model: Literal["student", "teacher"],
) -> Evaluated:
    """What `evaluate` says, of predictions that are there already."""
    result = mask_ap(dataset, predictions)
    kinds = evaluation_kinds(dataset, predictions)
    return Evaluated(Evaluation(split, model, result.metrics, result.per_class, kinds), predictions)


@torch.inference_mode()
def predict_dataset(segmenter: Segmenter, batches: Iterable[EvalBatch]) -> list[ImagePredictions]:
    """Predictions of every image in its own frame; the network is left in the mode it was in."""
    module = segmenter.module
    was_training = module.training
    module.eval()
    try:
        return [
            to_image_frame(image_id, predictions, geometry)
            for batch in batches
            for image_id, geometry, predictions in zip(
                batch.image_ids, batch.geometry, segmenter.predict(batch.images), strict=True
            )
        ]
    finally:
        module.train(was_training)


def everyones(predictions: list[ImagePredictions], dataset: Dataset) -> list[ImagePredictions]:
    """On rank 0 the predictions of all ranks, in the order of the dataset; nothing elsewhere."""
    place = {image.image_id: number for number, image in enumerate(dataset.images)}
    found = [one for of_rank in ranks.to_first(predictions) for one in of_rank]
    return sorted(found, key=lambda one: place[one.image_id])


def write_results(path: Path, dataset: Dataset, predictions: Sequence[ImagePredictions]) -> None:
    """Write predictions as COCO results: image_id, category_id, segmentation (RLE), score."""
    results = [
        {
            "image_id": one.image_id,
            "category_id": dataset.categories[label].category_id,
            "segmentation": {"size": [mask.height, mask.width], "counts": mask.counts.decode()},
            "score": float(score),
        }
        for one in predictions
        for label, score, mask in zip(one.labels, one.scores, one.masks, strict=True)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results), encoding="utf-8")
