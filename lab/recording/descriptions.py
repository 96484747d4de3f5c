"""What a run of somebody else's code is called, and what it trains on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.config import FOREIGN
from lab.datasets.coco import read_coco
from lab.datasets.records import Category, Dataset
from lab.recording.arrays import MOST_STEPS, BadRecord, existing_file, text_of, whole_number
from lab.store.jsonable import jsonable
from lab.store.runs import RunDescription

Data = Dataset | tuple[Path | str, Path | str]
"""A dataset, or (COCO json, directory of its images)."""


def describe(
    name: str,
    method: str,
    host: str,
    dataset: Dataset | None,
    max_steps: int,
    seed: int,
    config: Mapping[str, Any],
) -> RunDescription:
    """The config begins as those of our own runs do, so that tables and comparisons read both."""
    return RunDescription(
        name=text_of("name", name),
        method=text_of("method", method),
        host=text_of("host", host),
        dataset="own" if dataset is None else dataset.name,
        max_steps=whole_number("max_steps", max_steps, least=1, most=MOST_STEPS),
        seed=whole_number("seed", seed),
        config={
            "name": name,
            "seed": int(seed),
            "method": {"name": method},
            "host": {"name": host},
            "schedule": {"max_steps": int(max_steps)},
            FOREIGN: _plain(config),
        },
    )


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """What can be stored as JSON; numbers of numpy are numbers, NaN is null."""
    if not isinstance(config, Mapping):
        raise BadRecord(f"config: {type(config).__name__}, expected a mapping")
    plain = jsonable(config)
    for key, value in plain.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError) as error:
            raise BadRecord(f"config[{key!r}] = {value!r}: {error}") from None
    return plain


def dataset_of(given: Data | None) -> Dataset | None:
    if given is None or isinstance(given, Dataset):
        return given
    json_path, images = given
    return read_coco(existing_file("dataset", json_path), Path(images))


def categories_of(classes: Sequence[str] | Mapping[str, str] | None) -> tuple[Category, ...]:
    if classes is None or isinstance(classes, str) or len(classes) == 0:
        raise BadRecord(f"classes = {classes!r}: expected the names of the classes, or a dataset")
    pairs = classes.items() if isinstance(classes, Mapping) else [(one, one) for one in classes]
    found = tuple(
        Category(number, text_of("classes", name), text_of("classes", above))
        for number, (name, above) in enumerate(pairs, start=1)
    )
    names = [one.name for one in found]
    for one in names:
        if names.count(one) > 1:
            raise BadRecord(f"classes: {one!r} is there twice")
    return found
