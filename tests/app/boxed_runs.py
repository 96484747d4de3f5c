"""A run whose masks were made from boxes, as a method records it that ranks boxes and pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from lab.analysis.judge import build_judge
from lab.config import parse_run_config
from lab.datasets.records import ImageRecord, LabelSource, PseudoLabels
from lab.store.recorder import StoreRecorder
from lab.store.runs import attach_datasets, create_run
from lab.store.store import Store
from tests.factories import box_scores, candidates, ellipse, painted_dataset, rle

SIDE = 96


def record_boxes(
    store: Store,
    pictures: Path,
    *,
    steps: int = 8,
    name: str = "boxes",
    method: str = "boxseg",
    fused: bool = True,
) -> str:
    """The run id of a run with a mask for every box of two images a step, all of them kept.

    `fused`: it says of each what the best candidate alone would have given.
    """
    train = painted_dataset(pictures, name, 6, SIDE, 11)
    config = {"name": name, "method": {"name": method}, "schedule": {"max_steps": steps}}
    run = create_run(store, parse_run_config(config))
    attach_datasets(store, run, train, train.with_images(()))
    rng = np.random.default_rng(5)
    with StoreRecorder(store, run, judge=build_judge(train)) as recorder:
        for step in range(steps):
            chosen = [train.images[(2 * step + k) % len(train.images)] for k in (0, 1)]
            recorder.scalars(step, {"loss/total": 1.0})
            made = [masks_of(rng, image, step) for image in chosen]
            recorder.pseudo_labels(step, [with_singles(one) for one in made] if fused else made)
        recorder.finish("finished")
    return run


def with_singles(labels: PseudoLabels) -> PseudoLabels:
    """As if each mask were a fused one, and its best candidate reached a fifth less far."""
    masks = []
    for x1, y1, x2, y2 in labels.boxes.tolist():
        masks.append(rle(ellipse(SIDE, (x1, y1, x2 - (x2 - x1) / 5, y2))))
    scores = labels.box_scores
    assert scores is not None
    return replace(labels, box_scores=replace(scores, single_masks=tuple(masks)))


def masks_of(rng: np.random.Generator, image: ImageRecord, seed: int) -> PseudoLabels:
    """An ellipse for every box, more or less beside it; the pixel score knows how much."""
    truths = image.annotations
    boxes = np.array([truth.box for truth in truths])
    blur = rng.uniform(0, 6, (len(truths), 1))
    moved = (boxes + rng.normal(0, 1, boxes.shape) * blur).clip(0, image.width)
    moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 4)
    classes = np.array([truth.label for truth in truths])
    qualities = np.stack([rng.uniform(0.2, 0.9, len(truths)), 1 - blur[:, 0] / 20])
    labels = candidates(
        rng, image.image_id, LabelSource.PSEUDO, image.width, moved, classes, qualities
    )
    ids = np.array([truth.annotation_id for truth in truths])
    scores = box_scores(labels, target_ids=ids, seed=seed)
    sure = (1 - blur[:, 0] / 12).astype(np.float32)
    scores = replace(scores, pixel_score=sure, mask_score=np.sqrt(scores.box_score * sure))
    everything = np.ones(len(labels), np.bool_)
    return replace(
        labels,
        labels_before=labels.labels,
        kept=everything,
        rules=np.zeros(len(labels), np.int64),
        rule_values=np.full(len(labels), np.nan, np.float32),
        weights=scores.mask_score,
        box_scores=scores,
    )
