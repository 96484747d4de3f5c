"""How an image becomes a view (flip, scale, crop, pad), and the exact way back.

Pixel centres lie at half integers: pixel (y, x) covers [y, y + 1) x [x, x + 1). So a flip sends x
to W - x, a scale s sends x to s * x, and nothing shifts by half a pixel. Masks travel by nearest
neighbour: every target pixel takes the source pixel in which its centre falls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.interfaces import ViewGeometry
from lab.config import ViewConfig
from lab.datasets.records import BoolArray, FloatArray

ImageArray = NDArray[np.uint8]
DepthArray = NDArray[np.uint16]
"""0 = far, 65535 = near."""
_Indices = NDArray[np.intp]


def draw_geometry(
    height: int, width: int, config: ViewConfig, rng: np.random.Generator
) -> ViewGeometry:
    """Random flip, ResizeScale and FixedSizeCrop (methods.md 1.5) for a height x width image.

    The image is scaled, keeping its aspect, to fit a square of U(min_scale, max_scale) crops; what
    is then larger than the crop is cut at a random offset, drawn per axis. With `short_sides` the
    whole image is shown, at a size drawn from those.
    """
    flipped = bool(rng.random() < config.flip_probability)
    if config.short_sides:
        short_side = config.short_sides[int(rng.integers(len(config.short_sides)))]
        return fitted_geometry(height, width, config.max_side, short_side, flipped=flipped)
    side = config.crop_size * rng.uniform(config.min_scale, config.max_scale)
    scaled_height, scaled_width = _fit(height, width, side)
    return ViewGeometry(
        image_height=height,
        image_width=width,
        flipped=flipped,
        scale_y=scaled_height / height,
        scale_x=scaled_width / width,
        offset_y=int(rng.integers(max(scaled_height - config.crop_size, 0) + 1)),
        offset_x=int(rng.integers(max(scaled_width - config.crop_size, 0) + 1)),
        height=min(scaled_height, config.crop_size),
        width=min(scaled_width, config.crop_size),
    )


def fitted_geometry(
    height: int,
    width: int,
    longest_side: int,
    short_side: int | None = None,
    *,
    flipped: bool = False,
) -> ViewGeometry:
    """The whole image, scaled so that its longest side is `longest_side`.

    With `short_side`, that is what its short side becomes, unless the longest one would be more
    than `longest_side` then.
    """
    side = float(longest_side)
    if short_side is not None:
        side = min(side, short_side * max(height, width) / min(height, width))
    scaled_height, scaled_width = _fit(height, width, side)
    return ViewGeometry(
        image_height=height,
        image_width=width,
        flipped=flipped,
        scale_y=scaled_height / height,
        scale_x=scaled_width / width,
        offset_y=0,
        offset_x=0,
        height=scaled_height,
        width=scaled_width,
    )


def image_to_view(image: ImageArray, geometry: ViewGeometry) -> ImageArray:
    """(H, W, 3) image -> (height, width, 3) view: area averages to shrink, bilinear to enlarge."""
    scales = (geometry.scale_y, geometry.scale_x)
    if scales == (1, 1):
        view = image[_rows(geometry), _columns(geometry)]
    elif min(scales) < 1:
        view = _shrink(image, geometry)
    else:
        view = _interpolate(image, geometry).astype(np.uint8, copy=False)
    return np.ascontiguousarray(view[:, ::-1] if geometry.flipped else view)


def depth_to_view(depth: DepthArray, geometry: ViewGeometry) -> DepthArray:
    """(H, W) depth of an image -> (height, width) of its view, bilinear at every scale."""
    view = _interpolate(depth, geometry).astype(np.uint16, copy=False)
    return np.ascontiguousarray(view[:, ::-1] if geometry.flipped else view)


def masks_to_view(masks: BoolArray, geometry: ViewGeometry) -> BoolArray:
    """(N, H, W) image masks -> (N, height, width) view masks, by nearest neighbour."""
    rows = _centres(geometry.height, geometry.offset_y, geometry.scale_y)
    columns = _centres(geometry.width, geometry.offset_x, geometry.scale_x)
    rows = rows.clip(0, geometry.image_height - 1)
    columns = columns.clip(0, geometry.image_width - 1)
    if geometry.flipped:
        columns = geometry.image_width - 1 - columns
    return _pick(masks, rows, columns)


def masks_to_image(masks: BoolArray, geometry: ViewGeometry) -> BoolArray:
    """(N, h, w) view masks -> (N, H, W) image masks; what the view does not show is False.

    h and w may include the padding, which is ignored. Row-major masks come back column-major, the
    order in which RLE counts.
    """
    rows = _view_pixels(geometry.image_height, geometry.offset_y, geometry.scale_y)
    columns = _view_pixels(geometry.image_width, geometry.offset_x, geometry.scale_x)
    if geometry.flipped:
        columns = columns[::-1]
    seen_rows, seen_columns = _span(rows, geometry.height), _span(columns, geometry.width)
    seen = _pick(masks, rows[seen_rows], columns[seen_columns])
    if seen.shape[1:] == (geometry.image_height, geometry.image_width):
        return seen
    by_column = np.zeros((len(masks), geometry.image_width, geometry.image_height), dtype=bool)
    by_column[:, seen_columns, seen_rows] = seen.transpose(0, 2, 1)
    return by_column.transpose(0, 2, 1)


def boxes_to_view(boxes: FloatArray, geometry: ViewGeometry) -> FloatArray:
    """(N, 4) XYXY image pixels -> XYXY view pixels, clipped to the visible part."""
    if geometry.flipped:
        boxes = _mirror(boxes, geometry.image_width)
    scaled = boxes * _scales(geometry) - _offsets(geometry)
    return _clip(scaled, geometry.height, geometry.width)


def boxes_to_image(boxes: FloatArray, geometry: ViewGeometry) -> FloatArray:
    """(N, 4) XYXY view pixels -> XYXY image pixels, clipped to the image."""
    scaled = (boxes + _offsets(geometry)) / _scales(geometry)
    if geometry.flipped:
        scaled = _mirror(scaled, geometry.image_width)
    return _clip(scaled, geometry.image_height, geometry.image_width)


def visible_box(geometry: ViewGeometry) -> tuple[float, float, float, float]:
    """The part of the image that the view shows, XYXY image pixels."""
    whole_view = np.array([[0, 0, geometry.width, geometry.height]], dtype=np.float32)
    x1, y1, x2, y2 = boxes_to_image(whole_view, geometry)[0].tolist()
    return x1, y1, x2, y2


def shows_everything(geometry: ViewGeometry) -> bool:
    """Whether no pixel of the image was cut away."""
    whole = (0.0, 0.0, float(geometry.image_width), float(geometry.image_height))
    return bool(np.allclose(visible_box(geometry), whole, rtol=0, atol=1e-2))


def tight_boxes(masks: BoolArray) -> FloatArray:
    """(N, H, W) -> (N, 4) smallest XYXY box around each mask, half-open; zeros for an empty one."""
    x1, x2 = _extent(np.asarray(masks.any(axis=1)))
    y1, y2 = _extent(np.asarray(masks.any(axis=2)))
    return np.stack([x1, y1, x2, y2], axis=1).astype(np.float32)


@dataclass(frozen=True)
class ViewInstances:
    """The instances of one image as its view shows them; those it does not show are left out."""

    boxes: FloatArray
    """(M, 4) XYXY view pixels: tight around the mask, or the clipped box when there is none."""
    masks: BoolArray | None
    """(M, height, width), or None when only boxes are known."""
    shown: NDArray[np.intp]
    """(M,) which of the given instances these are."""


def instances_to_view(
    boxes: FloatArray, masks: BoolArray | None, geometry: ViewGeometry
) -> ViewInstances:
    """Move N instances into the view and drop those of which less than a pixel is left."""
    if masks is None:
        moved = boxes_to_view(boxes, geometry)
        shown = np.flatnonzero((moved[:, 2:] - moved[:, :2] >= 1).all(axis=1))
        return ViewInstances(moved[shown], None, shown)
    warped = masks_to_view(masks, geometry)
    shown = np.flatnonzero(warped.any(axis=(1, 2)))
    warped = warped[shown]
    return ViewInstances(tight_boxes(warped), warped, shown)


def _fit(height: int, width: int, side: float) -> tuple[int, int]:
    """Size of an image scaled to fit a square; at least one pixel."""
    scale = side / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _rows(geometry: ViewGeometry) -> slice:
    start = int(geometry.offset_y)
    return slice(start, start + geometry.height)


def _columns(geometry: ViewGeometry) -> slice:
    """Columns of the scaled but unflipped image that the view shows."""
    start = int(geometry.offset_x)
    if geometry.flipped:
        scaled_width = round(geometry.image_width * geometry.scale_x)
        start = scaled_width - start - geometry.width
    return slice(start, start + geometry.width)


def _shrink(image: ImageArray, geometry: ViewGeometry) -> ImageArray:
    size = (
        round(geometry.image_width * geometry.scale_x),
        round(geometry.image_height * geometry.scale_y),
    )
    scaled = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return scaled[_rows(geometry), _columns(geometry)].astype(np.uint8, copy=False)


def _interpolate(image: NDArray[Any], geometry: ViewGeometry) -> NDArray[Any]:
    """Bilinear; only the crop is computed: an enlarged image can be many times larger than it."""
    shift_x = (_columns(geometry).start + 0.5) / geometry.scale_x - 0.5
    shift_y = (_rows(geometry).start + 0.5) / geometry.scale_y - 0.5
    to_image = np.array([[1 / geometry.scale_x, 0, shift_x], [0, 1 / geometry.scale_y, shift_y]])
    return cv2.warpAffine(
        image,
        to_image,
        (geometry.width, geometry.height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )


def _centres(count: int, offset: float, scale: float) -> _Indices:
    """The source pixel under the centre of each of `count` view pixels along one axis."""
    return np.floor((np.arange(count) + (offset + 0.5)) / scale).astype(np.intp)


def _view_pixels(count: int, offset: float, scale: float) -> _Indices:
    """The view pixel over the centre of each of `count` image pixels; it may lie outside."""
    return np.floor((np.arange(count) + 0.5) * scale - offset).astype(np.intp)


def _span(indices: _Indices, size: int) -> slice:
    """Where monotonic `indices` lie in [0, size)."""
    inside = np.flatnonzero((indices >= 0) & (indices < size))
    return slice(int(inside[0]), int(inside[-1]) + 1) if len(inside) else slice(0, 0)


def _pick(masks: BoolArray, rows: _Indices, columns: _Indices) -> BoolArray:
    """masks[:, rows][:, :, columns] by copies of whole lines; memory order is swapped by it."""
    if masks.strides[1] < masks.strides[2]:
        return _pick(masks.transpose(0, 2, 1), columns, rows).transpose(0, 2, 1)
    by_column = np.ascontiguousarray(masks.take(rows, axis=1).transpose(0, 2, 1))
    return by_column.take(columns, axis=1).transpose(0, 2, 1)


def _scales(geometry: ViewGeometry) -> FloatArray:
    return np.array([geometry.scale_x, geometry.scale_y] * 2, dtype=np.float32)


def _offsets(geometry: ViewGeometry) -> FloatArray:
    return np.array([geometry.offset_x, geometry.offset_y] * 2, dtype=np.float32)


def _mirror(boxes: FloatArray, width: int) -> FloatArray:
    mirrored = boxes.copy()
    mirrored[:, 0], mirrored[:, 2] = width - boxes[:, 2], width - boxes[:, 0]
    return mirrored


def _clip(boxes: FloatArray, height: int, width: int) -> FloatArray:
    high = np.array([width, height] * 2, dtype=np.float32)
    return boxes.clip(0, high)


def _extent(line: BoolArray) -> tuple[_Indices, _Indices]:
    """First and one past last True of each row of (N, L); 0, 0 when there is none."""
    any_true = line.any(axis=1)
    first = np.where(any_true, line.argmax(axis=1), 0)
    last = np.where(any_true, line.shape[1] - line[:, ::-1].argmax(axis=1), 0)
    return first, last
