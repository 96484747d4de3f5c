"""What a CLIP makes of the true objects of a dataset: PL-DC's Table II (App. D) for any of both.

python -m engine.clip_report DATASET [IMAGES] --store ROOT [--model NAME] [--pretrained TAG]

DATASET is `shapes`, a .toml file of a run (its validation images and its CLIP), or a COCO .json
file with the directory of its IMAGES. The report is printed as JSON and kept in ROOT/clip-reports.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from pydantic import ValidationError

from engine.data.decoding import read_image
from engine.models.clip import OpenClipCorrector, build_corrector
from engine.progress import StepProgress
from lab.analysis.recognition import NOT_JUDGED, Recognition, recognition
from lab.config import ClipConfig, ConfigError, PlDcConfig, ShapesConfig, load_run_config
from lab.config.mistakes import explain
from lab.datasets import rle
from lab.datasets.coco import read_coco
from lab.datasets.coco_file import DatasetError
from lab.datasets.records import Annotation, Dataset, FloatArray, ImageRecord, IntArray
from lab.datasets.shapes import make_shapes, shapes_directory_name

FORMAT = "seglab clip report 1"
SHAPES = ShapesConfig(num_train=1, num_val=400)
"""Validation images of the demo's generator; the first 100 are the demo's."""


@dataclass(frozen=True)
class Subject:
    """The images to look at, and the CLIP that their run is configured with."""

    dataset: Dataset
    clip: ClipConfig


@dataclass(frozen=True)
class Answers:
    """N objects: what they are, what they were taken for, and how large they are."""

    truth: IntArray
    answers: IntArray
    areas: FloatArray


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 = done, 2 = bad input."""
    options = _parse(arguments)
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    try:
        report = make_report(options)
    except (ConfigError, DatasetError) as error:
        print(f"seglab: {error}", file=sys.stderr)  # noqa: T201
        return 2
    text = json.dumps(report, indent=2)
    _keep(options.store / "clip-reports" / f"{report['key']}.json", text)
    print(text)  # noqa: T201
    return 0


def _keep(path: Path, text: str) -> None:
    """Complete or absent, also for somebody who looks just now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(text + "\n", encoding="utf-8")
    temporary.replace(path)


def make_report(options: argparse.Namespace) -> dict[str, Any]:
    """Everything the report says, as JSON has it."""
    subject = open_subject(options.dataset, options.images, options.store / "datasets")
    config = _with_options(subject.clip, options)
    dataset = subject.dataset.with_images(subject.dataset.images[: options.limit])
    if not any(map(_objects, dataset.images)):
        raise DatasetError(f"{options.dataset}: no annotated object to look at")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if config.pretrained == "labeled":
        raise ConfigError(
            'method.clip.pretrained = "labeled": that CLIP belongs to a run; name its weights, '
            "runs/RUN/clip.safetensors in the store, with --pretrained"
        )
    judge = build_corrector(config, dataset.with_images(()), Path(), 0, device)
    started = time.monotonic()
    found = recognise_objects(judge, dataset, device)
    seconds = time.monotonic() - started
    known = judge.texts.known.cpu().numpy()
    result = recognition(dataset.categories, known, found.truth, found.answers, found.areas)
    return _described(options.dataset, dataset, config, result, seconds)


def open_subject(name: str, images: Path | None, root: Path) -> Subject:
    """The validation images that a name stands for. Raises ConfigError and DatasetError."""
    path = Path(name)
    if name == "shapes":
        return Subject(_shapes_validation(SHAPES, root), ClipConfig())
    if path.suffix == ".toml":
        return _subject_of_run(path, root)
    if path.suffix != ".json":
        raise ConfigError(
            f"{name}: expected `shapes`, the .toml file of a run, or a COCO .json file"
        )
    if images is None:
        raise ConfigError(f"{name}: say in which directory its images are, as a second argument")
    return Subject(read_coco(path, images), ClipConfig())


def _subject_of_run(path: Path, root: Path) -> Subject:
    config = load_run_config(path)
    clip = config.method.clip if isinstance(config.method, PlDcConfig) else ClipConfig()
    if isinstance(config.dataset, ShapesConfig):
        return Subject(_shapes_validation(config.dataset, root), clip)
    return Subject(read_coco(config.dataset.val_json, config.dataset.val_images), clip)


def _shapes_validation(config: ShapesConfig, root: Path) -> Dataset:
    """With one training image: the validation images are the same, and sooner there."""
    alone = config.model_copy(update={"num_train": 1})
    if (root / shapes_directory_name(alone)).is_dir():
        return make_shapes(alone, root)[1]
    with StepProgress("generating images", alone.num_val + 1) as bar:
        return make_shapes(alone, root, lambda done, _: bar.update(done))[1]


def recognise_objects(judge: OpenClipCorrector, dataset: Dataset, device: torch.device) -> Answers:
    """Ask about every annotated object but crowds. Objects of unknown classes are not judged."""
    known = judge.texts.known.cpu()
    parts: list[tuple[IntArray, IntArray, FloatArray]] = []
    images = [one for one in dataset.images if _objects(one)]
    with StepProgress("looking at objects", len(images)) as bar:
        for index, record in enumerate(images):
            objects = _objects(record)
            truth = torch.tensor([one.label for one in objects])
            answers = _ask(judge, record, objects, device)
            answers[~known[truth]] = NOT_JUDGED
            areas = np.array([one.area for one in objects], dtype=np.float32)
            parts.append((truth.numpy(), answers.numpy(), areas))
            bar.update(index + 1, f"{sum(len(part[0]) for part in parts)} objects")
    truth, answers, areas = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Answers(truth, answers, areas)


def _objects(record: ImageRecord) -> list[Annotation]:
    return [one for one in record.annotations if not one.is_crowd]


def _ask(
    judge: OpenClipCorrector,
    record: ImageRecord,
    objects: Sequence[Annotation],
    device: torch.device,
) -> torch.Tensor:
    """The best class of each object on the host, NOT_JUDGED where it was not seen. (N,) int64."""
    pixels = torch.from_numpy(read_image(record)).to(device)
    image = pixels.permute(2, 0, 1)[None].float() / 255
    boxes = torch.tensor(
        [one.box if one.mask is None else rle.tight_box(one.mask) for one in objects]
    )
    probabilities = judge.probabilities_in(image, [boxes.float().to(device)]).cpu()
    best = probabilities.nan_to_num(-1.0).max(dim=1)
    return best.indices.masked_fill(best.values < 0, NOT_JUDGED)


def _with_options(config: ClipConfig, options: argparse.Namespace) -> ClipConfig:
    """The command line wins. What CLIP has no word for is left out of the report, not refused."""
    given = {
        "model": options.model,
        "pretrained": options.pretrained,
        "templates": options.template,
        "descriptions": options.descriptions,
        "combine": options.combine,
        "margin": options.margin,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    tree = config.model_dump() | changes | {"unknown_classes": "keep"}
    try:
        return ClipConfig.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(explain(error, "clip-report", ClipConfig)) from None


def _described(
    asked: str, dataset: Dataset, config: ClipConfig, result: Recognition, seconds: float
) -> dict[str, Any]:
    about = {
        "dataset": {"name": dataset.name, "source": asked, "images": len(dataset.images)},
        "clip": config.model_dump(mode="json"),
    }
    return {
        "format": FORMAT,
        "key": report_key(about),
        "created": time.time(),
        "seconds": round(seconds, 3),
        **about,
        **asdict(result),
    }


def report_key(about: dict[str, Any]) -> str:
    """A file name for a dataset and a CLIP: the same question gives the same."""
    words = f"{about['dataset']['name']} {about['clip']['model']} {about['clip']['pretrained']}"
    readable = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:60].strip("-")
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:8]
    return f"{readable}-{digest}"


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m engine.clip_report", description=__doc__)
    parser.add_argument("dataset", help="`shapes`, a run's .toml, or a COCO .json")
    parser.add_argument("images", nargs="?", type=Path, help="directory of the .json's images")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--model", help="an open_clip name, or tiny")
    parser.add_argument("--pretrained", help="a tag or a file")
    parser.add_argument("--template", action="append", help="such as 'a photo of a {class}.'")
    parser.add_argument("--descriptions", help="a JSON or TOML file, class -> sentences")
    parser.add_argument("--combine", choices=["features", "logits"])
    parser.add_argument("--margin", type=float, help="context, a share of the box's sides")
    parser.add_argument("--limit", type=int, help="look at the first images only")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
