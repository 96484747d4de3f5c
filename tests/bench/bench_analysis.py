"""How long the analysis takes. Numbers are printed; only wide margins are asserted.

python -m tests.bench.bench_analysis
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from lab.analysis.average_precision import ImagePredictions, evaluation_kinds, mask_ap
from lab.analysis.judge import build_judge
from lab.analysis.threshold_grid import passes
from lab.analysis.what_if import IntegralHistogram
from lab.datasets.records import (
    Annotation,
    Category,
    Dataset,
    ErrorKind,
    ImageRecord,
    LabelSource,
    PseudoLabels,
    Rle,
)
from lab.datasets.rle import areas as mask_areas

pytestmark = pytest.mark.bench
HEIGHT, WIDTH, CLASSES = 480, 640, 80


def seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """The median of a few runs after one to warm up."""
    times = []
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return float(np.median(times[1:]))


def blob(random: np.random.Generator) -> Rle:
    """An ellipse with a wavy edge: 150 runs and 170 bytes on average, like an object of COCO."""
    y, x = np.ogrid[:HEIGHT, :WIDTH]
    cy, cx = random.uniform(0, HEIGHT), random.uniform(0, WIDTH)
    ry, rx = np.exp(random.uniform(np.log(8), np.log(110), 2))
    ragged = 1 + 0.15 * np.sin(random.integers(3, 12) * np.arctan2(y - cy, x - cx))
    dense = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < ragged
    made = coco_mask.encode(np.asfortranarray(dense.astype(np.uint8)))
    return Rle(HEIGHT, WIDTH, made["counts"])


def world(
    num_images: int, per_image: int, truths: int = 7
) -> tuple[Dataset, list[ImagePredictions]]:
    """Images with `truths` objects each and predictions that hit, graze or miss them."""
    random = np.random.default_rng(0)
    pool = [blob(random) for _ in range(400)]
    areas = mask_areas(pool)
    images, found = [], []
    for image_id in range(1, num_images + 1):
        chosen = random.integers(0, len(pool), truths)
        labels = random.integers(0, CLASSES, truths)
        annotations = tuple(
            Annotation(
                image_id * 100 + i, int(label), (0, 0, 1, 1), float(areas[shape]), pool[shape]
            )
            for i, (shape, label) in enumerate(zip(chosen, labels, strict=True))
        )
        images.append(ImageRecord(image_id, Path("x.jpg"), HEIGHT, WIDTH, annotations))
        hits = random.integers(0, truths, per_image)
        astray = random.random(per_image) < 0.6
        shapes = np.where(astray, random.integers(0, len(pool), per_image), chosen[hits])
        classes = np.where(astray, random.integers(0, CLASSES, per_image), labels[hits])
        found.append(
            ImagePredictions(
                image_id,
                classes,
                random.random(per_image).astype(np.float32),
                tuple(pool[shape] for shape in shapes),
            )
        )
    categories = tuple(Category(i, f"class {i}", f"group {i // 7}") for i in range(CLASSES))
    return Dataset("bench", categories, tuple(images)), found


def as_pseudo_labels(one: ImagePredictions) -> PseudoLabels:
    count = len(one.labels)
    zeros = np.zeros(count, np.float32)
    return PseudoLabels(
        one.image_id, LabelSource.PSEUDO, np.zeros((count, 4), np.float32), one.labels,
        one.labels, zeros, zeros, one.scores, one.masks, zeros, one.scores > 0.5,
        np.zeros(count, np.int64), zeros, zeros, zeros, zeros, zeros, zeros, zeros,
        visible=(20.0, 30.0, 620.0, 460.0),
    )  # fmt: skip


def test_what_if_at_half_a_million_labels():
    random = np.random.default_rng(0)
    count = 500_000
    class_quality, mask_quality = random.random((2, count), dtype=np.float32)
    kinds = random.integers(1, 6, count)
    correct = kinds == ErrorKind.COR
    duplicates = correct & (random.random(count) < 0.5)
    truths = np.where(correct, random.integers(0, 60_000, count), -1)
    arguments = (class_quality, mask_quality, kinds, duplicates, 70_000)

    built = seconds(lambda: IntegralHistogram.build(*arguments))
    exact = seconds(lambda: IntegralHistogram.build(*arguments, truths=truths))
    histogram = IntegralHistogram.build(*arguments, truths=truths)
    asked = seconds(lambda: histogram.ask(0.85, 0.9), 200)
    plane = seconds(lambda: histogram.plane("f1"))
    filtered = seconds(lambda: kinds[passes(class_quality, mask_quality, 0.85, 0.9)])
    print(
        f"\nwhat-if, 500,000 labels: build {1e3 * built:.0f} ms (found exact {1e3 * exact:.0f} ms),"
        f" ask {1e6 * asked:.0f} us, plane {1e3 * plane:.1f} ms, filtering {1e3 * filtered:.1f} ms"
    )
    assert exact < 0.6  # target 0.15 on an idle machine
    assert asked < 0.005


def test_judging_one_image():
    dataset, found = world(100, per_image=100)
    labels = [as_pseudo_labels(one) for one in found]
    judge = build_judge(dataset)

    each = seconds(lambda: [judge(one) for one in labels]) / len(labels)
    print(f"\njudge, 100 labels x 7 truths at 640x480, clipped: {1e3 * each:.2f} ms per image")
    assert each < 0.05


@pytest.mark.parametrize(("num_images", "per_image"), [(500, 30), (5_000, 100)])
def test_ap_and_breakdown(num_images, per_image):
    dataset, found = world(num_images, per_image)
    repeats = 3 if num_images < 1_000 else 1

    cpu = time.process_time()
    ap = seconds(lambda: mask_ap(dataset, found), repeats)
    confident = seconds(lambda: evaluation_kinds(dataset, found), repeats)
    cpu = (time.process_time() - cpu) / (repeats + 1)
    everything = seconds(lambda: evaluation_kinds(dataset, found, min_score=0.0), repeats)
    print(
        f"\n{num_images} images x {per_image}: AP {ap:.2f} s, breakdown of score >= 0.5 "
        f"{confident:.2f} s (both {cpu:.2f} s of processor time), of all {everything:.2f} s"
    )
    assert ap + confident < 30  # target 3 on two idle cores


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-m", "bench", "-s", "-q"]))
