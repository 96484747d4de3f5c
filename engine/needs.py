"""What a run will ask of its datasets, asked before its first step."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from engine.build import TrainingImages
from engine.data.views import has_masks
from lab.config import BoxMethodConfig, RunConfig, ScheduleConfig, SimConfig, SplitConfig
from lab.datasets.coco_file import DatasetError
from lab.datasets.load import LoadedData

log = logging.getLogger("seglab")


def refuse_missing_masks(config: RunConfig, data: LoadedData) -> None:
    """Training from masks and every evaluation need them.

    Raises:
        DatasetError: naming the dataset, the key and what to do.
    """
    if not has_masks(data.val):
        raise DatasetError(
            f"dataset {data.val.name} (dataset.val_json): its annotations have no masks, and AP is "
            "that of masks; give it masks, at least a few images' worth"
        )
    from_boxes = isinstance(config.method, BoxMethodConfig)
    if not from_boxes and not has_masks(TrainingImages.of(config, data).labeled):
        raise DatasetError(
            f"dataset {data.train.name} (dataset.train_json): its annotations have no masks, and "
            f"method {config.method.name} learns from masks; boxinst, boxteacher, boxseg, "
            "pseudo_depth and sim learn from boxes"
        )


def warn_of_nothing(config: RunConfig, data: LoadedData) -> None:
    """Say in the log what of the run will come to nothing, though it trains."""
    for sentence in (*_idle_keys(config), *_without_objects(config, data)):
        log.warning("%s", sentence)


def _idle_keys(config: RunConfig) -> Iterator[str]:
    """Keys that somebody has set and that the method does not read."""
    if not isinstance(config.method, BoxMethodConfig):
        return
    name, last = config.method.name, config.schedule.max_steps
    without = "has no effect: method"
    share, batch = config.split.labeled_fraction, config.schedule.unlabeled_batch
    if share not in (1.0, SplitConfig().labeled_fraction):
        yield f"split.labeled_fraction = {share:g} {without} {name} sees the boxes of all images"
    if batch not in (0, ScheduleConfig().unlabeled_batch):
        yield f"schedule.unlabeled_batch = {batch} {without} {name} has no unlabelled images"
    if isinstance(config.method, SimConfig) and config.method.warmup_steps >= last:
        yield (
            f"method.warmup_steps = {config.method.warmup_steps} leaves no step of "
            f"schedule.max_steps = {last}: this run trains with BoxInst's losses alone"
        )


def _without_objects(config: RunConfig, data: LoadedData) -> Iterator[str]:
    labeled = TrainingImages.of(config, data).labeled
    things = (one for image in labeled.images for one in image.annotations if not one.is_crowd)
    if next(things, None) is None:
        yield (
            f"dataset {data.train.name}: none of its {len(labeled.images)} labelled training "
            "images has an object: nothing can be learnt; `seglab data check` says more"
        )
