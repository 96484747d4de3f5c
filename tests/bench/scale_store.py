"""A store of ten million labels, written once by the real recorder and kept for the next time.

    SEGLAB_BENCH_DIR=DIRECTORY python -m tests.bench.scale_store [LABELS]

A hundred runs as a year of work leaves them, the smallest a twentieth of the largest. The last two
are named "boxes" (its labels have the scores of masks made from boxes) and "bench", and hold half a
million labels each when there are ten million in all. The images are painted, so pages can draw.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lab.datasets.records import Dataset, ErrorKind, ImageRecord, LabelSource, PseudoLabels
from lab.store.recorder import StoreRecorder
from lab.store.runs import add_event, attach_datasets, create_run
from lab.store.store import Store
from tests.factories import (
    CATEGORIES,
    box_scores,
    example_config,
    example_evaluation,
    painted_dataset,
    pseudo_labels,
)

VERSION = 1
"""Of what is written; another one is another store."""
LABELS = 10_000_000
LARGE_SHARE = 20
"""The last two runs have this part of all labels each."""
OTHER_RUNS = 98
NUM_IMAGES, SIDE, VARIANTS = 200, 96, 8
IMAGES_PER_STEP, PER_IMAGE = 8, 25
LABELS_PER_STEP = IMAGES_PER_STEP * PER_IMAGE
KEEP_EVERY = 50
SCALARS = (
    *("loss/total", "loss/sup/class", "loss/sup/mask", "loss/sup/box", "lr", "time/step"),
    *("loss/unsup/class", "loss/unsup/mask", "loss/unsup/box", "time/data", "train/kept", "norm"),
)

Pool = Sequence[Sequence[PseudoLabels]]
"""[image][variant]: what a teacher says of an image at different times."""


@dataclass(frozen=True)
class ScaleStore:
    """Where the store is, and how it came to be."""

    root: Path
    labels: int
    seconds: float | None
    """It took so long to write; None = it was there already."""


@contextmanager
def bench_directory() -> Iterator[Path]:
    """A place for what benchmarks make: $SEGLAB_BENCH_DIR, which keeps it, or one that goes."""
    kept = os.environ.get("SEGLAB_BENCH_DIR")
    if kept:
        Path(kept).mkdir(parents=True, exist_ok=True)
        yield Path(kept).absolute()
        return
    with tempfile.TemporaryDirectory(prefix="seglab-bench-") as directory:
        yield Path(directory)


def scale_store(directory: Path, labels: int = LABELS) -> ScaleStore:
    """The store of that many labels in `directory`; written when it is not there in full."""
    root = directory / f"store-{labels}-v{VERSION}"
    complete = root / "complete"
    if complete.exists():
        return ScaleStore(root, labels, None)
    shutil.rmtree(root, ignore_errors=True)
    begin = time.perf_counter()
    write_store(root, labels)
    complete.touch()
    return ScaleStore(root, labels, time.perf_counter() - begin)


def write_store(root: Path, labels: int) -> None:
    train = painted(root)
    pool = [[sayings(image, seed) for seed in range(VARIANTS)] for image in train.images]
    boxed = [[replace(one, box_scores=box_scores(one)) for one in of_image] for of_image in pool]
    with Store.open(root) as store:
        for number, size in enumerate(run_sizes(labels)):
            record_run(store, f"run {number}", train, pool, size)
        for name, made in (("boxes", boxed), ("bench", pool)):
            record_run(store, name, train, made, labels // LARGE_SHARE)


def painted(root: Path) -> Dataset:
    """The images of all runs."""
    return painted_dataset(root / "pictures", "painted", NUM_IMAGES, SIDE, 0)


def run_sizes(labels: int) -> list[int]:
    """Labels of the small runs, by the order in which they were made: sums to what is left."""
    weights = np.geomspace(1, 20, OTHER_RUNS)[np.random.default_rng(0).permutation(OTHER_RUNS)]
    left = labels - 2 * (labels // LARGE_SHARE)
    return [int(size) for size in weights / weights.sum() * left]


def sayings(image: ImageRecord, seed: int) -> PseudoLabels:
    """Labels of an image with made-up kinds that fit its truth: each lies on an object it has."""
    made = pseudo_labels(PER_IMAGE, image_id=image.image_id, seed=seed, side=SIDE)
    ids = np.array([truth.annotation_id for truth in image.annotations], np.int64)
    assert made.kinds is not None
    if len(ids) == 0:
        background = np.full(PER_IMAGE, ErrorKind.BG)
        none = np.full(PER_IMAGE, -1)
        return replace(made, kinds=background, gt_ids=none, num_truths=0, missed=0)
    chosen = ids[np.random.default_rng([seed, image.image_id]).integers(0, len(ids), PER_IMAGE)]
    on_nothing = made.kinds == ErrorKind.BG
    return replace(
        made, gt_ids=np.where(on_nothing, -1, chosen), num_truths=len(ids), missed=len(ids) // 2
    )


def record_run(store: Store, name: str, train: Dataset, pool: Pool, labels: int) -> None:
    """One run of about that many labels, eight images of 25 a step."""
    steps = max(1, labels // LABELS_PER_STEP)
    run_id = create_run(
        store, example_config(name, "boxseg" if name == "boxes" else "pl_dc", steps)
    )
    attach_datasets(store, run_id, train, train.with_images(()))
    rng = np.random.default_rng(steps)
    with StoreRecorder(store, run_id, keep_every=KEEP_EVERY) as recorder:
        for step in range(steps):
            recorder.scalars(step, dict(zip(SCALARS, rng.random(len(SCALARS)), strict=True)))
            images = rng.choice(len(pool), IMAGES_PER_STEP, replace=False)
            variants = rng.integers(0, VARIANTS, IMAGES_PER_STEP)
            recorder.pseudo_labels(
                step, [pool[i][v] for i, v in zip(images, variants, strict=True)]
            )
            if (step + 1) % max(1, steps // 10) == 0:
                recorder.evaluation(step + 1, example_evaluation("teacher", step / steps))
                recorder.evaluation(step + 1, example_evaluation("student", step / steps))
                recorder.pseudo_labels(step + 1, probes(pool))
    add_event(store, run_id, steps // 2, "thresholds", {"class_threshold": 0.8})


def probes(pool: Pool) -> list[PseudoLabels]:
    """Teacher and student on two images that a run looks at again and again."""
    both = (LabelSource.PROBE_TEACHER, LabelSource.PROBE_STUDENT)
    return [replace(of_image[0], source=one) for of_image in pool[:2] for one in both]


def main(labels: int = LABELS) -> None:
    with bench_directory() as directory:
        made = scale_store(directory, labels)
        size = (made.root / "store.db").stat().st_size
        took = "was there" if made.seconds is None else f"written in {made.seconds:.0f} s"
        sys.stdout.write(
            f"{made.root}: {labels:,} labels of {len(CATEGORIES)} classes, {took}, "
            f"{size / 1e9:.2f} GB, {size / labels:.0f} bytes per label\n"
        )


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
