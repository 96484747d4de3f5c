"""What a run will need is asked for before its first step, in one sentence."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from engine.checkpoint import CheckpointError
from engine.models.condinst import CondInst
from engine.needs import refuse_missing_masks, warn_of_nothing
from engine.process import log_alone, log_to
from engine.trainer import load_network
from lab.config import CondInstConfig, parse_run_config
from lab.datasets.coco_file import DatasetError
from lab.datasets.load import LoadedData
from lab.datasets.records import Dataset
from lab.datasets.weaken import boxes_only
from tests.factories import painted_dataset

SUPERVISED = parse_run_config(
    {"method": {"name": "supervised"}, "split": {"labeled_fraction": 1.0}}
)
BOXES = parse_run_config({"method": {"name": "boxinst"}})


@pytest.fixture
def images(tmp_path: Path) -> Dataset:
    return painted_dataset(tmp_path / "pictures", "painted", 4, 64, 0)


def data(train: Dataset, val: Dataset) -> LoadedData:
    return LoadedData(train, val, train.with_images(()))


def test_masks_that_are_there_are_enough(images: Dataset):
    refuse_missing_masks(SUPERVISED, data(images, images))
    refuse_missing_masks(BOXES, data(boxes_only(images), images))


def test_no_validation_images_need_no_masks(images: Dataset):
    refuse_missing_masks(SUPERVISED, data(images, images.with_images(())))


@pytest.mark.parametrize("config", [SUPERVISED, BOXES])
def test_validation_images_without_masks_are_refused(config, images: Dataset):
    with pytest.raises(DatasetError, match=r"painted \(dataset.val_json\).*no masks"):
        refuse_missing_masks(config, data(images, boxes_only(images)))


def test_a_method_that_learns_from_masks_is_not_trained_without(images: Dataset):
    with pytest.raises(DatasetError, match=r"dataset.train_json.*supervised learns from masks"):
        refuse_missing_masks(SUPERVISED, data(boxes_only(images), images))


def test_half_of_the_masks_are_refused(images: Dataset):
    half = images.with_images([*images.images[:2], *boxes_only(images).images[2:]])

    with pytest.raises(DatasetError, match="give all of them masks, or none"):
        refuse_missing_masks(SUPERVISED, data(replace(half, name="half"), images))
    refuse_missing_masks(BOXES, data(half, images))


def test_weights_of_another_network_are_one_sentence():
    with pytest.raises(CheckpointError, match=r"step 7: its weights are of another network.*host"):
        load_network(nn.Linear(2, 3), {"weight": torch.zeros(4, 2), "bias": torch.zeros(4)}, 7)


def warnings(caplog: pytest.LogCaptureFixture, config: dict[str, object], data: LoadedData) -> str:
    caplog.clear()
    with caplog.at_level(logging.WARNING, "seglab"):
        warn_of_nothing(parse_run_config(config), data)
    return caplog.text


def test_keys_that_a_box_method_does_not_read_are_told(images: Dataset, caplog):
    boxed = {"method": {"name": "boxinst"}, "split": {"labeled_fraction": 0.5}}
    plain = {"method": {"name": "boxinst"}, "split": {"labeled_fraction": 1.0}}
    batch = {"method": {"name": "boxinst"}, "schedule": {"unlabeled_batch": 2}}
    semi = {"method": {"name": "supervised"}, "split": {"labeled_fraction": 0.5}}

    assert "split.labeled_fraction = 0.5 has no effect" in warnings(
        caplog, boxed, data(images, images)
    )
    assert "schedule.unlabeled_batch = 2 has no effect" in warnings(
        caplog, batch, data(images, images)
    )
    assert warnings(caplog, plain, data(images, images)) == ""
    assert warnings(caplog, semi, data(images, images)) == ""


@pytest.mark.parametrize(("warmup", "is_told"), [(99, False), (100, True)])
def test_a_warm_up_as_long_as_the_run_is_told(images: Dataset, caplog, warmup: int, is_told: bool):
    config = {
        "method": {"name": "sim", "warmup_steps": warmup},
        "schedule": {"max_steps": 100},
    }

    said = warnings(caplog, config, data(images, images))

    assert ("method.warmup_steps = 100 leaves no step" in said) == is_told


def test_images_without_any_object_are_told(images: Dataset, caplog):
    bare = images.with_images([replace(image, annotations=()) for image in images.images])

    said = warnings(caplog, SUPERVISED.model_dump(mode="json"), data(bare, images))

    assert "dataset painted: none of its 4 labelled training images has an object" in said


def test_missing_weights_are_named_by_their_key(tmp_path: Path):
    config = CondInstConfig(preset="tiny", backbone_weights=str(tmp_path / "none.pth"))

    with pytest.raises(
        CheckpointError, match=r"host\.backbone_weights = '.*none\.pth': .*none\.pth"
    ):
        CondInst(config, 3)


def test_an_error_that_the_terminal_is_told_elsewhere_is_in_the_log_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    log = logging.getLogger("seglab")
    before = log.handlers[:], log.propagate, log.level
    try:
        log_to(tmp_path / "log.txt")
        log_alone(DatasetError("no images"))
        log.error("something else")
    finally:
        log.handlers[:], log.propagate = before[:2]
        log.setLevel(before[2])

    assert "ERROR no images" in (tmp_path / "log.txt").read_text(encoding="utf-8")
    assert capsys.readouterr().err == "something else\n"
