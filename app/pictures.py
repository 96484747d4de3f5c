"""Images over HTTP: JPEGs no larger than asked for, made once and kept in memory."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from threading import Lock

from PIL import Image, ImageOps

JPEG_QUALITY = 88
MAX_SIDE = 4_096


class PictureError(ValueError):
    """An image that cannot be shown; the message names the file and the reason."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded image and a tag that changes with its content."""

    body: bytes
    tag: str


class Pictures:
    """A cache of encoded images, least recently used out first."""

    def __init__(self, max_bytes: int = 256 * 2**20) -> None:
        self.max_bytes = max_bytes
        self._kept: OrderedDict[tuple[Path, int, int], Picture] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def picture(self, path: Path, side: int) -> Picture:
        """The image with its longest side at most `side` pixels, as JPEG.

        Raises:
            PictureError: the file is gone or is no image.
        """
        key = (path, modified(path), min(side, MAX_SIDE))
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = encode(path, key[2])
        with self._lock:
            self._keep(key, made)
        return made

    def __len__(self) -> int:
        return len(self._kept)

    def _keep(self, key: tuple[Path, int, int], made: Picture) -> None:
        if key not in self._kept:
            self._kept[key] = made
            self._bytes += len(made.body)
        while self._bytes > self.max_bytes and len(self._kept) > 1:
            _, old = self._kept.popitem(last=False)
            self._bytes -= len(old.body)


def modified(path: Path) -> int:
    """Modification time in nanoseconds: part of what makes a cached picture still right."""
    try:
        return path.stat().st_mtime_ns
    except OSError as error:
        raise PictureError(f"{path}: {error.strerror}") from None


def encode(path: Path, side: int) -> Picture:
    """Read, shrink, encode. Stored orientation is left alone: masks are in stored pixels."""
    try:
        with Image.open(path) as opened:
            opened.draft("RGB", (side, side))
            image = ImageOps.contain(opened, (side, side)) if max(opened.size) > side else opened
            buffer = BytesIO()
            image.convert("RGB").save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise PictureError(f"{path}: cannot be shown: {error}") from None
    body = buffer.getvalue()
    return Picture(body, f'"{blake2b(body, digest_size=12).hexdigest()}"')
