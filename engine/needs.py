"""What a run will ask of its datasets, asked before its first step."""

from __future__ import annotations

from engine.build import TrainingImages
from engine.data.views import has_masks
from lab.config import BoxMethodConfig, RunConfig
from lab.datasets.coco_file import DatasetError
from lab.datasets.load import LoadedData


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
