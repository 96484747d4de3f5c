"""How tensors leave the engine: candidates become plain records with masks in the image frame.

Two halves. `detach_for_recording` runs on the training thread: it thresholds masks and starts one
copy of the numbers to the host, without waiting for it. `encode` runs in the recorder's thread; its
numpy and RLE work lets the training thread have the interpreter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import hotcoco
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.cells import enlarged
from engine.data.geometry import boxes_to_image, masks_to_image, shows_everything, visible_box
from engine.instances import Predictions
from engine.interfaces import Candidates, ViewGeometry
from engine.losses.box_mask import fill_boxes
from lab.analysis.average_precision import ImagePredictions
from lab.datasets.records import (
    BoolArray,
    BoxScores,
    FloatArray,
    LabelSource,
    PseudoLabels,
    Rle,
)
from lab.datasets.rle import areas

BOX_PREFIX = "box."
"""Of the columns that only masks made from boxes have."""

coco_mask: Any = hotcoco.mask  # its type stubs know one mask, not lists


@dataclass(frozen=True)
class Detached:
    """Candidates of one view on the host, or on their way there."""

    image_id: int
    source: LabelSource
    geometry: ViewGeometry
    names: tuple[str, ...]
    numbers: Tensor
    """(C, N) float32: row c is what `names[c]` says of each candidate. Labels and rules are small,
    so that float32 holds them exactly. One tensor, so that one copy moves it."""
    masks: Tensor
    """(N, h, w) bool, the part of the view that shows the image."""
    singles: Tensor | None
    """(N, h, w) bool, of fused masks: those of the best candidate alone."""
    annotation_ids: tuple[int, ...]
    """Of the image's targets, which the column `box.targets` counts through."""
    arrived: torch.cuda.Event | None
    """Wait for it before reading; None when everything is here."""


def detach_for_recording(candidates: Sequence[Candidates]) -> list[Detached]:
    """Let go of the device, cheaply: start copying what will be recorded and return at once."""
    event = None
    if any(one.labels.is_cuda for one in candidates):
        event = torch.cuda.Event()
    with torch.no_grad():
        detached = [_detach(one, event) for one in candidates]
    if event is not None:
        event.record()
    return detached


def encode(
    candidates: Sequence[Candidates] | Sequence[Detached], min_class_quality: float
) -> list[PseudoLabels]:
    """Records of every candidate whose class quality is at least `min_class_quality`.

    One record per image, also where nothing is left. Order is preserved. Boxes, masks and areas
    are in the image frame; what the view cut away or shows as padding is no part of them.
    """
    return [
        _encode_view(detached, min_class_quality)
        for one in candidates
        for detached in ([one] if isinstance(one, Detached) else detach_for_recording([one]))
    ]


def to_image_frame(
    image_id: int, predictions: Predictions, geometry: ViewGeometry
) -> ImagePredictions:
    """Predictions of one view as they are evaluated: host score, masks in the image frame."""
    masks = _foreground(predictions.mask_logits, geometry).cpu().numpy()
    return ImagePredictions(
        image_id=image_id,
        labels=predictions.labels.cpu().numpy().astype(np.int64, copy=False),
        scores=predictions.scores.float().cpu().numpy(),
        masks=encode_masks(masks_to_image(masks, geometry)),
    )


def encode_masks(masks: BoolArray) -> tuple[Rle, ...]:
    """(N, H, W) -> N RLEs, fastest from column-major memory.

    By hotcoco: the same bytes as pycocotools, several times faster, and without the interpreter's
    lock.
    """
    coded = coco_mask.encode(masks.transpose(1, 2, 0))
    height, width = masks.shape[1:]
    return tuple(Rle(height, width, one["counts"]) for one in coded)


def _detach(found: Candidates, arrived: torch.cuda.Event | None) -> Detached:
    columns = _columns(found)
    numbers = torch.stack([column.float() for column in columns.values()])
    singles = found.single_logits
    return Detached(
        image_id=found.image_id,
        source=found.source,
        geometry=found.geometry,
        names=tuple(columns),
        numbers=_to_host(numbers),
        masks=_to_host(_masks(found.predictions.mask_logits, found)),
        singles=None if singles is None else _to_host(_masks(singles, found)),
        annotation_ids=found.annotation_ids,
        arrived=arrived,
    )


def _columns(found: Candidates) -> dict[str, Tensor]:
    """All that is known about each candidate but its mask; (N,) each."""
    x1, y1, x2, y2 = found.predictions.boxes.unbind(dim=1)
    scores = {} if found.box_scores is None else vars(found.box_scores)
    return {
        "x1": x1,
        "y1": y1,
        "x2": x2,
        "y2": y2,
        "labels": found.labels,
        "labels_before": found.predictions.labels,
        "class_quality": found.predictions.class_quality,
        "mask_quality": found.mask_quality,
        "kept": found.kept,
        "rules": found.rules,
        "rule_values": found.rule_values,
        "teacher_before": found.teacher_before,
        "teacher_after": found.teacher_after,
        "clip_before": found.clip_before,
        "clip_after": found.clip_after,
        "uncertainty": found.uncertainty,
        "weights": found.weights,
        **{f"{BOX_PREFIX}{name}": column for name, column in scores.items()},
    }


def _masks(logits: Tensor, found: Candidates) -> Tensor:
    """The masks of these logits in the part of the view that shows the image: (N, h, w) bool."""
    masks = _foreground(enlarged(logits.float(), found.mask_stride), found.geometry)
    if found.confines is None:
        return masks
    return masks & fill_boxes(found.confines, masks.shape[1], masks.shape[2])


def _foreground(mask_logits: Tensor, geometry: ViewGeometry) -> Tensor:
    """(N, H, W) logits, or masks -> (N, h, w) bool, where the view shows the image."""
    shown = mask_logits[:, : geometry.height, : geometry.width].detach()
    if shown.is_cuda:
        return shown > 0
    # On the CPU, numpy compares six times as fast as torch.
    return torch.from_numpy(shown.float().numpy() > 0)


def _to_host(tensor: Tensor) -> Tensor:
    """Start a copy into pinned memory; what is on the host already stays where it is."""
    if not tensor.is_cuda:
        return tensor
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return host.copy_(tensor, non_blocking=True)


def _encode_view(found: Detached, min_class_quality: float) -> PseudoLabels:
    if found.arrived is not None:
        found.arrived.synchronize()
    column = dict(zip(found.names, found.numbers.numpy(), strict=True))
    recorded = column["class_quality"] >= min_class_quality
    column = {name: values[recorded] for name, values in column.items()}
    boxes = np.stack([column[edge] for edge in ("x1", "y1", "x2", "y2")], axis=1)
    masks = _in_image(found.masks, recorded, found.geometry)
    singles = found.singles
    single_masks = None if singles is None else _in_image(singles, recorded, found.geometry)
    whole = shows_everything(found.geometry)
    return PseudoLabels(
        image_id=found.image_id,
        source=found.source,
        boxes=boxes_to_image(boxes, found.geometry),
        labels=column["labels"].astype(np.int64),
        labels_before=column["labels_before"].astype(np.int64),
        class_quality=column["class_quality"],
        mask_quality=column["mask_quality"],
        score=column["class_quality"] * column["mask_quality"],
        masks=masks,
        areas=_areas(masks),
        kept=column["kept"].astype(bool),
        rules=column["rules"].astype(np.int64),
        rule_values=column["rule_values"],
        teacher_before=column["teacher_before"],
        teacher_after=column["teacher_after"],
        clip_before=column["clip_before"],
        clip_after=column["clip_after"],
        uncertainty=column["uncertainty"],
        weights=column["weights"],
        visible=None if whole else visible_box(found.geometry),
        box_scores=_box_scores(column, found.annotation_ids, single_masks),
    )


def _in_image(
    masks: Tensor, recorded: NDArray[np.bool_], geometry: ViewGeometry
) -> tuple[Rle, ...]:
    return encode_masks(masks_to_image(masks.numpy()[recorded], geometry))


def _box_scores(
    column: dict[str, NDArray[np.float32]],
    annotation_ids: Sequence[int],
    singles: tuple[Rle, ...] | None,
) -> BoxScores | None:
    own = {
        name.removeprefix(BOX_PREFIX): values
        for name, values in column.items()
        if name.startswith(BOX_PREFIX)
    }
    if not own:
        return None
    targets = own.pop("targets").astype(np.int64)
    ids = np.array(annotation_ids, np.int64)[targets]
    return BoxScores(target_ids=ids, **own, single_masks=singles)


def _areas(masks: Sequence[Rle]) -> FloatArray:
    return areas(masks).astype(np.float32)
