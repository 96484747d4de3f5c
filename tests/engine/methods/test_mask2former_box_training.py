"""Box-supervised runs on mask2former, BoxSeg-T among them: no mask is seen, and they resume."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.box_host import BoxHost
from engine.checkpoint import checkpoint_path, load_checkpoint
from engine.losses.box_mask import projection_loss
from engine.losses.box_supervision import sampled_boxes
from lab.config import Mask2FormerConfig, RunConfig
from lab.datasets.load import load_dataset
from tests.engine.methods.box_hosts import box_config, box_parts, trainer_of
from tests.engine.methods.test_box_training import BIG_TEACHER, BOXINST, BOXSEG, BOXTEACHER
from tests.guarded import guarded

HOST = Mask2FormerConfig(
    name="mask2former", preset="tiny", width=8, num_queries=12, decoder_layers=2, score_floor=0.0
)
BPMA = {**BOXSEG, "ranking": "bpma", "qmf": False, "mqs": False, "min_box_iou": 0.0}
METHODS = pytest.mark.parametrize(
    "method", [BOXINST, BIG_TEACHER, BOXSEG], ids=["boxinst", "big-teacher", "boxseg-t"]
)


def query_config(method: dict[str, Any]) -> RunConfig:
    return box_config(method).model_copy(update={"host": HOST})


@METHODS
def test_a_run_never_looks_at_a_mask_and_resumes_to_the_bit(tmp_path: Path, method: dict[str, Any]):
    """Four steps of the real trainer on masks that cannot be read; then the last two again."""
    config = query_config(method)
    data = load_dataset(config.dataset, tmp_path / "datasets")
    unseen = replace(data, train=guarded(data.train))
    unbroken, told = trainer_of(box_parts(config, tmp_path, unseen), tmp_path)
    unbroken.run()
    resumed, told_again = trainer_of(box_parts(config, tmp_path, unseen), tmp_path)
    resumed.restore(load_checkpoint(checkpoint_path(unbroken.directory, 2)))

    resumed.run()

    losses = {step: row["loss/total"] for step, row in told.scalar_rows}
    assert sorted(losses) == [0, 1, 2, 3] and all(map(math.isfinite, losses.values()))
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


def test_every_mask_of_boxseg_t_is_fused_from_queries_of_its_class(tmp_path: Path):
    config = query_config({**BOXSEG, "min_box_iou": 0.0, "adaptive_k": False})
    parts = box_parts(config, tmp_path)
    trainer, recorder = trainer_of(parts, tmp_path)

    trainer.run()

    rows = [labels for _, labels in recorder.label_rows]
    assert sum(map(len, rows)) > 0
    for labels in rows:
        scores = labels.box_scores
        assert scores is not None
        assert (labels.labels_before == labels.labels).all(), "a candidate has the target's class"
        assert (scores.num_effective >= 1).all() and (scores.num_effective <= 10).all()
        assert scores.mask_score == pytest.approx(
            (scores.box_score * scores.pixel_score) ** 0.5, abs=1e-6
        )


@pytest.mark.parametrize("method", [BOXINST, BOXTEACHER, BOXSEG, BPMA])
def test_images_without_objects_train_too(tmp_path: Path, method: dict[str, Any]):
    parts = box_parts(query_config(method), tmp_path)
    (batch, *_) = parts.batches(0)
    nothing = [target[:0] for target in batch.labeled.targets]
    empty = replace(
        batch, labeled=replace(batch.labeled, targets=nothing, annotation_ids=[[] for _ in nothing])
    )

    losses = parts.method.losses(empty, 3)
    losses.total().backward()

    assert set(losses.sup) == {"class", "aux", "projection", "pairwise"}
    assert losses.sup["projection"].item() == losses.sup["pairwise"].item() == 0
    assert all(term.item() == 0 for term in losses.unsup.values())
    unreached = [n for n, p in parts.student.module.named_parameters() if p.grad is None]
    assert unreached == []


@pytest.mark.parametrize("method", [BOXINST, BOXTEACHER, {**BOXSEG, "peers": {"enabled": False}}])
def test_every_layer_is_taught_as_much_as_an_only_one(tmp_path: Path, method: dict[str, Any]):
    """The projection loss is a sum over layers of means over their samples."""
    parts = box_parts(query_config(method), tmp_path)
    (batch, *_) = parts.batches(0)
    images, targets = batch.labeled.strong, batch.labeled.targets
    student = parts.student
    assert isinstance(student, BoxHost)

    loss = parts.method.losses(batch, 3).sup["projection"]

    taught = student.teach_boxes(images, targets)
    inside = sampled_boxes(taught.samples, targets, student.mask_stride)
    layers = projection_loss(taught.samples.logits.sigmoid(), inside).view(taught.layers, -1)
    assert taught.layers == 3
    assert loss.item() == pytest.approx(layers.mean(dim=1).sum().item(), rel=1e-4)
