"""`check_coco`: every gotcha is found, explained and nothing else is claimed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lab.config import ShapesConfig
from lab.datasets.check import Report, check_coco
from lab.datasets.coco import read_coco
from lab.datasets.coco_file import DatasetError
from lab.datasets.shapes import make_shapes
from tests.lab.datasets.coco_factory import (
    annotation_entry,
    coco_tree,
    image_entry,
    write_picture,
    write_tree,
)


def check(tmp_path: Path, **lists) -> Report:
    return check_coco(*write_tree(tmp_path, coco_tree(**lists)))


def codes(report: Report) -> list[str]:
    return [issue.code for issue in report.issues]


def test_a_sound_dataset_has_no_issue(tmp_path):
    report = check(tmp_path)

    assert report.issues == () and report.usable
    assert (report.num_images, report.num_annotations, report.num_categories) == (1, 1, 1)


def test_generated_shapes_are_sound(tmp_path):
    make_shapes(ShapesConfig(num_train=60, num_val=1, image_size=96), tmp_path)
    (directory,) = tmp_path.iterdir()

    report = check_coco(directory / "train.json", directory / "train")

    assert set(codes(report)) <= {"class-without-instances", "images-without-annotations"}


NOT_FINITE = float("nan")


@pytest.mark.parametrize(
    ("change", "code", "severity"),
    [
        ({"id": 0}, "annotation-id-zero", "warning"),
        ({"id": "a"}, "bad-annotation-id", "warning"),
        ({"category_id": 8}, "unknown-category", "error"),
        ({"category_id": None}, "no-category-id", "error"),
        ({"image_id": 2}, "unknown-image", "error"),
        ({"image_id": None}, "no-image-id", "error"),
        ({"segmentation": {"size": [8, 6], "counts": [48]}}, "wrong-size-rle", "error"),
        ({"segmentation": {"size": [6, 8], "counts": [47]}}, "bad-mask", "error"),
        ({"segmentation": [[2, 1, 6, 1, 6, NOT_FINITE]]}, "bad-mask", "error"),
        ({"segmentation": [[1, 1, 3, 3]]}, "degenerate-polygon", "warning"),
        ({"segmentation": {"size": [6, 8], "counts": [48]}}, "empty-mask", "warning"),
        ({"segmentation": []}, "no-mask", "warning"),
        ({"bbox": [2, 1, 0, 2]}, "zero-area-box", "warning"),
        ({"bbox": [2, 1, 40, 2]}, "box-outside-image", "warning"),
        ({"bbox": [2, 1, 4, NOT_FINITE]}, "not-a-finite-number", "error"),
        ({"bbox": "x"}, "bad-box", "error"),
        ({"bbox": None}, "no-box", "note"),
        ({"area": 0}, "no-area", "warning"),
        ({"area": 800}, "area-disagrees", "warning"),
        ({"iscrowd": 2}, "bad-iscrowd", "error"),
        ({"iscrowd": 1}, "crowd", "note"),
        ({"ignore": 1}, "ignore-without-iscrowd", "warning"),
        ({"score": 0.5}, "score-in-truth", "warning"),
    ],
)
def test_a_fault_of_an_annotation_is_found(tmp_path, change, code, severity):
    report = check(
        tmp_path, annotations=[annotation_entry(), annotation_entry(**{"id": 2} | change)]
    )

    (issue,) = [issue for issue in report.issues if issue.code == code]
    assert (issue.severity, issue.count) == (severity, 1)
    assert issue.where.startswith("annotations[1]")
    assert issue.message.endswith((".", "?"))


def test_a_box_that_misses_its_mask_is_found(tmp_path):
    images = [image_entry(width=64, height=64)]
    entry = annotation_entry(bbox=[2, 1, 30, 2])
    path, directory = write_tree(tmp_path, coco_tree(images=images, annotations=[entry]))
    write_picture(directory / "a.png", 64, 64)

    assert codes(check_coco(path, directory)) == ["box-disagrees"]


@pytest.mark.parametrize(
    ("lists", "code"),
    [
        ({"images": [image_entry(), image_entry(file_name="b.png")]}, "duplicate-image-id"),
        ({"images": [image_entry(), image_entry(id=2)]}, "duplicate-file-name"),
        ({"images": [image_entry(), image_entry(id="x", file_name="b.png")]}, "bad-image-id"),
        ({"images": [image_entry(height=None)]}, "bad-image-size"),
        ({"images": [image_entry(), image_entry(id=2, file_name="b.png")]},
         "images-without-annotations"),
        ({"images": []}, "no-images"),
        ({"annotations": []}, "no-annotations"),
        ({"annotations": [annotation_entry(), annotation_entry()]}, "duplicate-annotation-id"),
        ({"annotations": [annotation_entry(iscrowd=1)]}, "class-with-only-crowds"),
        ({"categories": []}, "no-categories"),
        ({"categories": [{"id": 7, "name": "a"}] * 2}, "duplicate-category-id"),
        ({"categories": [{"id": 7, "name": "a"}, {"id": 8, "name": "a"}]},
         "duplicate-category-name"),
        ({"categories": [{"id": 7, "name": "a"}]}, "no-supercategory"),
        ({"categories": [{"id": "7", "name": "a"}]}, "bad-category"),
        ({"categories": [{"id": 7, "name": "a"}, {"id": 8, "name": "b"}]},
         "class-without-instances"),
    ],
)  # fmt: skip
def test_a_fault_of_a_list_is_found(tmp_path, lists, code):
    assert code in codes(check(tmp_path, **lists))


def test_findings_of_one_kind_are_counted_and_errors_come_first(tmp_path):
    faulty = [annotation_entry(id=one, category_id=8) for one in (1, 2, 3)]

    report = check(tmp_path, annotations=[annotation_entry(id=9, iscrowd=1), *faulty])

    assert codes(report)[0] == "unknown-category"
    assert report.issues[0].count == 3
    assert report.issues[0].where.startswith("annotations[1]")
    assert report.num_crowds == 1 and not report.usable


def picture_report(tmp_path: Path, **keys) -> Report:
    path, images = write_tree(tmp_path, coco_tree())
    tree = json.loads(path.read_text())
    tree["images"][0] |= keys
    path.write_text(json.dumps(tree))
    return check_coco(path, images)


def test_a_missing_image_and_one_outside_are_found(tmp_path):
    assert codes(picture_report(tmp_path, file_name="b.png")) == ["missing-image"]
    assert codes(picture_report(tmp_path, file_name="../a.png")) == ["path-escapes"]


def test_a_missing_directory_is_one_issue_and_not_one_per_image(tmp_path):
    path, _ = write_tree(tmp_path, coco_tree())

    assert codes(check_coco(path, tmp_path / "nowhere")) == ["no-images-directory"]


@pytest.mark.parametrize("content", [b"", b"no image at all"])
def test_a_file_that_is_no_image_is_found(tmp_path, content):
    path, images = write_tree(tmp_path, coco_tree())
    (images / "a.png").write_bytes(content)

    assert codes(check_coco(path, images)) == ["undecodable-image"]


def test_a_truncated_image_is_found_only_by_decoding_it(tmp_path):
    path, images = write_tree(tmp_path, coco_tree())
    noise = np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(noise).save(images / "a.png")
    whole = (images / "a.png").read_bytes()
    (images / "a.png").write_bytes(whole[: len(whole) // 2])

    assert codes(check_coco(path, images)) == ["undecodable-image"]
    assert codes(check_coco(path, images, max_decoded=0)) == []


def test_an_image_of_another_size_is_found_and_swapped_sides_are_named(tmp_path):
    path, images = write_tree(tmp_path, coco_tree())
    write_picture(images / "a.png", width=6, height=8)

    (issue,) = check_coco(path, images).issues

    assert issue.code == "wrong-image-size" and "swapped" in issue.message


def test_exif_orientation_and_unusual_pixels_are_mentioned(tmp_path):
    path, images = write_tree(tmp_path, coco_tree())
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGBA", (8, 6)).save(images / "a.png", exif=exif)

    assert codes(check_coco(path, images)) == ["exif-orientation", "unusual-image-mode"]


def test_a_photo_on_its_side_may_have_the_size_it_has_when_turned(tmp_path):
    path, images = write_tree(tmp_path, coco_tree())
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (6, 8)).save(images / "a.png", exif=exif)

    assert codes(check_coco(path, images)) == ["exif-orientation"]


@pytest.mark.parametrize("text", ["", "[]", '[{"image_id": 1, "score": 1}]', '{"images": []}'])
def test_a_file_that_is_no_dataset_is_one_error(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_text(text)

    report = check_coco(path, tmp_path)

    assert codes(report) == ["unreadable-file"] and not report.usable


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"id": 0},
        {"bbox": "x"},
        {"bbox": None},
        {"iscrowd": 2},
        {"category_id": True},
        {"image_id": 1.0},
        {"segmentation": [[1, 2, 3]]},
        {"segmentation": {"size": [6, 8], "counts": "zz"}},
        {"segmentation": {"counts": "zz"}},
        {"bbox": [0, 0, float("inf"), 1]},
        {"area": "large"},
    ],
)
def test_what_the_check_lets_pass_the_reader_reads_and_the_other_way_round(tmp_path, change):
    path, images = write_tree(tmp_path, coco_tree(annotations=[annotation_entry(**change)]))

    if check_coco(path, images).usable:
        read_coco(path, images)
    else:
        with pytest.raises(DatasetError):
            read_coco(path, images)
