"""Image files to arrays, kept in memory as long as there is room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.data.geometry import ImageArray
from lab.datasets.coco_file import DatasetError
from lab.datasets.records import ImageRecord

Array = TypeVar("Array", bound=NDArray[Any])


def read_image(record: ImageRecord) -> ImageArray:
    """(H, W, 3) RGB of a record's file.

    A photo that its EXIF tag turns on its side is turned, unless the record has the size of the
    file as it lies: then its annotations were drawn on that.

    Raises:
        DatasetError: when the file is missing, is no image, or has another size than the record.
    """
    try:
        content = np.frombuffer(record.path.read_bytes(), dtype=np.uint8)
    except OSError as error:
        raise DatasetError(f"{record.path}: cannot be read: {error.strerror}") from None
    image = _decode(content, cv2.IMREAD_COLOR, record.path)
    if image.shape[:2] != (record.height, record.width):
        image = _decode(content, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION, record.path)
    if image.shape[:2] != (record.height, record.width):
        raise DatasetError(
            f"{record.path}: the image is {image.shape[0]} x {image.shape[1]} (height x width), "
            f"the dataset says {record.height} x {record.width} of image {record.image_id}"
        )
    return image


class ArrayCache(Generic[Array]):
    """Decoded files, the least recently used leaving first. Arrays are shared: do not change."""

    def __init__(self, limit_bytes: int, decode: Callable[[ImageRecord], Array]) -> None:
        self._limit = limit_bytes
        self._decode = decode
        self._used = 0
        self._images: OrderedDict[Path, Array] = OrderedDict()

    def read(self, record: ImageRecord) -> Array:
        """What belongs to a record, decoded at most once while there is room.

        Raises: DatasetError.
        """
        image = self._images.get(record.path)
        if image is None:
            image = self._decode(record)
            self._keep(record.path, image)
        else:
            self._images.move_to_end(record.path)
        return image

    def __len__(self) -> int:
        return len(self._images)

    def _keep(self, path: Path, image: Array) -> None:
        image.flags.writeable = False
        self._images[path] = image
        self._used += image.nbytes
        while self._used > self._limit:
            _, oldest = self._images.popitem(last=False)
            self._used -= oldest.nbytes


class ImageCache(ArrayCache[ImageArray]):
    """Decoded images."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(limit_bytes, read_image)


def _decode(content: ImageArray, flags: int, path: Path) -> ImageArray:
    image = cv2.imdecode(content, flags) if len(content) else None
    if image is None:
        raise DatasetError(f"{path}: not an image that can be decoded ({len(content)} bytes)")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
