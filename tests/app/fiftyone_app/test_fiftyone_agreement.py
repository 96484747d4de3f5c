"""Our breakdown against one that is computed from FiftyOne's own mask IoUs, by the rules alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.fiftyone.database import Address
from app.fiftyone.request import build_request
from lab.store.queries import get_run
from lab.store.store import Store

pytestmark = pytest.mark.fiftyone

CLOSE = 0.03
"""FiftyOne draws masks into boxes that are rounded: labels so near a bar are not compared."""


@pytest.fixture(scope="module")
def dataset(fiftyone_lab: Store, mongo: Address) -> Any:
    from app.fiftyone.showing import show

    run = get_run(fiftyone_lab, "teacher")
    return show(fiftyone_lab, build_request(fiftyone_lab.root, run))[1]


def ious_of(labels: list[Any], truths: list[Any]) -> np.ndarray:
    """(labels, truths) mask IoUs as FiftyOne computes them."""
    from fiftyone.utils.iou import compute_ious

    if not labels or not truths:
        return np.zeros((len(labels), len(truths)))
    return np.asarray(compute_ious(labels, truths, use_masks=True, classwise=False))


def kind_by_the_rules(label: Any, truths: list[Any], ious: np.ndarray) -> str:
    """The first rule that holds: Cor, Loc, Sim, Oth, else BG."""
    same = [iou for one, iou in zip(truths, ious, strict=True) if one.label == label.label]
    alike = [
        iou
        for one, iou in zip(truths, ious, strict=True)
        if one.label != label.label and one.supercategory == label.supercategory
    ]
    if max(same, default=0.0) >= 0.5:
        return "Cor"
    if max(same, default=0.0) >= 0.1:
        return "Loc"
    if max(alike, default=0.0) >= 0.1:
        return "Sim"
    return "Oth" if max(ious, default=0.0) >= 0.1 else "BG"


def is_clear(ious: np.ndarray) -> bool:
    """Whether no IoU lies so near a bar that rounding could decide."""
    return not any((np.abs(ious - bar) < CLOSE).any() for bar in (0.1, 0.5))


def test_every_kind_follows_from_fiftyones_own_ious(dataset: Any):
    seen: set[str] = set()
    compared = every = 0
    for sample in dataset:
        labels, truths = sample.latest.detections, sample.ground_truth.detections
        every += len(labels)
        for label, ious in zip(labels, ious_of(labels, truths), strict=True):
            if is_clear(ious):
                assert label.kind == kind_by_the_rules(label, truths, ious)
                seen.add(label.kind)
                compared += 1

    assert compared > 0.7 * every
    assert {"Cor", "Loc", "BG"} <= seen


def test_missed_is_what_no_kept_label_of_its_class_covers_by_half(dataset: Any):
    """Without a kept label of its class on it, an object is missed; with one that is clear of every
    other object, it is found."""
    missed = found = 0
    for sample in dataset:
        truths = sample.ground_truth.detections
        kept = [one for one in sample.latest.detections if one.kept]
        for truth, ious in zip(truths, ious_of(kept, truths).T, strict=True):
            same = [iou for one, iou in zip(kept, ious, strict=True) if one.label == truth.label]
            best = max(same, default=0.0)
            if best < 0.5 - CLOSE:
                assert truth.eval_latest == "fn"
                missed += 1
            elif best > 2 / 3 + CLOSE:  # no second object can overlap the label by half as well
                assert truth.eval_latest == "tp"
                found += 1

    assert missed > 0 and found > 0


def test_map_is_the_one_that_fiftyone_itself_finds(dataset: Any):
    """FiftyOne matches by class and at every IoU; its masks are off by up to half a pixel."""
    told = dataset.load_evaluation_results("eval_latest")

    own = dataset.clone().evaluate_detections(
        "latest",
        gt_field="ground_truth",
        use_masks=True,
        compute_mAP=True,
        classes=list(told.classes),
    )

    assert 0 < told.mAP() < 1
    assert told.mAP() == pytest.approx(own.mAP(), abs=CLOSE)
    assert told.mAR() == pytest.approx(own.mAR(), abs=CLOSE)
