"""BoxSeg on a teacher that answers as told, and on the real one."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.box_host import Proposals
from engine.checkpoint import checkpoint_path, load_checkpoint
from engine.instances import Targets
from engine.interfaces import RemembersState, ViewGeometry
from engine.losses.pseudo_mask import weighted_mean
from engine.methods.boxseg import (
    BoxSeg,
    box_threshold,
    candidate_counts,
    rank_proposals,
    weights_of,
)
from lab.config import BoxSegConfig
from tests.engine.methods.box_hosts import box_config, box_parts, trainer_of

UNTRAINED: dict[str, Any] = {
    "name": "boxseg",
    "box_loss": {"warmup_steps": 2, "bottom_rows": 0, "dilation": 1},
    "warmup_steps": 2,
    "min_box_iou": 0.05,
    "same_class": False,
    "box_threshold": 0.0,
    "early_box_threshold": 0.0,
    "peers": {"min_quality": 0.0, "min_box_score": 0.0, "min_pixels": 4},
}
"""Whatever a network without training says counts, and may be pasted."""


def config(**given: Any) -> BoxSegConfig:
    return BoxSegConfig(name="boxseg", **given)


def view(scale: float = 1.0) -> ViewGeometry:
    return ViewGeometry(64, 64, False, scale, scale, 0.0, 0.0, 64, 64)


def proposals(boxes: list[list[float]], labels: list[int], scores: list[float]) -> Proposals:
    count = len(boxes)
    index = torch.arange(count)
    return Proposals(
        boxes=torch.tensor(boxes).reshape(-1, 4),
        scores=torch.zeros(count),
        labels=torch.tensor(labels, dtype=torch.int64),
        class_quality=torch.tensor(scores),
        class_logits=torch.zeros(count, 3),
        places=index,
        levels=torch.zeros_like(index),
        owners=index,
    )


ONE = Targets(torch.tensor([[0.0, 0.0, 10.0, 10.0]]), torch.tensor([1]))
FOUND = proposals(
    [[0, 0, 10, 9], [0, 0, 10, 10], [0, 0, 10, 8], [0, 0, 10, 5]],
    [1, 2, 1, 1],
    [0.2, 0.9, 0.6, 1.0],
)
"""IoUs with `ONE`: .9, 1 (another class), .8, .5."""


def test_candidates_are_of_the_class_and_overlap_more_than_half():
    ranked = rank_proposals(FOUND, ONE, view(), config(adaptive_k=False))

    assert ranked.rows[0, :3].tolist() == [0, 2, -1]
    torch.testing.assert_close(ranked.scores[0, :2], torch.tensor([0.2, 0.6]))


def test_the_gates_can_be_opened():
    ranked = rank_proposals(
        FOUND, ONE, view(), config(adaptive_k=False, same_class=False, min_box_iou=0.4)
    )

    assert ranked.rows[0, :5].tolist() == [1, 0, 2, 3, -1]


def test_without_fusion_the_best_box_alone_is_the_mask():
    assert rank_proposals(FOUND, ONE, view(), config(qmf=False)).present.sum() == 1


def test_an_object_nobody_proposes_has_no_candidates():
    nothing = FOUND[:0]

    assert not rank_proposals(nothing, ONE, view(), config()).present.any()
    assert rank_proposals(FOUND, ONE[:0], view(), config()).rows.shape == (0, 10)


def test_sizes_are_those_of_the_original_image():
    """Side 128 in a view of twice the size is 64 in the image: six candidates."""
    box = torch.tensor([[0.0, 0.0, 128.0, 128.0]])

    assert candidate_counts(box, view(2.0), config()).tolist() == [6]
    assert candidate_counts(box, view(1.0), config()).tolist() == [10]
    assert candidate_counts(box, view(2.0), config(adaptive_k=False)).tolist() == [10]
    assert candidate_counts(box, view(2.0), config(qmf=False)).tolist() == [1]


def test_scores_need_to_be_high_only_after_the_warm_up():
    early = config(warmup_steps=10)

    assert [box_threshold(early, step) for step in (0, 9, 10)] == [0.1, 0.1, 0.5]


def test_a_mask_weighs_its_quality_or_one():
    quality = torch.tensor([0.8, 0.0])

    torch.testing.assert_close(weights_of(quality, config()), quality)
    assert weights_of(quality, config(mqs=False)).tolist() == [1, 0]


def test_the_loss_counts_only_masks_that_are_there():
    """G5: (.8 * .2 + .5 * .6) / 2; the third has no mask."""
    dice, quality = torch.tensor([0.2, 0.6, 0.9]), torch.tensor([0.8, 0.5, 0.0])

    assert weighted_mean(dice, quality).item() == pytest.approx(0.23, abs=1e-6)


def test_objects_are_pasted_and_a_resumed_run_remembers_the_same_peers(tmp_path: Path):
    run = box_config(UNTRAINED)
    unbroken, told = trainer_of(box_parts(run, tmp_path), tmp_path)
    unbroken.run()
    resumed, told_again = trainer_of(box_parts(run, tmp_path), tmp_path)
    checkpoint = load_checkpoint(checkpoint_path(unbroken.directory, 2))
    resumed.restore(checkpoint)

    resumed.run()

    assert len(checkpoint.method["records"]) > 0
    rows = dict(told.scalar_rows)
    assert sum(row["peers/pasted_per_image"] for row in rows.values()) > 0
    assert all(math.isfinite(row["loss/total"]) for row in rows.values())
    assert {step: row["loss/total"] for step, row in told_again.scalar_rows} == {
        step: rows[step]["loss/total"] for step in (2, 3)
    }
    assert isinstance(unbroken.method, RemembersState)
    assert isinstance(resumed.method, RemembersState)
    assert_same(unbroken.method.state_dict(), resumed.method.state_dict())


def assert_same(one: Any, other: Any) -> None:
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            assert_same(*pair)
    else:
        assert one == other


VARIANTS: dict[str, dict[str, Any]] = {
    "released": {"formulas": "released", "num_candidates": 20},
    "bpma": {"ranking": "bpma", "qmf": False, "mqs": False},
    "bqr": {"qmf": False, "mqs": False},
    "random-peers": {
        "peers": {
            "select": "random",
            "place": "random",
            "learner": "random",
            "min_quality": 0.0,
            "min_box_score": 0.0,
            "min_pixels": 4,
        }
    },
    "no-peers": {"peers": {"enabled": False}},
}


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_every_switch_trains(tmp_path: Path, variant: str):
    parts = box_parts(box_config({**UNTRAINED, **VARIANTS[variant]}), tmp_path)

    for step, batch in zip((0, 3), parts.batches(0), strict=False):
        torch.manual_seed(step)
        losses = parts.method.losses(batch, step)
        losses.total().backward()

        assert torch.isfinite(losses.total())
        for found in losses.candidates:
            scores = found.box_scores
            assert scores is not None
            assert (scores.num_effective <= scores.num_candidates).all()
            assert (scores.num_effective >= 1).all()
            assert torch.equal(found.weights > 0, scores.mask_score > 0)
            assert (found.single_logits is None) == (variant in ("bpma", "bqr"))
            if variant in ("bpma", "bqr"):
                assert set(found.weights.tolist()) <= {0.0, 1.0}
                assert scores.num_candidates.max() <= 1
            if variant == "no-peers":
                assert losses.stats["peers/remembered"] == 0


def test_every_mask_is_told_with_what_it_was_made_of(tmp_path: Path):
    parts = box_parts(box_config(UNTRAINED), tmp_path)
    trainer, recorder = trainer_of(parts, tmp_path)

    trainer.run()

    boxes = {a.annotation_id: a for i in parts.images.labeled.images for a in i.annotations}
    assert sum(len(labels) for _, labels in recorder.label_rows) > 0
    for _, labels in recorder.label_rows:
        scores = labels.box_scores
        assert scores is not None and scores.single_masks is not None
        for row in np.flatnonzero(scores.num_effective == 1).tolist():
            assert scores.single_masks[row] == labels.masks[row]
        assert len(set(scores.target_ids.tolist())) == len(labels)
        for row, one in enumerate(scores.target_ids.tolist()):
            assert labels.labels[row] == boxes[one].label
            assert labels.weights[row] == scores.mask_score[row]
            product = scores.box_score[row] * scores.pixel_score[row]
            assert scores.mask_score[row] == pytest.approx(product**0.5, abs=1e-6)


@pytest.mark.parametrize("formulas", ["paper", "released"])
def test_images_without_objects_or_masks_train_too(tmp_path: Path, formulas: str):
    """No object, or objects whose every candidate is too poor: no mask is learnt."""
    shy = {**UNTRAINED, "formulas": formulas, "box_threshold": 1.0, "early_box_threshold": 1.0}
    parts = box_parts(box_config(shy), tmp_path)
    (batch, *_) = parts.batches(0)
    labeled = batch.labeled
    first = replace(
        labeled,
        targets=[labeled.targets[0][:0], labeled.targets[1]],
        annotation_ids=[[], labeled.annotation_ids[1]],
    )

    losses = parts.method.losses(replace(batch, labeled=first), 3)
    losses.total().backward()

    assert torch.isfinite(losses.total())
    assert losses.unsup["pixel"].item() == losses.unsup["affinity"].item() == 0
    assert [len(found.labels) for found in losses.candidates] == [0, 0]
    unreached = [n for n, p in parts.student.module.named_parameters() if p.grad is None]
    assert unreached == []


def test_the_method_is_what_the_config_asks_for(tmp_path: Path):
    assert isinstance(box_parts(box_config(UNTRAINED), tmp_path).method, BoxSeg)
