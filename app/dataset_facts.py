"""What the Data page says of a run's datasets; counted once per content and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.recent import Recent
from lab.analysis.dataset_summary import summarize
from lab.config import FOREIGN, RunConfig, parse_run_config
from lab.datasets.load import class_frequencies
from lab.datasets.parts import Part, PartName, training_parts
from lab.store.image_queries import Split
from lab.store.queries import RunRow
from lab.store.run_datasets import dataset_keys, dataset_without_masks
from lab.store.store import Store

MOST_KEPT = 16
"""Runs whose facts stay in memory; those with the same images and split share them."""


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """`told` is what the browser gets; `image_ids` are those of each part, in its order."""

    told: dict[str, Any]
    image_ids: Mapping[PartName, Sequence[int]]


class FactsCache:
    """Facts by what they depend on."""

    def __init__(self) -> None:
        self._recent: Recent[str, DatasetFacts] = Recent(MOST_KEPT)

    def of(self, store: Store, row: RunRow) -> DatasetFacts:
        """Counted by the first who asks; others wait for it."""
        key = repr((dataset_keys(store, row.run_id), own_config(row), row.categories))
        return self._recent.of(key, lambda: count_facts(store, row))


def own_config(row: RunRow) -> RunConfig | None:
    """The run's config; None for a run that other code recorded."""
    return None if FOREIGN in row.config else parse_run_config(row.config)


def split_of(name: PartName) -> Split:
    """Which dataset of the store a part's images are in."""
    return "val" if name == "val" else "train"


def count_facts(store: Store, row: RunRow) -> DatasetFacts:
    """Every part of the run's data in numbers, and how often each class is in it."""
    parts = parts_of(store, row)
    told = {
        "parts": [part_entry(part) for part in parts],
        "classes": class_entries(row, parts),
    }
    ids: dict[PartName, Sequence[int]] = {
        part.name: tuple(one.image_id for one in part.dataset.images) for part in parts
    }
    return DatasetFacts(told, ids)


def parts_of(store: Store, row: RunRow) -> list[Part]:
    """Training images by what the run may know of them, then validation; [] = none attached."""
    train = dataset_without_masks(store, row.run_id, "train")
    if train is None:
        return []
    config = own_config(row)
    if config is None:
        return [Part("train", "unknown", train)]
    val = dataset_without_masks(store, row.run_id, "val") or train.with_images(())
    return [*training_parts(config, train), Part("val", "measure", val)]


def part_entry(part: Part) -> dict[str, Any]:
    return {
        "name": part.name,
        "use": part.use,
        "dataset": part.dataset.name,
        "never_annotated": part.never_annotated,
    } | asdict(summarize(part.dataset))


def class_entries(row: RunRow, parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Each class of the run with its objects in each part; crowds are none."""
    counts = {part.name: class_frequencies(part.dataset).tolist() for part in parts}
    return [
        {
            "label": label,
            "name": category.name,
            "supercategory": category.supercategory,
            "objects": {name: counted(numbers, label) for name, numbers in counts.items()},
        }
        for label, category in enumerate(row.categories)
    ]


def counted(numbers: Sequence[int], label: int) -> int:
    return numbers[label] if label < len(numbers) else 0
