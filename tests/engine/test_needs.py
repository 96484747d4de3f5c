"""What a run will need is asked for before its first step, in one sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from engine.checkpoint import CheckpointError
from engine.needs import refuse_missing_masks
from engine.trainer import load_network
from lab.config import parse_run_config
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
