"""Labels with masks into a FiftyOne dataset, and the same again: images per second.

python -m tests.bench.bench_fiftyone [IMAGES]
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil

from app.fiftyone.database import database
from app.fiftyone.environment import use
from app.fiftyone.request import build_request
from lab.config import parse_run_config
from lab.datasets.records import Annotation, Dataset, ImageRecord, Rle
from lab.datasets.rle import area, encode, tight_box
from lab.store.queries import get_run
from lab.store.recorder import StoreRecorder
from lab.store.runs import attach_datasets, create_run
from lab.store.store import Store
from tests.factories import CATEGORIES, pseudo_labels

WIDTH, HEIGHT, LABELS, TRUTHS = 640, 480, 20, 7


def main(num_images: int) -> None:
    """Fill a store, then a dataset from it, twice."""
    with tempfile.TemporaryDirectory() as directory, Store.open(Path(directory)) as store:
        run_id = record(store, num_images)
        request = build_request(store.root, get_run(store, run_id))
        with database(store.root) as address:
            use(address, store.root)
            began = time.perf_counter()
            from app.fiftyone.showing import show

            print(f"import fiftyone   {time.perf_counter() - began:6.1f} s")
            for what in ("first opening", "opening again"):
                measure(what, num_images, lambda: show(store, request))


def measure(what: str, num_images: int, work) -> None:
    """Wall and processor time, ours and MongoDB's: on a busy machine the first says little."""
    servers = [one for one in psutil.process_iter(["name"]) if one.info["name"] == "mongod"]
    before, began, own = [cpu(one) for one in servers], time.perf_counter(), time.process_time()
    work()
    wall, own = time.perf_counter() - began, time.process_time() - own
    theirs = sum(cpu(one) - past for one, past in zip(servers, before, strict=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{what:17} {wall:6.1f} s, {num_images / wall:6.1f} images/s; processor: ours {own:.1f} s, "
        f"MongoDB's {theirs:.1f} s; peak {peak:.0f} MB"
    )


def cpu(process: psutil.Process) -> float:
    return sum(process.cpu_times()[:2])


def record(store: Store, num_images: int) -> str:
    """One step with 20 labels on each image, masks of 640 x 480 pixels."""
    rng = np.random.default_rng(0)
    pool = [blob(rng) for _ in range(200)]
    images = tuple(image(store.root, number, pool) for number in range(1, num_images + 1))
    dataset = Dataset("bench", CATEGORIES, images)
    run_id = create_run(store, parse_run_config({"name": "bench"}))
    attach_datasets(store, run_id, dataset, dataset)
    with StoreRecorder(store, run_id) as recorder:
        for one in images:
            recorder.pseudo_labels(1, [labels(one.image_id, pool)])
        recorder.finish("finished")
    return run_id


def blob(rng: np.random.Generator) -> Rle:
    """An ellipse of 30 to 150 pixels across."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    centre = rng.uniform(80, 400, 2)
    radius = rng.uniform(15, 75, 2)
    return encode(((x - centre[0]) / radius[0]) ** 2 + ((y - centre[1]) / radius[1]) ** 2 <= 1)


def labels(image_id: int, pool: list[Rle]):
    """Judged labels whose masks are from the pool."""
    made = pseudo_labels(LABELS, image_id=image_id)
    masks = tuple(pool[(image_id * 31 + place * 7) % len(pool)] for place in range(LABELS))
    boxes = np.array([tight_box(mask) for mask in masks], np.float32)
    areas = np.array([area(mask) for mask in masks], np.float32)
    return replace(made, masks=masks, boxes=boxes, areas=areas)


def image(root: Path, number: int, pool: list[Rle]) -> ImageRecord:
    masks = [pool[(number * 17 + place) % len(pool)] for place in range(TRUTHS)]
    truths = tuple(
        Annotation(number * 100 + place, place % 4, tight_box(mask), float(area(mask)), mask)
        for place, mask in enumerate(masks)
    )
    return ImageRecord(number, root / f"{number}.jpg", HEIGHT, WIDTH, truths)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5_000)
