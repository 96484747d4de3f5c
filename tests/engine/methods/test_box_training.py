"""Box-supervised runs: they train on real images, see no mask, and resume to the bit."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engine.checkpoint import checkpoint_path, load_checkpoint
from lab.config import RunConfig
from lab.datasets.load import LoadedData, load_dataset
from tests.engine.methods.box_hosts import box_config, box_parts, trainer_of
from tests.guarded import guarded

BOXINST = {"name": "boxinst", "box_loss": {"warmup_steps": 2, "bottom_rows": 0, "dilation": 1}}
BOXTEACHER = {
    "name": "boxteacher",
    "box_loss": {"warmup_steps": 2, "bottom_rows": 0, "dilation": 1},
    "min_box_iou": 0.05,
    "warmup_steps": 2,
}
BIG_TEACHER = {**BOXTEACHER, "teacher_side": 96}
BOXSEG = {
    **BOXTEACHER,
    "name": "boxseg",
    "box_threshold": 0.0,
    "early_box_threshold": 0.0,
    "peers": {"min_quality": 0.0, "min_box_score": 0.0, "min_pixels": 4},
}
PSEUDO_DEPTH = {
    "name": "pseudo_depth",
    "box_loss": {"warmup_steps": 2, "bottom_rows": 0, "dilation": 1},
    "distil_from": 1,
    "min_box_iou": 0.01,
    "match_threshold": 0.1,
}
LATE_DEPTH = {**PSEUDO_DEPTH, "distil_from": 3, "teacher_side": 96}
SIM = {
    "name": "sim",
    "box_loss": {"warmup_steps": 2, "bottom_rows": 0, "dilation": 1},
    "warmup_steps": 1,
    "min_updates": 1,
    "paste": {"bank_size": 2, "probability": 1.0},
}
METHODS = pytest.mark.parametrize(
    "method",
    [BOXINST, BOXTEACHER, BIG_TEACHER, BOXSEG, PSEUDO_DEPTH, LATE_DEPTH, SIM],
    ids=["boxinst", "boxteacher", "big-teacher", "boxseg", "pseudo-depth", "late-depth", "sim"],
)


def truth(config: RunConfig, root: Path) -> LoadedData:
    return load_dataset(config.dataset, root / "datasets")


@METHODS
def test_a_run_never_looks_at_a_mask(tmp_path: Path, method: dict[str, object]):
    """Four steps of the real trainer on a dataset whose masks cannot be read."""
    config = box_config(method)
    data = truth(config, tmp_path)
    parts = box_parts(config, tmp_path, replace(data, train=guarded(data.train)))
    trainer, recorder = trainer_of(parts, tmp_path)

    trainer.run()

    assert [step for step, _ in recorder.scalar_rows] == [0, 1, 2, 3]
    assert all(math.isfinite(row["loss/total"]) for _, row in recorder.scalar_rows)


@METHODS
def test_a_resumed_run_ends_with_the_same_weights(tmp_path: Path, method: dict[str, object]):
    config = box_config(method)
    data = truth(config, tmp_path)
    unbroken, told = trainer_of(box_parts(config, tmp_path, data), tmp_path)
    unbroken.run()
    resumed, told_again = trainer_of(box_parts(config, tmp_path, data), tmp_path)
    resumed.restore(load_checkpoint(checkpoint_path(unbroken.directory, 2)))

    resumed.run()

    losses = {step: row["loss/total"] for step, row in told.scalar_rows}
    assert {step: row["loss/total"] for step, row in told_again.scalar_rows} == {
        step: losses[step] for step in (2, 3)
    }
    for network in ("student", "teacher"):
        pairs = zip(
            getattr(unbroken, network).module.state_dict().values(),
            getattr(resumed, network).module.state_dict().values(),
            strict=True,
        )
        assert all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("parent", [BOXINST, BOXSEG], ids=["of-none", "of-another"])
def test_a_fork_with_another_method_begins_without_memory(
    tmp_path: Path, parent: dict[str, object]
):
    """A bank of cut-outs says nothing to prototypes, and nothing at all says less."""
    trained, _ = trainer_of(box_parts(box_config(parent), tmp_path), tmp_path)
    trained.run()
    fork, told = trainer_of(box_parts(box_config(SIM), tmp_path), tmp_path)

    fork.restore(load_checkpoint(checkpoint_path(trained.directory, 2)))
    fork.run()

    assert [step for step, _ in told.scalar_rows] == [2, 3]


def test_every_pseudo_mask_is_told_with_the_box_it_was_made_for(tmp_path: Path):
    config = box_config(BOXTEACHER)
    parts = box_parts(config, tmp_path)
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
            assert labels.weights[row] == scores.mask_score[row]
            product = scores.box_score[row] * scores.pixel_score[row]
            assert scores.mask_score[row] == pytest.approx(product**0.5, abs=1e-6)


def test_an_image_without_objects_trains_too(tmp_path: Path):
    for method in (BOXINST, BOXTEACHER, PSEUDO_DEPTH):
        parts = box_parts(box_config(method), tmp_path)
        (batch, *_) = parts.batches(0)
        nothing = [target[:0] for target in batch.labeled.targets]
        empty = replace(
            batch,
            labeled=replace(batch.labeled, targets=nothing, annotation_ids=[[] for _ in nothing]),
        )

        losses = parts.method.losses(empty, 3)
        losses.total().backward()

        assert torch.isfinite(losses.total())
        assert losses.sup["projection"].item() == losses.sup["pairwise"].item() == 0
        unreached = [n for n, p in parts.student.module.named_parameters() if p.grad is None]
        assert unreached == []


def test_all_training_images_are_labelled_with_boxes(tmp_path: Path):
    config = box_config(BOXINST)
    parts = box_parts(config, tmp_path)

    assert len(parts.images.labeled.images) == 8
    assert parts.images.unlabeled.images == ()
    assert all(a.mask is None for i in parts.images.labeled.images for a in i.annotations)


def test_the_host_knobs_of_the_papers_train(tmp_path: Path):
    config = box_config(
        BOXTEACHER, box_quality="iou", class_loss="varifocal", depth_layer=True, nms_threshold=1.0
    )
    parts = box_parts(config, tmp_path)
    (batch, *_) = parts.batches(0)

    losses = parts.method.losses(batch, 2)
    losses.total().backward()

    assert set(losses.sup) == {"class", "box", "iou", "projection", "pairwise"}
    assert torch.isfinite(losses.total())
