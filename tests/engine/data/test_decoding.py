"""Image files become RGB arrays, at most once while there is room, or a clear error."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from engine.data.decoding import ImageCache, read_image
from lab.datasets.coco_file import DatasetError
from lab.datasets.records import ImageRecord


def write(path: Path, height: int = 4, width: int = 6) -> ImageRecord:
    """Red on the left half, blue on the right."""
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[:, : width // 2, 0] = 255
    pixels[:, width // 2 :, 2] = 255
    Image.fromarray(pixels).save(path)
    return ImageRecord(1, path, height, width)


def test_an_image_is_read_as_rgb(tmp_path):
    image = read_image(write(tmp_path / "a.png"))

    assert image.shape == (4, 6, 3)
    assert image[0, 0].tolist() == [255, 0, 0] and image[0, 5].tolist() == [0, 0, 255]


def test_a_grey_sixteen_bit_image_becomes_eight_bit_rgb(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((4, 6), 0x8000, dtype=np.uint16))

    image = read_image(ImageRecord(1, tmp_path / "a.png", 4, 6))

    assert image.dtype == np.uint8 and image.shape == (4, 6, 3)
    assert image[0, 0].tolist() == [128, 128, 128]


@pytest.mark.parametrize(("height", "width"), [(6, 4), (4, 6)])
def test_a_photo_on_its_side_is_read_in_the_size_its_record_has(tmp_path, height, width):
    """EXIF 6 = turn a quarter: a file of 4 x 6 that viewers show as 6 x 4."""
    tags = Image.Exif()
    tags[274] = 6
    Image.new("RGB", (6, 4)).save(tmp_path / "a.jpg", exif=tags)

    assert read_image(ImageRecord(1, tmp_path / "a.jpg", height, width)).shape[:2] == (
        height,
        width,
    )


def test_a_file_of_another_size_is_named_with_both_sizes(tmp_path):
    record = write(tmp_path / "a.png")

    with pytest.raises(DatasetError, match=r"a\.png.* 4 x 6 .*says 5 x 6 of image 1"):
        read_image(ImageRecord(1, record.path, 5, 6))


def test_a_missing_an_empty_and_a_broken_file_are_named(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "broken.png").write_bytes(b"not an image")

    with pytest.raises(DatasetError, match=r"missing\.png: cannot be read: No such file"):
        read_image(ImageRecord(1, tmp_path / "missing.png", 4, 6))
    with pytest.raises(DatasetError, match=r"empty\.png: not an image"):
        read_image(ImageRecord(1, tmp_path / "empty.png", 4, 6))
    with pytest.raises(DatasetError, match=r"broken\.png: not an image"):
        read_image(ImageRecord(1, tmp_path / "broken.png", 4, 6))


def test_a_cached_image_is_not_read_again(tmp_path):
    record = write(tmp_path / "a.png")
    cache = ImageCache(limit_bytes=1000)
    first = cache.read(record)
    record.path.unlink()

    assert cache.read(record) is first


def test_the_least_recently_used_image_leaves_first(tmp_path):
    a, b, c = (write(tmp_path / f"{name}.png") for name in "abc")
    cache = ImageCache(limit_bytes=2 * 4 * 6 * 3)
    for record in (a, b, a, c):
        cache.read(record)
    for record in (a, b, c):
        record.path.unlink()

    assert len(cache) == 2
    cache.read(a), cache.read(c)
    with pytest.raises(DatasetError):
        cache.read(b)


def test_an_image_larger_than_the_cache_is_read_but_not_kept(tmp_path):
    cache = ImageCache(limit_bytes=10)

    assert cache.read(write(tmp_path / "a.png")).shape == (4, 6, 3)
    assert len(cache) == 0


def test_a_cached_image_cannot_be_changed_by_accident(tmp_path):
    image = ImageCache(limit_bytes=1000).read(write(tmp_path / "a.png"))

    with pytest.raises(ValueError, match="read-only"):
        image[0] = 0
