"""What the Data page says a run learns from is what the engine gives it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.build import TrainingImages
from lab.config import RunConfig, parse_run_config
from lab.datasets.load import LoadedData
from lab.datasets.parts import training_parts
from lab.datasets.records import Dataset
from tests.factories import painted_dataset

METHODS = (("supervised", "unused"), ("pl_dc", "hidden"), ("boxinst", "unused"))


def config_of(
    method: str, train: str, unlabeled: str | None = None, labeled_fraction: float = 0.4
) -> RunConfig:
    named = {"train_json": "t.json", "train_images": train, "val_json": "v.json"}
    extra = {"unlabeled_json": "u.json", "unlabeled_images": unlabeled} if unlabeled else {}
    dataset = {"source": "coco", "val_images": "val", **named, **extra}
    method_tree = {"name": method} | ({"burn_in_steps": 0} if method == "pl_dc" else {})
    split = {"labeled_fraction": labeled_fraction, "seed": 3}
    return parse_run_config({"dataset": dataset, "split": split, "method": method_tree})


def pictures(directory: Path) -> tuple[Dataset, Dataset]:
    """Ten images with truth, and three more without."""
    train = painted_dataset(directory / "train", "t", 10, 48, 1)
    more = painted_dataset(directory / "more", "u", 3, 48, 2)
    renumbered = [replace(one, image_id=100 + one.image_id) for one in more.images]
    return train, more.with_images([one.without_annotations() for one in renumbered])


def ids(dataset: Dataset) -> list[int]:
    return [one.image_id for one in dataset.images]


@pytest.mark.parametrize(("method", "use"), METHODS)
def test_the_parts_are_those_of_the_engine(method: str, use: str, tmp_path: Path) -> None:
    train, more = pictures(tmp_path)
    config = config_of(method, str(tmp_path / "train"), str(tmp_path / "more"))
    everything = train.with_images([*train.images, *more.images])

    labeled, unlabeled = training_parts(config, everything)

    made = TrainingImages.of(config, LoadedData(train, train, more))
    assert ids(labeled.dataset) == ids(made.labeled)
    assert labeled.use == ("boxes" if method == "boxinst" else "masks")
    assert (unlabeled.use, unlabeled.never_annotated) == (use, 3)
    # A box-supervised run takes no images without boxes, and the engine gives it none.
    expected = ids(more) if method == "boxinst" else ids(made.unlabeled)
    assert ids(unlabeled.dataset) == expected


def test_images_of_one_directory_cannot_be_told_apart(tmp_path: Path) -> None:
    train, _ = pictures(tmp_path)
    config = config_of("pl_dc", str(tmp_path / "train"), str(tmp_path / "train"))

    (part,) = training_parts(config, train)

    assert (part.name, part.use, ids(part.dataset)) == ("train", "unknown", ids(train))


def test_a_directory_inside_the_other_still_tells(tmp_path: Path) -> None:
    train, more = pictures(tmp_path)
    config = config_of("pl_dc", str(tmp_path), str(tmp_path / "more"))

    parts = training_parts(config, train.with_images([*train.images, *more.images]))

    assert parts[1].never_annotated == 3
    assert set(ids(more)) <= set(ids(parts[1].dataset))


def test_a_dataset_without_images_has_one_part(tmp_path: Path) -> None:
    train, _ = pictures(tmp_path)

    (part,) = training_parts(config_of("pl_dc", "t"), train.with_images(()))

    assert part.dataset.images == ()


@pytest.mark.parametrize(("fraction", "wanted"), [(0.4, "unlabeled"), (1.0, "labeled")])
def test_probe_images_are_training_images(fraction: float, wanted: str, tmp_path: Path) -> None:
    train, _ = pictures(tmp_path)
    config = config_of("supervised", "t", labeled_fraction=fraction)

    made = TrainingImages.of(config, LoadedData(train, train, train.with_images(())))

    assert ids(made.probes(4)) == ids(getattr(made, wanted))[:4]
