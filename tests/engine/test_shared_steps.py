"""Two processes that share a batch do what one does with all of it: method by method."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from engine import ranks
from engine.build import build_parts
from engine.recorder import MemoryRecorder
from engine.trainer import Trainer
from lab.config import Mask2FormerConfig, RunConfig, parse_run_config
from lab.datasets.load import load_dataset
from tests.integration.conftest import PL_DC, SUPERVISED, tiny_config
from tests.two_ranks import on_two_ranks

QUERIES = Mask2FormerConfig(
    name="mask2former", preset="tiny", width=8, num_queries=8, num_points=64, decoder_layers=2
)
TEACHES_EARLY = PL_DC | {"burn_in_steps": 2, "class_threshold": 0.0, "mask_threshold": 0.3}
SAME: dict[str, tuple[dict[str, Any], bool]] = {
    "supervised": (SUPERVISED, False),
    "pl_dc": (TEACHES_EARLY, False),
    "boxinst": ({"name": "boxinst", "box_loss": {"warmup_steps": 0}}, False),
    "boxteacher": ({"name": "boxteacher", "warmup_steps": 0}, False),
    "pl_dc on mask2former": (TEACHES_EARLY, True),
}
OWN_MEMORY: dict[str, tuple[dict[str, Any], bool]] = {
    "boxseg": ({"name": "boxseg", "warmup_steps": 0}, False),
    "sim": ({"name": "sim", "warmup_steps": 1}, False),
}
"""Their banks of objects are each rank's own: the same weights on both, other ones than alone."""
STEPS = 4


def config_of(method: dict[str, Any], on_queries: bool) -> RunConfig:
    """SGD, because Adam's first steps go by signs: what is nearly 0 would go anywhere."""
    config = tiny_config(
        method,
        max_steps=STEPS,
        labeled_batch=4,
        unlabeled_batch=4,
        optimizer="sgd",
        learning_rate=0.01,
        clip_norm=1.0,
    )
    return config.model_copy(update={"host": QUERIES}) if on_queries else config


def train_briefly(root: Path, config: RunConfig, name: str) -> dict[str, Any]:
    """What a trainer told its recorder, and what became of the weights."""
    parts = build_parts(config, load_dataset(config.dataset, root / "datasets"), root)
    recorder = MemoryRecorder()
    trainer = Trainer(
        config=config,
        student=parts.student,
        teacher=parts.teacher,
        method=parts.method,
        optimizer=parts.optimizer,
        scaler=parts.scaler,
        recorder=recorder,
        device=parts.device,
        directory=root / name / str(ranks.share().of),
        batches=parts.batches,
        initial_weights=parts.initial_weights,
        evaluate=lambda _: math.nan,
        probe=parts.probe,
    )
    trainer.run()
    return {
        "losses": [values["loss/total"] for _, values in recorder.scalar_rows],
        "norms": [values["grad/norm"] for _, values in recorder.scalar_rows],
        "labels": sorted(
            (step, one.source, one.image_id, len(one.labels), int(one.kept.sum()))
            for step, one in recorder.label_rows
        ),
        "weights": [bytes_of(one.module) for one in (parts.student, parts.teacher)],
    }


def bytes_of(module: nn.Module) -> bytes:
    return b"".join(value.numpy().tobytes() for value in module.state_dict().values())


def train_all(root: Path, configs: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: train_briefly(root, parse_run_config(c), name) for name, c in configs.items()}


@pytest.fixture(scope="module")
def configs() -> dict[str, dict[str, Any]]:
    both = SAME | OWN_MEMORY
    return {name: config_of(*one).model_dump(mode="json") for name, one in both.items()}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared steps")


@pytest.fixture(scope="module")
def alone(root: Path, configs: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    torch.set_num_threads(1)
    return train_all(root, {name: configs[name] for name in SAME})


@pytest.fixture(scope="module")
def together(
    root: Path, configs: dict[str, dict[str, Any]], alone: dict[str, Any]
) -> list[dict[str, dict[str, Any]]]:
    """By rank. After `alone`, which has made the dataset."""
    assert alone
    return on_two_ranks(root, train_all, root, configs)


@pytest.mark.parametrize("name", SAME)
def test_losses_and_gradients_are_those_of_one_process(alone, together, name):
    one, first = alone[name], together[0][name]

    assert first["losses"] == together[1][name]["losses"], "both know the mean of both"
    np.testing.assert_allclose(first["losses"][:2], one["losses"][:2], rtol=1e-5)
    np.testing.assert_allclose(first["losses"], one["losses"], rtol=1e-3)
    np.testing.assert_allclose(first["norms"][0], one["norms"][0], rtol=1e-5)


@pytest.mark.parametrize("name", SAME)
def test_every_image_has_its_labels_from_one_rank_and_as_many_as_alone(alone, together, name):
    shared = sorted(together[0][name]["labels"] + together[1][name]["labels"])

    assert shared == alone[name]["labels"]
    if "pl_dc" in name:
        assert any(kept for *_, kept in shared), "or nothing would have been taught"


@pytest.mark.parametrize("name", SAME | OWN_MEMORY)
def test_student_and_teacher_are_the_same_on_both_ranks(together, name):
    assert together[0][name]["weights"] == together[1][name]["weights"]
    assert all(math.isfinite(loss) for loss in together[0][name]["losses"])
