"""One image through training: which labels of different steps are the same thing.

Labels of one step are linked to what earlier steps saw by mask IoU. A thing that nobody finds for a
while is the same when it comes back, as the image does not move. Where a network saw only a part of
the image, masks are compared inside the part that both steps saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lab.analysis.errors import one_to_one
from lab.analysis.match import Float64Array
from lab.analysis.rle import intersection, raw_ious, rectangle
from lab.datasets.records import BoolArray, FloatArray, IntArray, Rle
from lab.datasets.rle import areas

Box = tuple[float, float, float, float]

MIN_IOU = 0.5
"""Labels that overlap less are different things."""
SAME_CLASS = 0.1
"""So much closer in IoU counts a label of the same class, where several could be the same thing."""
MIN_SHOWN = 0.5
"""A thing of which a view shows less is outside it: neither found nor gone."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The labels of one image at one step. All arrays share N."""

    step: int
    height: int
    width: int
    boxes: FloatArray
    """(N, 4) XYXY in image pixels."""
    masks: tuple[Rle, ...] | None
    """N masks; None = not stored, then boxes stand in."""
    labels: IntArray
    labels_before: IntArray
    """(N,) class before correction."""
    score: FloatArray
    kept: BoolArray
    visible: Box | None = None
    """The part of the image that was seen; None = all of it."""

    def __len__(self) -> int:
        return len(self.labels)

    def sightings(self) -> list[Sighting]:
        """Its labels, one by one."""
        boxes: list[Box] = [(x1, y1, x2, y2) for x1, y1, x2, y2 in self.boxes.tolist()]
        size, is_box = (self.height, self.width), self.masks is None
        shapes = self.masks or [rectangle(*size, box) for box in boxes]
        return [
            Sighting(size, box, shape, is_box, self.visible, label)
            for box, shape, label in zip(boxes, shapes, self.labels.tolist(), strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a thing looked like when it was found last."""

    size: tuple[int, int]
    """Height and width of the image."""
    box: Box
    shape: Rle
    """Its mask; the filled box where that was not stored."""
    is_box: bool
    visible: Box | None
    label: int

    def filled(self) -> Rle:
        """Its box as a mask."""
        return self.shape if self.is_box else rectangle(*self.size, self.box)


@dataclass(frozen=True, slots=True)
class Links:
    """Which thing each label is, things numbered from 0 in order of their birth."""

    tracks: tuple[IntArray, ...]
    """Per frame (N,)."""
    hidden: tuple[frozenset[int], ...]
    """Per frame the known things that its view does not show."""

    @property
    def num_tracks(self) -> int:
        return 1 + max((int(one.max()) for one in self.tracks if len(one)), default=-1)


def link(frames: Sequence[Frame], min_iou: float = MIN_IOU) -> Links:
    """Follow things through the frames of one image, given in order of their steps.

    Kept labels choose first, then the rest, each in falling order of score: a label is the free
    thing that its mask overlaps most, if that reaches `min_iou`; else it is a new thing.
    """
    known: list[Sighting] = []
    tracks: list[IntArray] = []
    hidden: list[frozenset[int]] = []
    for frame in frames:
        now = frame.sightings()
        overlap, shown = compare(now, known, frame.visible)
        found = _choose(frame, overlap, known, min_iou)
        fresh = np.flatnonzero(found < 0)
        found[fresh] = len(known) + np.arange(len(fresh))
        hidden.append(frozenset(np.flatnonzero(~shown).tolist()) - set(found.tolist()))
        known += [now[place] for place in fresh]
        for place, track in enumerate(found.tolist()):
            known[track] = now[place]
        tracks.append(found)
    return Links(tuple(tracks), tuple(hidden))


def compare(
    now: Sequence[Sighting], known: Sequence[Sighting], visible: Box | None
) -> tuple[Float64Array, BoolArray]:
    """How much each label overlaps each known thing, and which things the view shows.

    Returns:
        (N, T) IoU inside what both views show, 0 where that is too little to tell; (T,) whether
        the view `visible` shows at least half of the thing.
    """
    overlap = np.zeros((len(now), len(known)))
    shown = np.ones(len(known), np.bool_)
    groups: dict[tuple[Box | None, bool], list[int]] = {}
    for track, thing in enumerate(known):
        groups.setdefault((thing.visible, thing.is_box), []).append(track)
    for (earlier, boxed), members in groups.items():
        boxed = boxed or any(one.is_box for one in now)
        theirs, theirs_shown = _clipped(shapes_of([known[t] for t in members], boxed), visible)
        ours, ours_shown = _clipped(shapes_of(now, boxed), earlier)
        shown[members] = theirs_shown
        if ours and theirs:
            ious = raw_ious(ours, theirs, np.zeros(len(theirs), np.bool_))
            overlap[:, members] = np.where(ours_shown[:, None] & theirs_shown, ious, 0.0)
    return np.nan_to_num(overlap), shown


def shapes_of(things: Sequence[Sighting], boxed: bool) -> list[Rle]:
    """What is compared of them: masks, or boxes where some of two views have nothing else."""
    return [thing.filled() if boxed else thing.shape for thing in things]


def _choose(
    frame: Frame, overlap: Float64Array, known: Sequence[Sighting], min_iou: float
) -> IntArray:
    """(N,) the thing that each label is; -1 = a new one."""
    same = frame.labels[:, None] == np.array([thing.label for thing in known], np.int64)[None, :]
    closeness = np.where(overlap >= min_iou, overlap + SAME_CLASS * same, 0.0)
    kept_first = np.nan_to_num(frame.score) + frame.kept
    return one_to_one(closeness, kept_first, min_iou)


def _clipped(shapes: list[Rle], view: Box | None) -> tuple[list[Rle], BoolArray]:
    """The shapes inside a view, and which of them it shows well enough."""
    whole = areas(shapes)
    if view is None or not shapes:
        return shapes, whole > 0
    window = rectangle(shapes[0].height, shapes[0].width, view)
    inside = [intersection(shape, window) for shape in shapes]
    left = areas(inside)
    return inside, (left > 0) & (left >= MIN_SHOWN * whole)
