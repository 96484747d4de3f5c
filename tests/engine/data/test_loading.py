"""What a step sees follows from seed and step: resumed or not, with workers or without."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.data.loading import EvalLoader, Stream, TrainLoader, TrainSampler
from engine.interfaces import Batch
from engine.ranks import Share
from lab.config import ScheduleConfig, StrongViewConfig, ViewConfig
from lab.datasets import rle
from lab.datasets.coco_file import DatasetError
from lab.datasets.records import Annotation, Category, Dataset, ImageRecord
from lab.datasets.weaken import boxes_only

ALONE = Share()
VIEW = ViewConfig(crop_size=32, eval_size=32, min_scale=0.5, max_scale=1.5)
PLAIN_VIEW = ViewConfig(crop_size=32, min_scale=1, max_scale=1, flip_probability=0)
CPU = torch.device("cpu")


def make_image(directory: Path, image_id: int, height: int = 24, width: int = 32) -> ImageRecord:
    """A noisy image with a rectangle of class 1 at (4, 6)-(16, 20) and a crowd of class 0."""
    pixels = np.random.default_rng(image_id).integers(1, 256, (height, width, 3), dtype=np.uint8)
    path = directory / f"{image_id}.png"
    cv2.imwrite(str(path), pixels)
    mask = np.zeros((height, width), dtype=bool)
    mask[4:16, 6:20] = True
    thing = Annotation(image_id * 10, 1, (6, 4, 20, 16), 168, rle.encode(mask))
    crowd = replace(thing, annotation_id=image_id * 10 + 1, label=0, is_crowd=True)
    return ImageRecord(image_id, path, height, width, (thing, crowd))


@pytest.fixture
def labeled(tmp_path) -> Dataset:
    categories = (Category(1, "mug", "kitchen"), Category(2, "pan", "kitchen"))
    images = tuple(make_image(tmp_path, image_id) for image_id in range(1, 6))
    return Dataset("tiny", categories, images)


@pytest.fixture
def unlabeled(labeled) -> Dataset:
    return labeled.with_images([image.without_annotations() for image in labeled.images])


def make_loader(
    labeled: Dataset,
    unlabeled: Dataset | None = None,
    *,
    workers: int = 0,
    unlabeled_from: int | None = 2,
    view: ViewConfig = VIEW,
    batch_sizes: tuple[int, int] = (2, 3),
    share: Share = ALONE,
) -> TrainLoader:
    schedule = ScheduleConfig(
        max_steps=6,
        labeled_batch=batch_sizes[0],
        unlabeled_batch=batch_sizes[1],
        num_workers=workers,
    )
    return TrainLoader(labeled, unlabeled, view, schedule, 5, CPU, unlabeled_from, share=share)


def assert_same(one: Batch, other: Batch) -> None:
    assert torch.equal(one.labeled.weak, other.labeled.weak)
    assert torch.equal(one.labeled.strong, other.labeled.strong)
    for left, right in zip(one.labeled.targets, other.labeled.targets, strict=True):
        assert torch.equal(left.boxes, right.boxes)
        assert torch.equal(left.labels, right.labels)
        assert left.masks is not None and right.masks is not None
        assert torch.equal(left.masks, right.masks)
    assert (one.unlabeled is None) == (other.unlabeled is None)
    if one.unlabeled and other.unlabeled:
        assert one.unlabeled.image_ids == other.unlabeled.image_ids
        assert one.unlabeled.geometry == other.unlabeled.geometry
        assert torch.equal(one.unlabeled.weak, other.unlabeled.weak)
        assert torch.equal(one.unlabeled.strong, other.unlabeled.strong)


@given(st.integers(1, 30), st.integers(1, 7), st.integers(0, 50))
def test_every_image_comes_once_per_epoch(num_images, batch_size, seed):
    sampler = TrainSampler(num_images, batch_size, seed, Stream.LABELED_ORDER)

    drawn = [index for step in range(num_images) for index in sampler.indices(step)]

    for epoch in range(batch_size):
        part = drawn[epoch * num_images : (epoch + 1) * num_images]
        assert sorted(part) == list(range(num_images))


def test_epochs_seeds_and_streams_have_orders_of_their_own():
    def first_epoch(seed: int, stream: Stream) -> list[int]:
        return TrainSampler(50, 50, seed, stream).indices(0)

    one = first_epoch(0, Stream.LABELED_ORDER)

    assert one != TrainSampler(50, 50, 0, Stream.LABELED_ORDER).indices(1)
    assert one != first_epoch(1, Stream.LABELED_ORDER)
    assert one != first_epoch(0, Stream.UNLABELED_ORDER)


@pytest.mark.parametrize("view", [VIEW, ViewConfig(short_sides=(32, 64), max_side=96)])
def test_the_shares_of_two_processes_make_up_the_batch_of_one(tmp_path, labeled, unlabeled, view):
    wide = make_image(tmp_path, 9, height=20, width=60)
    labeled = labeled.with_images([*labeled.images, wide])
    given = {"view": view, "batch_sizes": (4, 2), "unlabeled_from": 0}
    whole = make_loader(labeled, unlabeled, **given)
    shares = [make_loader(labeled, unlabeled, **given, share=Share(rank, 2)) for rank in (0, 1)]

    for all_of_it, *parts in zip(*(one.batches() for one in (whole, *shares)), strict=True):
        for rank, part in enumerate(parts):
            assert part.labeled.image_ids == all_of_it.labeled.image_ids[rank::2]
            assert part.labeled.annotation_ids == all_of_it.labeled.annotation_ids[rank::2]
            assert torch.equal(part.labeled.weak, all_of_it.labeled.weak[rank::2])
            assert torch.equal(part.labeled.strong, all_of_it.labeled.strong[rank::2])
            assert part.unlabeled is not None and all_of_it.unlabeled is not None
            assert torch.equal(part.unlabeled.strong, all_of_it.unlabeled.strong[rank::2])


def test_every_image_is_evaluated_by_one_process(labeled):
    shares = [EvalLoader(labeled, 32, 2, CPU, share=Share(rank, 2)) for rank in (0, 1)]

    # 5 images in batches of 2 are 3 batches: two for the first process and one for the second.
    assert [len(one) for one in shares] == [2, 1]
    assert [[batch.image_ids for batch in one] for one in shares] == [[[1, 2], [5]], [[3, 4]]]


def test_a_resumed_run_sees_what_it_would_have_seen(labeled, unlabeled):
    whole = list(make_loader(labeled, unlabeled).batches())
    resumed = list(make_loader(labeled, unlabeled).batches(start=3))

    assert len(whole) == 6 and len(resumed) == 3
    for one, other in zip(whole[3:], resumed, strict=True):
        assert_same(one, other)


@pytest.mark.timeout(120)
def test_worker_processes_do_not_change_the_data(labeled, unlabeled):
    alone = make_loader(labeled, unlabeled).batches()
    helped = make_loader(labeled, unlabeled, workers=2).batches()

    for one, other in zip(islice(alone, 4), islice(helped, 4), strict=True):
        assert_same(one, other)


def test_loading_leaves_the_global_random_state_alone(labeled, unlabeled):
    before = torch.get_rng_state()

    next(make_loader(labeled, unlabeled, workers=1).batches())
    next(make_loader(labeled, unlabeled).batches())

    assert torch.equal(torch.get_rng_state(), before)


def test_unlabeled_images_come_from_their_step_on(labeled, unlabeled):
    batches = list(make_loader(labeled, unlabeled, unlabeled_from=2).batches())

    assert [batch.unlabeled is not None for batch in batches] == [False] * 2 + [True] * 4


def test_a_method_without_unlabeled_images_gets_none(labeled):
    batches = list(make_loader(labeled, unlabeled_from=None).batches())

    assert all(batch.unlabeled is None for batch in batches)


def test_a_batch_has_the_shapes_and_ranges_it_promises(labeled, unlabeled):
    batch = list(make_loader(labeled, unlabeled).batches())[-1]

    assert batch.labeled.weak.shape == batch.labeled.strong.shape == (2, 3, 32, 32)
    assert batch.unlabeled is not None
    assert batch.unlabeled.weak.shape == (3, 3, 32, 32)
    for images in (batch.labeled.weak, batch.labeled.strong, batch.unlabeled.strong):
        assert images.dtype == torch.float32
        assert images.min() >= 0 and images.max() <= 1
    for image, geometry in zip(batch.unlabeled.strong, batch.unlabeled.geometry, strict=True):
        assert image[:, geometry.height :].sum() == 0
        assert image[:, :, geometry.width :].sum() == 0
    assert len(batch.labeled.targets) == 2


def test_targets_lie_where_the_image_shows_them(labeled):
    """At scale 1 nothing moves: the truth is the annotation, and crowds are no truth."""
    loader = make_loader(labeled, unlabeled_from=None, view=PLAIN_VIEW)
    target = next(loader.batches()).labeled.targets[0]

    assert target.boxes.tolist() == [[6, 4, 20, 16]]
    assert target.labels.tolist() == [1]
    assert target.masks is not None and target.masks.shape == (1, 32, 32)
    assert target.masks.sum() == 12 * 14 and bool(target.masks[0, 4:16, 6:20].all())


def test_the_weak_view_at_scale_one_is_the_image_in_rgb(labeled):
    loader = make_loader(labeled, unlabeled_from=None, view=PLAIN_VIEW)
    sampler = TrainSampler(5, 2, 5, Stream.LABELED_ORDER)
    record = labeled.images[sampler.indices(0)[0]]

    weak = next(loader.batches()).labeled.weak[0]

    stored = cv2.imread(str(record.path))[:, :, ::-1].transpose(2, 0, 1) / 255
    torch.testing.assert_close(weak[:, :24].numpy(), stored.astype(np.float32))
    assert weak[:, 24:].sum() == 0


def test_the_strong_view_shows_the_same_geometry(labeled, unlabeled):
    """With every perturbation off, strong is weak."""
    off = StrongViewConfig(
        jitter_probability=0, grayscale_probability=0, blur_probability=0, erasing=False
    )
    view = VIEW.model_copy(update={"strong": off})

    batch = list(make_loader(labeled, unlabeled, view=view).batches())[-1]

    assert torch.equal(batch.labeled.weak, batch.labeled.strong)
    assert batch.unlabeled is not None
    assert torch.equal(batch.unlabeled.weak, batch.unlabeled.strong)


def test_a_method_that_ignores_strong_labeled_views_does_not_pay_for_them(labeled):
    loader = replace(make_loader(labeled, unlabeled_from=None), strong_labeled=False)

    batch = next(loader.batches())

    assert batch.labeled.strong is batch.labeled.weak


def test_a_view_of_boxes_has_no_masks(labeled):
    boxes_only = labeled.with_images(
        replace(image, annotations=tuple(replace(a, mask=None) for a in image.annotations))
        for image in labeled.images
    )

    target = next(
        make_loader(boxes_only, unlabeled_from=None, view=PLAIN_VIEW).batches()
    ).labeled.targets[0]

    assert target.masks is None
    assert target.boxes.tolist() == [[6, 4, 20, 16]]


def test_an_image_without_instances_has_empty_targets(labeled):
    empty = labeled.with_images([image.without_annotations() for image in labeled.images])

    target = next(make_loader(empty, unlabeled_from=None).batches()).labeled.targets[0]

    assert len(target) == 0
    assert target.boxes.shape == (0, 4)
    assert target.masks is not None and target.masks.shape == (0, 32, 32)


def test_an_unlabeled_image_with_truth_is_refused(labeled):
    with pytest.raises(DatasetError, match=r"image 1 .* carries 2 annotations"):
        make_loader(labeled, labeled)


def test_missing_images_are_refused_before_training(labeled):
    nothing = labeled.with_images(())

    with pytest.raises(DatasetError, match="no labelled image"):
        make_loader(nothing, unlabeled_from=None)
    with pytest.raises(DatasetError, match="needs unlabelled images from step 2"):
        make_loader(labeled, nothing)
    with pytest.raises(DatasetError, match="needs unlabelled images from step 2"):
        make_loader(labeled, None)


def test_some_masks_missing_is_an_error_that_names_one(labeled):
    first, *rest = labeled.images
    thing, crowd = first.annotations
    mixed = labeled.with_images(
        [replace(first, annotations=(replace(thing, mask=None), crowd)), *rest]
    )

    with pytest.raises(DatasetError, match=r"1 of 5 annotations .* annotation 10 of image 1"):
        next(make_loader(mixed, unlabeled_from=None).batches())


def test_evaluation_sees_every_image_once_whole_and_padded(labeled, tmp_path):
    tall = make_image(tmp_path, 9, height=48, width=36)
    dataset = labeled.with_images([*labeled.images[:2], tall])

    batches = list(EvalLoader(dataset, longest_side=40, batch_size=2, device=CPU))

    assert [batch.image_ids for batch in batches] == [[1, 2], [9]]
    # 24 x 32 -> 30 x 40 -> padded 32 x 64; 48 x 36 -> 40 x 30 -> padded 64 x 32.
    assert batches[0].images.shape == (2, 3, 32, 64)
    assert batches[1].images.shape == (1, 3, 64, 32)
    geometry = batches[0].geometry[0]
    assert (geometry.height, geometry.width) == (30, 40)
    assert batches[0].images[:, :, 30:].sum() == 0
    assert batches[0].images[:, :, :, 40:].sum() == 0
    assert batches[0].images[:, :, :30, :40].min() > 0


def test_evaluation_can_be_repeated_and_may_be_empty(labeled):
    loader = EvalLoader(labeled, longest_side=32, batch_size=4, device=CPU)

    first, second = list(loader), list(loader)

    assert len(loader) == len(first) == 2
    assert all(torch.equal(a.images, b.images) for a, b in zip(first, second, strict=True))
    assert list(EvalLoader(labeled.with_images(()), 32, 4, CPU)) == []


def test_a_labelled_view_names_its_image_its_geometry_and_its_targets(labeled):
    (batch, *_) = make_loader(labeled, unlabeled_from=None).batches()

    found = batch.labeled
    assert len(found.image_ids) == len(found.geometry) == 2
    for image_id, ids, target in zip(
        found.image_ids, found.annotation_ids, found.targets, strict=True
    ):
        assert ids == [image_id * 10][: len(target)]  # the crowd beside it is no target


def test_boxes_alone_make_targets_without_masks(labeled):
    (batch, *_) = make_loader(boxes_only(labeled), unlabeled_from=None, view=PLAIN_VIEW).batches()

    assert all(target.masks is None for target in batch.labeled.targets)
    assert batch.labeled.targets[0].boxes.tolist() == [[6, 4, 20, 16]]


def test_whole_images_come_at_one_of_the_sizes_and_are_padded_together(tmp_path, labeled):
    """24 x 32 images with a short side of 48 or 96: 48 x 64 or 96 x 128."""
    view = ViewConfig(short_sides=(48, 96), max_side=200, flip_probability=0)
    sizes = set()
    for batch in make_loader(labeled, unlabeled_from=None, view=view).batches():
        shown = [(one.height, one.width) for one in batch.labeled.geometry]
        sizes |= set(shown)
        height, width = batch.labeled.weak.shape[2:]
        assert height % 32 == width % 32 == 0
        assert height - 32 < max(size[0] for size in shown) <= height
        assert width - 32 < max(size[1] for size in shown) <= width
    assert sizes == {(48, 64), (96, 128)}


def test_the_longest_side_is_bounded(labeled):
    view = ViewConfig(short_sides=(96,), max_side=64, flip_probability=0)

    (batch, *_) = make_loader(labeled, unlabeled_from=None, view=view).batches()

    assert {(one.height, one.width) for one in batch.labeled.geometry} == {(48, 64)}


def test_evaluation_can_fit_the_short_side(labeled):
    (batch, *_) = EvalLoader(labeled, 200, 5, CPU, short_side=48)
    (bounded, *_) = EvalLoader(labeled, 60, 5, CPU, short_side=48)

    assert {(one.height, one.width) for one in batch.geometry} == {(48, 64)}
    assert {(one.height, one.width) for one in bounded.geometry} == {(45, 60)}
