"""A run recorded by hand: two images, two steps, every number known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lab.config import RunConfig, parse_run_config
from lab.datasets.records import (
    Annotation,
    Category,
    Dataset,
    DropRule,
    ErrorKind,
    Evaluation,
    ImageRecord,
    LabelSource,
    PseudoLabels,
)
from lab.store.recorder import StoreRecorder
from lab.store.runs import attach_datasets, create_run
from lab.store.store import Store
from tests.factories import ellipse, rle

SIDE = 32
CATEGORIES = (Category(3, "cat", "animal"), Category(5, "dog", "animal"), Category(9, "car", "car"))
BOXES = ((0, 0, 8, 8), (10, 10, 20, 20), (4, 20, 12, 30), (20, 2, 30, 14))
CONFIG = parse_run_config(
    {
        "name": "by-hand",
        "method": {
            "name": "pl_dc",
            "dicc": False,
            "class_threshold": 0.8,
            "mask_threshold": 0.8,
            "burn_in_steps": 1,
        },
        "schedule": {"max_steps": 20},
    }
)


def labels_of(image_id: int) -> PseudoLabels:
    """Four candidates. Two are kept: a cat that is right and a dog that is a cat.

    class quality  mask quality  kind  truth     fate
    0.90           0.90          Cor   first     kept
    0.95           0.80          Sim   second    kept: exactly on the mask threshold
    0.60           0.95          Cor   third     class quality
    0.85           0.40          BG    none      mask quality
    """
    masks = tuple(rle(ellipse(SIDE, box)) for box in BOXES)
    class_quality = np.array([0.9, 0.95, 0.6, 0.85], np.float32)
    mask_quality = np.array([0.9, 0.8, 0.95, 0.4], np.float32)
    kept = np.array([True, True, False, False])
    nothing = np.full(4, np.nan, np.float32)
    classes = np.array([0, 1, 2, 0])
    return PseudoLabels(
        image_id=image_id,
        source=LabelSource.PSEUDO,
        boxes=np.array(BOXES, np.float32),
        labels=classes,
        labels_before=classes,
        class_quality=class_quality,
        mask_quality=mask_quality,
        score=class_quality * mask_quality,
        masks=masks,
        areas=np.array([ellipse(SIDE, box).sum() for box in BOXES], np.float32),
        kept=kept,
        rules=np.array(
            [DropRule.KEPT, DropRule.KEPT, DropRule.CLASS_QUALITY, DropRule.MASK_QUALITY]
        ),
        rule_values=np.array([np.nan, np.nan, 0.8, 0.8], np.float32),
        teacher_before=class_quality,
        teacher_after=class_quality,
        clip_before=nothing,
        clip_after=nothing,
        uncertainty=np.full(4, 0.1, np.float32),
        weights=kept.astype(np.float32),
        kinds=np.array([ErrorKind.COR, ErrorKind.SIM, ErrorKind.COR, ErrorKind.BG]),
        true_ious=np.array([0.9, 0.6, 0.7, np.nan], np.float32),
        gt_ids=np.array([10 * image_id, 10 * image_id + 1, 10 * image_id + 2, -1]),
        duplicates=np.zeros(4, bool),
        num_truths=4,
        missed=3,
    )


def images(directory: Path) -> tuple[ImageRecord, ...]:
    """Two black pictures, written to disk, with one known cat each."""
    directory.mkdir()
    mask = rle(ellipse(SIDE, BOXES[0]))
    for image_id in (1, 2):
        Image.new("RGB", (SIDE, SIDE)).save(directory / f"{image_id}.png")
    return tuple(
        ImageRecord(
            image_id,
            directory / f"{image_id}.png",
            SIDE,
            SIDE,
            (Annotation(10 * image_id, 0, (0, 0, 8, 8), 52.0, mask),),
        )
        for image_id in (1, 2)
    )


def record_by_hand(store: Store, config: RunConfig = CONFIG) -> str:
    """Steps 4 and 8 on images 1 and 2, an evaluation, a checkpoint; finished."""
    run_id = create_run(store, config)
    dataset = Dataset("by hand", CATEGORIES, images(store.root / "pictures"))
    attach_datasets(store, run_id, dataset, dataset)
    checkpoint = store.run_directory(run_id) / "checkpoints" / "step-00000010.pt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"weights")
    with StoreRecorder(store, run_id) as recorder:
        for step in (4, 8):
            recorder.scalars(step, {"loss/total": 1 / step})
            recorder.pseudo_labels(step, [labels_of(1), labels_of(2)])
        metrics = {"AP": 30.0, "AP50": 50.0, "AP75": 20.0, "APs": float("nan")}
        kinds = {"Cor": 5, "Loc": 4, "Sim": 3, "Oth": 2, "BG": 1, "Missed": 9, "Duplicate": 0}
        scores = {"cat": 40.0, "dog": 20.0, "car": float("nan")}
        recorder.evaluation(10, Evaluation("val", "teacher", metrics, scores, kinds))
        recorder.checkpoint(10, checkpoint)
        recorder.finish("finished")
    return run_id


@pytest.fixture
def recorded(store: Store) -> str:
    """The run id of the run by hand, in `store`."""
    return record_by_hand(store)
