"""What travels between the parts of seglab: images, annotations, labels. Plain and frozen.

Boxes are (x1, y1, x2, y2) float pixels of the image, half-open. Masks are COCO compressed RLE
(`counts` bytes, column-major) at the image's height and width. `label` is contiguous 0..K-1 in
the order of `Dataset.categories`; `category_id` is whatever the file says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


class ErrorKind(IntEnum):
    """What is right or wrong with a prediction (PL-DC, Sec. 4.5). The order is the precedence."""

    UNKNOWN = 0
    """No truth to compare with."""
    COR = 1
    LOC = 2
    SIM = 3
    OTH = 4
    BG = 5
    IGNORED = 6
    """Lies on a crowd region and matches nothing else."""


class DropRule(IntEnum):
    """Which rule dropped a candidate; the first that fails, in this order."""

    KEPT = 0
    CLASS_QUALITY = 1
    MASK_QUALITY = 2
    COUPLED_SCORE = 3
    MASK_AREA = 4
    MATCH_SCORE = 5


class LabelSource(IntEnum):
    """Where a recorded label comes from."""

    PSEUDO = 0
    """The teacher on an unlabelled training image, in the step it taught the student."""
    PROBE_TEACHER = 1
    """The teacher on a fixed probe image: the time-lapse."""
    PROBE_STUDENT = 2
    """The student on the same probe image."""


@dataclass(frozen=True, slots=True)
class Category:
    """One class. `supercategory` says which classes are look-alikes."""

    category_id: int
    name: str
    supercategory: str


@dataclass(frozen=True, slots=True)
class Rle:
    """A binary mask as COCO compressed RLE."""

    height: int
    width: int
    counts: bytes

    def as_coco(self) -> dict[str, object]:
        """The form pycocotools takes: {"size": [h, w], "counts": bytes}."""
        return {"size": [self.height, self.width], "counts": self.counts}


@dataclass(frozen=True, slots=True)
class Annotation:
    """One ground-truth instance. `mask` is None when only the box is known (box supervision)."""

    annotation_id: int
    label: int
    box: tuple[float, float, float, float]
    area: float
    mask: Rle | None
    is_crowd: bool = False


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image file and what is known about it."""

    image_id: int
    path: Path
    height: int
    width: int
    annotations: tuple[Annotation, ...] = ()
    depth_path: Path | None = None

    def without_annotations(self) -> ImageRecord:
        """The same image as an unlabelled one: nothing downstream can see its truth."""
        return replace(self, annotations=())


@dataclass(frozen=True, slots=True)
class Dataset:
    """Images of one split with the categories they share."""

    name: str
    categories: tuple[Category, ...]
    images: tuple[ImageRecord, ...]

    def with_images(self, images: Sequence[ImageRecord]) -> Dataset:
        return replace(self, images=tuple(images))

    def by_id(self) -> Mapping[int, ImageRecord]:
        return {image.image_id: image for image in self.images}


@dataclass(frozen=True, slots=True)
class BoxScores:
    """How pseudo masks were made of boxes (methods.md 8). All (N,); NaN = the method has none."""

    target_ids: IntArray
    """Annotation id of the box that each mask was made for."""
    num_candidates: FloatArray
    """Masks that were there to choose from or to fuse."""
    num_effective: FloatArray
    """... and good enough to count."""
    box_score: FloatArray
    """How good the boxes of these are."""
    pixel_score: FloatArray
    """How sure the pixels of the mask are."""
    mask_score: FloatArray
    """Both in one: what the method trusts the mask by."""
    depth_score: FloatArray
    """How well the mask follows depth."""
    match_score: FloatArray
    """How well prediction and box match."""
    semantic_score: FloatArray
    """Mean of the semantic map inside the mask."""
    instance_score: FloatArray
    """Mean of the instance map inside the mask."""
    target_ious: FloatArray | None = None
    """Mask IoU with the hidden truth of that very annotation; None until judged."""
    single_masks: tuple[Rle, ...] | None = None
    """N masks in the image frame, where several were fused: what the best candidate alone would
    have given. To be judged, never stored; None = nothing was fused."""
    single_ious: FloatArray | None = None
    """IoU of these with the same truth; None until judged, and where nothing was fused."""


@dataclass(frozen=True, slots=True)
class PseudoLabels:
    """Every candidate of one image at one step, kept or not, with all that is known about it.

    All arrays share N, the number of candidates. NaN means "does not apply" (a CLIP probability
    when no CLIP corrected the label, a true IoU when there is no truth). Probabilities and
    qualities are in [0, 1].
    """

    image_id: int
    source: LabelSource
    boxes: FloatArray
    """(N, 4) XYXY in image pixels."""
    labels: IntArray
    """(N,) class after correction."""
    labels_before: IntArray
    """(N,) class before correction."""
    class_quality: FloatArray
    """(N,) s_cls, PL-DC Eq. 3."""
    mask_quality: FloatArray
    """(N,) s_mask, PL-DC Eq. 4."""
    score: FloatArray
    """(N,) the coupled score s_cls * s_mask."""
    masks: tuple[Rle, ...]
    """N masks in the image frame."""
    areas: FloatArray
    """(N,) mask pixels in the image frame."""
    kept: BoolArray
    rules: IntArray
    """(N,) DropRule."""
    rule_values: FloatArray
    """(N,) the threshold that dropped it; NaN when kept."""
    teacher_before: FloatArray
    """(N,) teacher probability of the class before correction."""
    teacher_after: FloatArray
    """(N,) teacher probability of the class after correction."""
    clip_before: FloatArray
    clip_after: FloatArray
    uncertainty: FloatArray
    """(N,) mean pixel uncertainty inside the mask, PL-DC Eq. 10."""
    weights: FloatArray
    """(N,) the loss weight the instance got; 0 when dropped."""
    visible: tuple[float, float, float, float] | None = None
    """The part of the image the network saw, XYXY; None = all of it."""
    kinds: IntArray | None = None
    """(N,) ErrorKind against the hidden truth; None until judged."""
    true_ious: FloatArray | None = None
    """(N,) mask IoU with the truth that decided the kind; for BG the highest with any truth (0 with
    none); NaN when the kind is UNKNOWN."""
    gt_ids: IntArray | None = None
    """(N,) annotation id of that truth; -1 without one."""
    duplicates: BoolArray | None = None
    """(N,) correct, but a better-scored label already took the same truth."""
    num_truths: int | None = None
    """How many truths the visible part of the image holds (crowd not counted)."""
    missed: int | None = None
    """How many of them no kept label gets right."""
    box_scores: BoxScores | None = None
    """Of masks made from boxes."""

    def __len__(self) -> int:
        return len(self.labels)

    def __post_init__(self) -> None:
        for part in (self, self.box_scores):
            for item in fields(part) if part is not None else ():
                value = getattr(part, item.name)
                is_column = isinstance(value, (np.ndarray, tuple)) and item.name != "visible"
                if is_column and len(value) != len(self.labels):
                    raise ValueError(
                        f"{type(part).__name__}.{item.name} of image {self.image_id}: "
                        f"{len(value)} entries for {len(self.labels)} labels"
                    )


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One evaluation of one network on one split."""

    split: str
    model: str
    """"student" or "teacher"."""
    metrics: Mapping[str, float]
    """AP, AP50, AP75, APs, APm, APl in [0, 100]; NaN where COCO says -1."""
    per_class: Mapping[str, float]
    """AP of each class name."""
    kinds: Mapping[str, int] = field(default_factory=dict)
    """Cor/Loc/Sim/Oth/BG counts of predictions with score >= 0.5, "Missed", "Duplicate"."""
