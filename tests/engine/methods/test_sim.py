"""SIM on real shapes: warm-up, memories, pasted objects, and both readings of its formulas."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.checkpoint import checkpoint_path, load_checkpoint
from engine.interfaces import Losses, RemembersState
from engine.methods.sim import Sim
from tests.engine.methods.box_hosts import box_config, box_parts, trainer_of

EAGER: dict[str, Any] = {
    "name": "sim",
    "box_loss": {"warmup_steps": 2, "bottom_rows": 0, "dilation": 1},
    "warmup_steps": 1,
    "num_prototypes": 3,
    "min_updates": 1,
    "high_threshold": 0.3,
    "low_threshold": 0.2,
    "paste": {"bank_size": 2, "probability": 1.0},
}
"""An untrained network's masks are sure enough, and two images fill the bank."""


def method_losses(root: Path, steps: int = 4, **changes: Any) -> tuple[Sim, list[Losses]]:
    """What the first batches give, the student never learning; gradients are those of the last."""
    parts = box_parts(box_config({**EAGER, **changes}), root)
    assert isinstance(parts.method, Sim)
    found = []
    for step, batch in zip(range(steps), parts.batches(0), strict=False):
        torch.manual_seed(step)
        parts.student.module.zero_grad()
        found.append(parts.method.losses(batch, step))
        found[-1].total().backward()
    return parts.method, found


def test_at_first_there_are_the_losses_of_boxinst_alone(tmp_path: Path):
    method, (first, second) = method_losses(tmp_path, steps=2)

    assert set(first.sup) == {"class", "box", "center", "projection", "pairwise"}
    assert (first.unsup, first.candidates, first.stats) == ({}, [], {})
    assert set(second.unsup) == {"pseudo", "paste"}
    assert method.prototypes.moves.sum() > 0


def test_objects_are_pasted_once_the_bank_is_full(tmp_path: Path):
    method, found = method_losses(tmp_path, steps=4)

    pasted = [float(one.stats["paste/objects_per_image"]) for one in found[1:]]
    assert pasted[0] == 0 < min(pasted[1:])
    assert max(pasted) <= 3
    assert found[1].unsup["paste"].item() == 0 < found[2].unsup["paste"].item()
    assert len(method.bank) == 2


def test_prototypes_stay_unit_vectors_of_the_hosts_features(tmp_path: Path):
    method, _ = method_losses(tmp_path, steps=3)

    directions = method.prototypes.directions
    assert directions.shape == (12, 3, 16)
    torch.testing.assert_close(directions.norm(dim=2), torch.ones(12, 3))


def test_a_resumed_run_has_the_same_bank_and_prototypes(tmp_path: Path):
    run = box_config(EAGER)
    unbroken, told = trainer_of(box_parts(run, tmp_path), tmp_path)
    unbroken.run()
    resumed, told_again = trainer_of(box_parts(run, tmp_path), tmp_path)
    checkpoint = load_checkpoint(checkpoint_path(unbroken.directory, 2))
    resumed.restore(checkpoint)

    resumed.run()

    assert len(checkpoint.method["bank"]["records"]) > 0
    assert checkpoint.method["prototypes"]["moves"].sum() > 0
    rows = dict(told.scalar_rows)
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
    "released": {"formulas": "released"},
    "drawn": {"assignment": "drawn", "prototype_start": "first"},
    "semantic-affinity": {"semantic_affinity": True},
    "no-paste": {"paste": {"enabled": False}},
    "semantic-only": {"instance_share": 0.0},
    "instance-only": {"instance_share": 1.0},
    "never-known": {"min_updates": 1000},
}


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_every_switch_trains(tmp_path: Path, variant: str):
    _, found = method_losses(tmp_path, **VARIANTS[variant])

    for losses in found:
        assert torch.isfinite(losses.total())
        for labels in losses.candidates:
            scores = labels.box_scores
            assert scores is not None
            assert set(labels.weights.tolist()) <= {0.0, 1.0}
            assert torch.equal(labels.weights > 0, scores.mask_score > 0)
            assert (scores.num_candidates >= 1).all()
            assert ((scores.semantic_score >= 0) & (scores.semantic_score <= 1)).all()
            assert ((scores.instance_score >= 0) & (scores.instance_score <= 1)).all()
    if variant == "no-paste":
        assert all(one.unsup["paste"].item() == 0 for one in found[1:])
        assert found[-1].stats["paste/remembered"] == 0


def test_until_a_class_is_known_its_masks_are_the_instance_maps(tmp_path: Path):
    _, found = method_losses(tmp_path, steps=2, min_updates=1000)

    for labels in found[1].candidates:
        scores = labels.box_scores
        assert scores is not None
        torch.testing.assert_close(scores.mask_score, scores.instance_score)


def test_every_mask_is_told_with_the_box_it_was_made_for(tmp_path: Path):
    parts = box_parts(box_config(EAGER), tmp_path)
    trainer, recorder = trainer_of(parts, tmp_path)

    trainer.run()

    boxes = {a.annotation_id: a for i in parts.images.labeled.images for a in i.annotations}
    assert sum(len(labels) for _, labels in recorder.label_rows) > 0
    for _, labels in recorder.label_rows:
        scores = labels.box_scores
        assert scores is not None
        assert len(set(scores.target_ids.tolist())) == len(labels)
        for row, one in enumerate(scores.target_ids.tolist()):
            assert labels.labels[row] == boxes[one].label


@pytest.mark.parametrize("formulas", ["paper", "released"])
def test_images_without_objects_or_sure_pixels_train_too(tmp_path: Path, formulas: str):
    """No object, or objects of which not a pixel is sure: no mask is learnt."""
    shy = {**EAGER, "formulas": formulas, "high_threshold": 1.0, "warmup_steps": 0}
    parts = box_parts(box_config(shy), tmp_path)
    (batch, *_) = parts.batches(0)
    labeled = batch.labeled
    nothing = [target[:0] for target in labeled.targets]
    first = replace(
        labeled,
        targets=[nothing[0], labeled.targets[1]],
        annotation_ids=[[], labeled.annotation_ids[1]],
    )
    neither = replace(labeled, targets=nothing, annotation_ids=[[], []])

    for images in (first, neither):
        parts.student.module.zero_grad()
        losses = parts.method.losses(replace(batch, labeled=images), 3)
        losses.total().backward()

        assert torch.isfinite(losses.total())
        assert losses.unsup["pseudo"].item() == losses.unsup["paste"].item() == 0
        unreached = [n for n, p in parts.student.module.named_parameters() if p.grad is None]
        assert unreached == []


def test_it_trains_on_mask2former_too(tmp_path: Path):
    config = box_config(EAGER).model_dump(mode="json")
    config["host"] = {
        "name": "mask2former",
        "preset": "tiny",
        "width": 8,
        "num_points": 64,
        "num_queries": 8,
    }
    parts = box_parts(type(box_config(EAGER)).model_validate(config), tmp_path)
    trainer, recorder = trainer_of(parts, tmp_path)

    trainer.run()

    rows = dict(recorder.scalar_rows)
    assert all(math.isfinite(row["loss/total"]) for row in rows.values())
    assert rows[3]["prototypes/known_classes"] > 0
    assert rows[3]["loss/unsup/pseudo"] > 0
