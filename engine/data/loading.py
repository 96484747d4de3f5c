"""Batches of training and of evaluation. Nothing here has a state that a checkpoint must keep.

Which images a step sees, and how, follows from (seed, step) and the image's place in the batch. So
a resumed run sees what it would have seen, and processes change the speed but not the data: neither
those that load images, nor those that train and take a share of every batch each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property, lru_cache
from typing import TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from engine.data.decoding import ImageCache
from engine.data.depth import DepthCache
from engine.data.photometric import strong_view
from engine.data.views import (
    Instances,
    Views,
    fitted_views,
    has_masks,
    training_views,
    visible_instances,
)
from engine.interfaces import Batch, LabeledBatch, UnlabeledBatch, ViewGeometry
from engine.ranks import WHOLE, Share
from lab.config import ScheduleConfig, ViewConfig
from lab.datasets.coco_file import DatasetError
from lab.datasets.records import Dataset, ImageRecord, IntArray

Made = TypeVar("Made")

CACHE_BYTES = 2**30
"""Decoded images kept in memory, all processes of a loader together."""
IMAGE_SHARE = 0.6
"""... of which images take so much where there are depth maps too: three bytes per pixel to two."""


class Stream(IntEnum):
    """What a random draw is for; part of its seed."""

    LABELED_ORDER = 0
    UNLABELED_ORDER = 1
    LABELED_VIEW = 2
    UNLABELED_VIEW = 3
    LABELED_STRONG = 4
    UNLABELED_STRONG = 5


@dataclass(frozen=True)
class TrainSampler:
    """Which images a step sees: every image once per epoch, in an order drawn for that epoch."""

    num_images: int
    batch_size: int
    seed: int
    stream: Stream

    def indices(self, step: int) -> list[int]:
        """`batch_size` indices into the images; a batch may span two epochs."""
        positions = range(step * self.batch_size, (step + 1) * self.batch_size)
        return [
            int(self._order(position // self.num_images)[position % self.num_images])
            for position in positions
        ]

    def _order(self, epoch: int) -> IntArray:
        return _epoch_order(self.num_images, self.seed, self.stream, epoch)


@dataclass(frozen=True)
class StepViews:
    """The images of one step as they leave a worker."""

    labeled: Views
    truth: Instances
    unlabeled: Views | None

    def pin_memory(self) -> StepViews:
        unlabeled = None if self.unlabeled is None else self.unlabeled.pin_memory()
        return StepViews(self.labeled.pin_memory(), self.truth.pin_memory(), unlabeled)


@dataclass(frozen=True)
class TrainLoader:
    """The batches of a run.

    Raises:
        DatasetError: when there is no labelled image, or no unlabelled one where some are needed,
            when an unlabelled image carries annotations, or when only some instances have masks.
    """

    labeled: Dataset
    unlabeled: Dataset | None
    view: ViewConfig
    schedule: ScheduleConfig
    seed: int
    device: torch.device
    unlabeled_from: int | None = None
    """The first step with unlabelled images (Method.unlabeled_from); None = never."""
    strong_labeled: bool = True
    """Off: a labelled image's strong view is its weak one, for methods that do not look at it."""
    with_depth: bool = False
    """Read the depth maps of labelled images too."""
    share: Share = WHOLE
    """Which images of every batch are ours; the schedule's batch sizes are those of all ranks."""

    def __post_init__(self) -> None:
        if not self.labeled.images:
            raise DatasetError(f"dataset {self.labeled.name}: no labelled image to train on")
        if self.unlabeled_from is not None and not (self.unlabeled and self.unlabeled.images):
            raise DatasetError(
                f"dataset {self.labeled.name}: the method needs unlabelled images from step "
                f"{self.unlabeled_from} on, and there are none"
            )
        for image in self.unlabeled.images if self.unlabeled else ():
            if image.annotations:
                raise DatasetError(
                    f"image {image.image_id} ({image.path}) is given as unlabelled but carries "
                    f"{len(image.annotations)} annotations"
                )

    @property
    def num_classes(self) -> int:
        return len(self.labeled.categories)

    def batches(self, start: int = 0) -> Iterator[Batch]:
        """The batches of steps start, start + 1, ... up to the end of the schedule."""
        steps = range(start, self.schedule.max_steps)
        arrived = _load(self._maker, steps, self.schedule.num_workers, self.device)
        for step, views in zip(steps, arrived, strict=True):
            unlabeled = self._unlabeled(step, views.unlabeled) if views.unlabeled else None
            yield Batch(self._labeled(step, views), unlabeled)

    @cached_property
    def _maker(self) -> _StepMaker:
        return _StepMaker(
            labeled=self.labeled.images,
            unlabeled=self.unlabeled.images if self.unlabeled else (),
            view=self.view,
            schedule=self.schedule,
            seed=self.seed,
            unlabeled_from=self.unlabeled_from,
            with_masks=has_masks(self.labeled),
            with_depth=self.with_depth,
            share=self.share,
        )

    def _labeled(self, step: int, views: StepViews) -> LabeledBatch:
        weak = views.labeled.images(self.device)
        strong = weak
        if self.strong_labeled:
            strong = self._strong(weak, views.labeled.geometry, Stream.LABELED_STRONG, step)
        return LabeledBatch(
            weak,
            strong,
            views.truth.targets(self.device),
            views.labeled.image_ids,
            views.labeled.geometry,
            views.truth.annotation_ids,
            views.labeled.depth_maps(self.device),
        )

    def _unlabeled(self, step: int, views: Views) -> UnlabeledBatch:
        weak = views.images(self.device)
        strong = self._strong(weak, views.geometry, Stream.UNLABELED_STRONG, step)
        return UnlabeledBatch(weak, strong, views.image_ids, views.geometry)

    def _strong(
        self, weak: Tensor, geometry: list[ViewGeometry], stream: Stream, step: int
    ) -> Tensor:
        places = self.share.part(range(self.share.of * len(weak)))
        rngs = [np.random.default_rng([self.seed, stream, step, place]) for place in places]
        return strong_view(weak, geometry, self.view.strong, rngs)


@dataclass(frozen=True)
class EvalBatch:
    """Whole images, scaled to one longest side."""

    images: Tensor
    """(B, 3, H, W) float in [0, 1], padded right and bottom with 0; H, W multiples of 32."""
    image_ids: list[int]
    geometry: list[ViewGeometry]


@dataclass(frozen=True)
class EvalLoader:
    """Every image of a dataset once, in its order; of several ranks, each takes its share of the
    batches. Can be gone through again and again."""

    dataset: Dataset
    longest_side: int
    """Pixels of the longest side (ViewConfig.eval_size); smaller images are enlarged."""
    batch_size: int
    device: torch.device
    num_workers: int = 0
    short_side: int | None = None
    """Pixels of the short side, where the longest one then is at most `longest_side`; None = the
    longest side is `longest_side`."""
    share: Share = WHOLE
    """Which batches are ours."""
    cache: ImageCache = field(default_factory=lambda: ImageCache(CACHE_BYTES), repr=False)

    def __len__(self) -> int:
        """Number of our batches."""
        return len(self._batches)

    def __iter__(self) -> Iterator[EvalBatch]:
        maker = _EvalMaker(
            self.dataset.images, self.longest_side, self.short_side, self.batch_size, self.cache
        )
        for views in _load(maker, self._batches, self.num_workers, self.device):
            yield EvalBatch(views.images(self.device), views.image_ids, views.geometry)

    @property
    def _batches(self) -> range:
        """The numbers of our batches among all."""
        count = -(-len(self.dataset.images) // self.batch_size)
        return range(self.share.rank, count, self.share.of)


@dataclass(frozen=True)
class _StepMaker(TorchDataset[StepViews]):
    """step -> its views. Lives in each worker process."""

    labeled: tuple[ImageRecord, ...]
    unlabeled: tuple[ImageRecord, ...]
    view: ViewConfig
    schedule: ScheduleConfig
    seed: int
    unlabeled_from: int | None
    with_masks: bool
    with_depth: bool
    share: Share

    def __getitem__(self, step: int) -> StepViews:
        batch_size = self.schedule.labeled_batch
        labeled = self._draw(self.labeled, batch_size, Stream.LABELED_ORDER, step)
        depths = self._depths if self.with_depth else None
        views = self._views(labeled, Stream.LABELED_VIEW, step, depths)
        truth = visible_instances(self.share.part(labeled), views, self.with_masks)
        if self.unlabeled_from is None or step < self.unlabeled_from:
            return StepViews(views, truth, None)
        batch_size = self.schedule.unlabeled_batch
        unlabeled = self._draw(self.unlabeled, batch_size, Stream.UNLABELED_ORDER, step)
        return StepViews(views, truth, self._views(unlabeled, Stream.UNLABELED_VIEW, step))

    @cached_property
    def _cache(self) -> ImageCache:
        share = IMAGE_SHARE if self.with_depth else 1.0
        return ImageCache(int(share * self._cache_bytes))

    @cached_property
    def _depths(self) -> DepthCache:
        return DepthCache(int((1 - IMAGE_SHARE) * self._cache_bytes))

    @property
    def _cache_bytes(self) -> int:
        return CACHE_BYTES // max(1, self.schedule.num_workers)

    def _draw(
        self, images: tuple[ImageRecord, ...], batch_size: int, stream: Stream, step: int
    ) -> list[ImageRecord]:
        sampler = TrainSampler(len(images), batch_size, self.seed, stream)
        return [images[index] for index in sampler.indices(step)]

    def _views(
        self,
        records: list[ImageRecord],
        stream: Stream,
        step: int,
        depths: DepthCache | None = None,
    ) -> Views:
        rngs = [
            np.random.default_rng([self.seed, stream, step, index]) for index in range(len(records))
        ]
        return training_views(records, self.view, rngs, self._cache, depths, self.share)


@dataclass(frozen=True)
class _EvalMaker(TorchDataset[Views]):
    """Number of a batch -> its views."""

    images: tuple[ImageRecord, ...]
    longest_side: int
    short_side: int | None
    batch_size: int
    cache: ImageCache

    def __getitem__(self, batch: int) -> Views:
        records = self.images[batch * self.batch_size : (batch + 1) * self.batch_size]
        return fitted_views(records, self.longest_side, self.cache, self.short_side)


def _load(
    maker: TorchDataset[Made], keys: range, num_workers: int, device: torch.device
) -> Iterator[Made]:
    """maker[key] for each key in order, made by worker processes if there are any."""
    if num_workers == 0 and device.type == "cpu":
        return (maker[key] for key in keys)
    return iter(
        DataLoader(
            maker,
            sampler=keys,
            batch_size=None,
            num_workers=num_workers,
            pin_memory=device.type == "cuda",
            worker_init_fn=_one_thread_each,
            # Its own: by default, the workers' seed is drawn from torch's global generator.
            generator=torch.Generator(),
        )
    )


def _one_thread_each(_: int) -> None:
    """Workers are the parallelism; torch already holds itself to one thread in them."""
    cv2.setNumThreads(0)


@lru_cache(maxsize=8)
def _epoch_order(num_images: int, seed: int, stream: Stream, epoch: int) -> IntArray:
    return np.random.default_rng([seed, stream, epoch]).permutation(num_images)
