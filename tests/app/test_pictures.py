"""Encoded images: small enough, made once, never of a file that is no image."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.pictures import PictureError, Pictures


def paint(path: Path, width: int, height: int, mode: str = "RGB") -> Path:
    Image.new(mode, (width, height), 100 if mode == "L" else None).save(path)
    return path


def size_of(body: bytes) -> tuple[int, int]:
    return Image.open(BytesIO(body)).size


def test_a_large_image_shrinks_to_the_side(tmp_path: Path) -> None:
    picture = Pictures().picture(paint(tmp_path / "a.png", 400, 200), 100)

    assert size_of(picture.body) == (100, 50)


def test_a_small_image_stays_as_it_is(tmp_path: Path) -> None:
    picture = Pictures().picture(paint(tmp_path / "a.png", 40, 20), 100)

    assert size_of(picture.body) == (40, 20)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1"])
def test_every_mode_becomes_a_jpeg(tmp_path: Path, mode: str) -> None:
    picture = Pictures().picture(paint(tmp_path / "a.tiff", 8, 8, mode), 8)

    assert picture.body.startswith(b"\xff\xd8")


def test_the_orientation_tag_is_ignored_as_masks_ignore_it(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn me by 90 degrees"
    Image.new("RGB", (40, 20)).save(tmp_path / "a.jpg", exif=exif)

    assert size_of(Pictures().picture(tmp_path / "a.jpg", 100).body) == (40, 20)


def test_it_is_made_once_and_again_when_the_file_changes(tmp_path: Path) -> None:
    pictures = Pictures()
    path = paint(tmp_path / "a.png", 8, 8)
    first = pictures.picture(path, 8)
    assert pictures.picture(path, 8) is first

    Image.fromarray(np.full((8, 8, 3), 200, np.uint8)).save(path)
    assert pictures.picture(path, 8).tag != first.tag


def test_the_cache_stays_within_its_bytes(tmp_path: Path) -> None:
    pictures = Pictures(max_bytes=1)
    paths = [paint(tmp_path / f"{i}.png", 8, 8) for i in range(3)]
    for path in paths:
        pictures.picture(path, 8)

    assert len(pictures) == 1


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_what_is_no_image_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "broken.png"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(PictureError, match=r"broken\.png"):
        Pictures().picture(path, 8)
