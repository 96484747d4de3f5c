"""Reading and writing COCO: the right answer, or an error that names the place."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from lab.datasets import rle
from lab.datasets.coco import read_coco, read_images, write_coco
from lab.datasets.coco_file import DatasetError
from lab.datasets.records import Annotation, Category, Dataset, ImageRecord
from tests.lab.datasets.coco_factory import annotation_entry, coco_tree, image_entry, write_tree

SQUARE = np.zeros((6, 8), dtype=bool)
SQUARE[1:3, 2:6] = True


def read(tmp_path: Path, **lists):
    return read_coco(*write_tree(tmp_path, coco_tree(**lists)))


def only_annotation(dataset: Dataset) -> Annotation:
    (annotation,) = dataset.images[0].annotations
    return annotation


def test_boxes_become_corners_and_labels_contiguous(tmp_path):
    annotation = only_annotation(read(tmp_path))

    assert annotation.box == (2, 1, 6, 3)
    assert annotation.label == 0 and annotation.area == 8


def test_labels_follow_the_order_of_the_categories_not_their_ids(tmp_path):
    categories = [{"id": 90, "name": "dog"}, {"id": 7, "name": "cat", "supercategory": "pet"}]

    dataset = read(tmp_path, categories=categories)

    assert dataset.categories == (Category(90, "dog", "dog"), Category(7, "cat", "pet"))
    assert only_annotation(dataset).label == 1


@pytest.mark.parametrize(
    "segmentation",
    [
        [[2, 1, 6, 1, 6, 3, 2, 3]],
        {"size": [6, 8], "counts": [13, 2, 4, 2, 4, 2, 4, 2, 15]},
        {"size": [6, 8], "counts": rle.encode(SQUARE).counts.decode()},
    ],
    ids=["polygon", "uncompressed", "compressed"],
)
def test_every_spelling_of_a_mask_gives_the_same_pixels(tmp_path, segmentation):
    mask = only_annotation(
        read(tmp_path, annotations=[annotation_entry(segmentation=segmentation)])
    ).mask

    assert mask is not None
    np.testing.assert_array_equal(rle.decode(mask), SQUARE)


@pytest.mark.parametrize("segmentation", [None, []])
def test_an_annotation_without_segmentation_is_a_box(tmp_path, segmentation):
    entry = annotation_entry(segmentation=segmentation)
    del entry["area"]

    annotation = only_annotation(read(tmp_path, annotations=[entry]))

    assert annotation.mask is None and annotation.area == 8


def test_crowds_are_kept_as_crowds(tmp_path):
    assert only_annotation(read(tmp_path, annotations=[annotation_entry(iscrowd=1)])).is_crowd


def test_boxes_are_cut_to_the_image(tmp_path):
    dataset = read(tmp_path, annotations=[annotation_entry(bbox=[-3, 2, 100, 100])])

    assert only_annotation(dataset).box == (0, 2, 8, 6)


@pytest.mark.parametrize(
    "change",
    [
        {"bbox": [2, 1, 0.5, 2]},
        {"bbox": [7.5, 1, 4, 2]},
        {"bbox": [-9, -9, 4, 4]},
        {"segmentation": [[1, 1, 3, 3]]},
        {"segmentation": {"size": [6, 8], "counts": [48]}},
    ],
)
def test_what_has_less_than_a_pixel_is_left_out(tmp_path, change):
    assert read(tmp_path, annotations=[annotation_entry(**change)]).images[0].annotations == ()


@pytest.mark.parametrize("ids", [(0, 1), (5, 5), (3, None), (-1, 2)])
def test_ids_that_evaluation_would_trip_over_are_renumbered_from_one(tmp_path, ids):
    dataset = read(tmp_path, annotations=[annotation_entry(id=one) for one in ids])

    assert [a.annotation_id for a in dataset.images[0].annotations] == [1, 2]


def test_good_ids_stay(tmp_path):
    dataset = read(tmp_path, annotations=[annotation_entry(id=one) for one in (900, 4)])

    assert [a.annotation_id for a in dataset.images[0].annotations] == [900, 4]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"category_id": 8}, r"annotations\[0\].category_id = 8: no category"),
        ({"image_id": 2}, r"annotations\[0\].image_id = 2: no image"),
        ({"image_id": "1"}, r"annotations\[0\].image_id = '1'"),
        ({"bbox": [1, 2, 3]}, r"annotations\[0\].bbox = \[1, 2, 3\]"),
        ({"bbox": [1, 2, float("nan"), 3]}, r"annotations\[0\].bbox = \[1, 2, nan, 3\]"),
        ({"iscrowd": 2}, r"annotations\[0\].iscrowd = 2: expected 0 or 1"),
        ({"segmentation": [2, 1, 6, 1]}, r"annotations\[0\].segmentation.*list of polygons"),
        ({"segmentation": "x"}, r"annotations\[0\].segmentation = 'x'"),
        ({"segmentation": {"size": [8, 6], "counts": [48]}}, r"size \[8, 6\] .*\[6, 8\]"),
        ({"segmentation": {"size": [6, 8], "counts": [3]}}, "add up to 3 pixels"),
        ({"segmentation": {"size": [6, 8], "counts": None}}, "counts are None"),
    ],
)
def test_an_annotation_that_cannot_be_used_is_named(tmp_path, change, told):
    with pytest.raises(DatasetError, match=rf"instances\.json: .*{told}"):
        read(tmp_path, annotations=[annotation_entry(**change)])


@pytest.mark.parametrize(
    ("lists", "told"),
    [
        ({"images": [image_entry(), image_entry()]}, r"images\[1\].id = 1: .*before"),
        ({"images": [image_entry(id="x")]}, r"images\[0\].id = 'x'"),
        ({"images": [image_entry(height=0)]}, r"images\[0\].height = 0"),
        ({"images": [image_entry(file_name="../a.png")]}, "leads out of the images directory"),
        ({"categories": [{"id": 7, "name": ""}]}, r"categories\[0\].name = ''"),
        ({"categories": [{"id": 7, "name": "a"}] * 2}, r"categories\[1\].id = 7: .*before"),
        ({"categories": ["cat"]}, r"categories\[0\] = 'cat': expected an object"),
        ({"annotations": {}}, "annotations = {}: expected a list"),
    ],
)
def test_a_list_that_cannot_be_used_is_named(tmp_path, lists, told):
    with pytest.raises(DatasetError, match=told):
        read(tmp_path, **lists)


@pytest.mark.parametrize("name", ["/etc/passwd", "a/../../b.png", "..\\b.png", "C:\\b.png", "."])
def test_file_names_cannot_leave_the_images_directory(tmp_path, name):
    path, images = write_tree(tmp_path, coco_tree())
    path.write_text(path.read_text().replace('"a.png"', repr(name).replace("'", '"')))

    with pytest.raises(DatasetError, match="leads out"):
        read_coco(path, images)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not valid json"),
        ('{"images": [', "not valid json"),
        ("3", "expected a COCO object"),
        ("{}", "has no key 'images'"),
        ('[{"image_id": 1, "score": 0.5}]', "list of results"),
        ("[]", "is a list"),
    ],
)
def test_a_file_that_is_no_dataset_says_so(tmp_path, text, told):
    path = tmp_path / "x.json"
    path.write_text(text)

    with pytest.raises(DatasetError, match=told):
        read_coco(path, tmp_path)


def test_missing_images_are_noticed_before_training(tmp_path):
    path, images = write_tree(tmp_path, coco_tree())
    (images / "a.png").unlink()

    with pytest.raises(DatasetError, match=r"1 of 1 image files do not exist, first .*a\.png"):
        read_coco(path, images)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"nowhere.json: cannot be read: No such file"):
        read_coco(tmp_path / "nowhere.json", tmp_path)


def test_a_list_of_images_alone_is_enough_for_unlabelled_data(tmp_path):
    path, images = write_tree(tmp_path, {"images": [image_entry()]})

    (image,) = read_images(path, images)

    assert image == ImageRecord(1, images / "a.png", 6, 8)


def test_what_is_written_is_read_again(tmp_path):
    first = read_coco(*write_tree(tmp_path, coco_tree()))

    write_coco(first, tmp_path / "again.json", tmp_path / "images")

    assert read_coco(tmp_path / "again.json", tmp_path / "images", first.name) == first


def test_without_a_directory_names_are_relative_to_the_deepest_common_one(tmp_path):
    dataset = read_coco(*write_tree(tmp_path, coco_tree()))

    write_coco(dataset, tmp_path / "again.json")

    assert '"file_name":"a.png"' in (tmp_path / "again.json").read_text()


def test_images_outside_the_directory_are_refused_when_writing(tmp_path):
    dataset = read_coco(*write_tree(tmp_path, coco_tree()))

    with pytest.raises(DatasetError, match="outside the images directory"):
        write_coco(dataset, tmp_path / "again.json", tmp_path / "elsewhere")


DATA = Path(os.environ.get("SEGLAB_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))


@pytest.mark.skipif(not DATA.is_dir(), reason="no real datasets here (SEGLAB_TEST_DATA)")
@pytest.mark.parametrize(
    ("name", "images", "annotations", "crowds"),
    [
        ("coco_multi", 146, 1469, 16),
        ("coco_person", 157, 157, 0),
        ("nuclei_fluo256", 101, 2967, 0),
    ],
)
def test_real_files_are_read_completely_and_agree_with_themselves(
    name, images, annotations, crowds
):
    dataset = read_coco(DATA / name / "instances_train.json", DATA / name / "images")
    found = [a for image in dataset.images for a in image.annotations]

    assert (len(dataset.images), len(found)) == (images, annotations)
    assert sum(a.is_crowd for a in found) == crowds
    for one in found:
        assert one.mask is not None
        assert np.abs(np.subtract(rle.tight_box(one.mask), one.box)).max() <= 1
