"""From a config to its images."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab.config import CocoConfig, ShapesConfig
from lab.datasets.coco_file import DatasetError
from lab.datasets.load import class_frequencies, load_dataset
from tests.lab.datasets.coco_factory import annotation_entry, coco_tree, image_entry, write_tree


def coco_config(tmp_path: Path, val: object = None, **more: Path) -> CocoConfig:
    (tmp_path / "train").mkdir()
    (tmp_path / "val").mkdir()
    train_json, train_images = write_tree(tmp_path / "train", coco_tree())
    val_json, val_images = write_tree(tmp_path / "val", val or coco_tree())
    return CocoConfig(
        source="coco",
        train_json=train_json,
        train_images=train_images,
        val_json=val_json,
        val_images=val_images,
        **more,
    )


def unlabeled(tmp_path: Path, image_id: int) -> dict[str, Path]:
    tmp_path.mkdir()
    path, images = write_tree(tmp_path, {"images": [image_entry(id=image_id)]})
    return {"unlabeled_json": path, "unlabeled_images": images}


def test_shapes_are_generated_where_they_are_missing(tmp_path):
    config = ShapesConfig(num_train=3, num_val=2, image_size=64)

    data = load_dataset(config, tmp_path)

    assert [len(part.images) for part in (data.train, data.val, data.extra_unlabeled)] == [3, 2, 0]
    assert data.train.categories == data.val.categories == data.extra_unlabeled.categories
    assert all(image.depth_path is not None for image in data.train.images)


def test_a_coco_dataset_is_read_from_its_files(tmp_path):
    data = load_dataset(coco_config(tmp_path), tmp_path)

    assert [len(part.images) for part in (data.train, data.val, data.extra_unlabeled)] == [1, 1, 0]


def test_more_unlabelled_images_come_without_truth(tmp_path):
    config = coco_config(tmp_path, **unlabeled(tmp_path / "more", image_id=2))

    extra = load_dataset(config, tmp_path).extra_unlabeled

    assert [image.image_id for image in extra.images] == [2]
    assert extra.images[0].annotations == ()


def test_an_unlabelled_image_may_not_have_the_id_of_a_training_image(tmp_path):
    config = coco_config(tmp_path, **unlabeled(tmp_path / "more", image_id=1))

    with pytest.raises(DatasetError, match="image id 1"):
        load_dataset(config, tmp_path)


def test_unlabelled_images_need_a_directory(tmp_path):
    more = unlabeled(tmp_path / "more", image_id=2)["unlabeled_json"]

    with pytest.raises(DatasetError, match="unlabeled_images"):
        load_dataset(coco_config(tmp_path, unlabeled_json=more), tmp_path)


def test_training_and_validation_must_mean_the_same_by_a_label(tmp_path):
    other = json.loads(json.dumps(coco_tree(annotations=[annotation_entry(category_id=3)])))
    other["categories"] = [{"id": 3, "name": "dog"}]

    with pytest.raises(DatasetError, match="categories are not those of"):
        load_dataset(coco_config(tmp_path, val=other), tmp_path)


def test_frequencies_count_instances_but_no_crowds(tmp_path):
    tree = coco_tree(
        categories=[{"id": 7, "name": "cat"}, {"id": 9, "name": "dog"}],
        annotations=[annotation_entry(id=1), annotation_entry(id=2, iscrowd=1)],
    )
    config = coco_config(tmp_path, val=tree)
    Path(config.train_json).write_text(json.dumps(tree))

    assert class_frequencies(load_dataset(config, tmp_path).train).tolist() == [1, 0]


def test_depth_maps_of_the_training_images_are_found(tmp_path):
    config = coco_config(tmp_path)
    name = load_dataset(config, tmp_path).train.images[0].path.stem
    (tmp_path / "depth").mkdir()
    (tmp_path / "depth" / f"{name}.png").touch()

    data = load_dataset(config.model_copy(update={"train_depth": tmp_path / "depth"}), tmp_path)

    assert data.train.images[0].depth_path == tmp_path / "depth" / f"{name}.png"
    assert data.val.images[0].depth_path is None
