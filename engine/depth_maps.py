"""Depth maps of a dataset, made once by a frozen network: what Pseudo-Depth trains with.

python -m engine.depth_maps DATASET [IMAGES] --model PATH|NAME [--out DIR]

DATASET is the .toml file of a run (its training images), or a COCO .json file with the directory of
its IMAGES. One grey PNG of 16 bits per image, the nearest lightest, under the image's name; maps
that are there are left alone, so the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from engine.data.decoding import read_image
from engine.data.geometry import DepthArray
from engine.progress import StepProgress
from lab.config import CocoConfig, ConfigError, load_run_config
from lab.datasets.coco import read_images
from lab.datasets.coco_file import DatasetError
from lab.datasets.depth_files import depth_files
from lab.datasets.records import FloatArray, ImageRecord


@dataclass(frozen=True)
class Task:
    """Which images get depth maps, and where these belong."""

    images: tuple[ImageRecord, ...]
    images_dir: Path
    out: Path

    def missing(self) -> list[tuple[ImageRecord, Path]]:
        """Images without a map, each with the file it gets."""
        files = depth_files(self.images, self.images_dir, self.out)
        pairs = zip(self.images, files, strict=True)
        return [(one, file) for one, file in pairs if one.depth_path is None and not file.is_file()]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 = done, 1 = stopped or the disk refused, 2 = bad input."""
    options = _parse(arguments)
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    try:
        task = open_task(options.dataset, options.images, options.out)
        made = make_maps(task, options.model, _device(options.device), options.limit)
    except (ConfigError, DatasetError) as error:
        print(f"seglab: {error}", file=sys.stderr)  # noqa: T201
        return 2
    except OSError as error:
        print(f"seglab: {error.filename}: cannot be written: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        print("seglab: stopped; the same command goes on from here", file=sys.stderr)  # noqa: T201
        return 1
    left = len(task.missing())
    told = {"out": str(task.out), "images": len(task.images), "made": made, "left": left}
    print(json.dumps(told, indent=2))  # noqa: T201
    return 0


def open_task(dataset: str, images: Path | None, out: Path | None) -> Task:
    """What a command line asks for. Raises ConfigError and DatasetError."""
    path = Path(dataset)
    if path.suffix == ".toml":
        config = load_run_config(path).dataset
        if not isinstance(config, CocoConfig):
            raise ConfigError(f"{path}: dataset.source = {config.source!r} brings its depth maps")
        out = out or config.train_depth
        if out is None:
            raise ConfigError(
                f"{path}: dataset.train_depth names no directory for depth maps; set it, or give "
                "--out"
            )
        return Task(read_images(config.train_json, config.train_images), config.train_images, out)
    if path.suffix != ".json":
        raise ConfigError(f"{dataset}: expected the .toml file of a run, or a COCO .json file")
    if images is None:
        raise ConfigError(f"{dataset}: say in which directory its images are, as a second argument")
    if out is None:
        raise ConfigError(f"{dataset}: say with --out where the depth maps belong")
    return Task(read_images(path, images), images, out)


def make_maps(task: Task, model: str, device: torch.device, limit: int | None = None) -> int:
    """Make what is missing, `limit` maps at most; how many were made."""
    missing = task.missing()[:limit]
    if not missing:
        return 0
    # The library behind it takes seconds to import: nobody waits for it in vain.
    from engine.models.depth import DepthError, load_depth_predictor

    network = load_depth_predictor(model, device)
    with StepProgress("estimating depth", len(missing)) as bar:
        for done, (record, file) in enumerate(missing, start=1):
            try:
                depth = network.inverse_depth(read_image(record))
            except DepthError as error:
                raise DatasetError(f"{record.path}: {error}") from None
            write_depth(file, as_grey(depth))
            bar.update(done, record.path.name)
    return len(missing)


def as_grey(depth: FloatArray) -> DepthArray:
    """(H, W) of any numbers -> 0..65535, linear from the least to the largest; 0 where flat."""
    low, high = float(depth.min()), float(depth.max())
    if not high > low:
        return np.zeros(depth.shape, np.uint16)
    share = (depth.astype(np.float64) - low) / (high - low)
    return np.rint(share * 65535).astype(np.uint16)


def write_depth(path: Path, depth: DepthArray) -> None:
    """A PNG of 16 bits, complete or absent, also when the process is killed. Raises OSError."""
    _, encoded = cv2.imencode(".png", depth)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(encoded.tobytes())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"--device {name}: there is no CUDA device here")
    return torch.device(name)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m engine.depth_maps", description=__doc__)
    parser.add_argument("dataset", help="a run's .toml, or a COCO .json")
    parser.add_argument("images", nargs="?", type=Path, help="directory of the .json's images")
    parser.add_argument("--model", required=True, help="a directory, or a name on the model hub")
    parser.add_argument("--out", type=Path, help="directory of the maps")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ...")
    parser.add_argument("--limit", type=int, help="make so many maps at most")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
