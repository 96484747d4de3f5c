"""What is odd about the data of runs, in sentences."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lab.store.queries import DatasetFacts, DatasetRow


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence, and how bad it is."""

    severity: Literal["warning", "note"]
    words: str


def findings(
    train: DatasetRow, of_train: DatasetFacts, val: DatasetRow, of_val: DatasetFacts
) -> list[Finding]:
    """Everything worth knowing about training and validation images, warnings first."""
    found = [*_class_findings(train, of_train, of_val)]
    for part, row, facts in (("training", train, of_train), ("validation", val, of_val)):
        found += _part_findings(part, row, facts)
    return sorted(found, key=lambda one: one.severity, reverse=True)


def check_command(config: Mapping[str, Any]) -> str | None:
    """The verb that examines the files of a run's dataset; None for generated images."""
    if config["dataset"]["source"] != "coco":
        return None
    parts = (config["dataset"][f"train_{kind}"] for kind in ("json", "images"))
    return f"seglab data check {' '.join(shlex.quote(str(part)) for part in parts)}"


def _class_findings(
    train: DatasetRow, of_train: DatasetFacts, of_val: DatasetFacts
) -> Iterator[Finding]:
    taught, judged = ({one.label for one in facts.classes} for facts in (of_train, of_val))
    for label, category in enumerate(train.categories):
        if label not in taught and label in judged:
            yield Finding(
                "warning", f"{category.name}: no training image shows one, so nobody learns it"
            )
        elif label not in judged:
            yield Finding(
                "note",
                f"{category.name}: no validation image shows one, so its AP does not count",
            )


def _part_findings(part: str, row: DatasetRow, facts: DatasetFacts) -> Iterator[Finding]:
    objects = sum(one.objects for one in facts.classes)
    maskless = sum(one.without_mask for one in facts.classes)
    if maskless:
        yield Finding("note", f"{maskless:,} of {objects:,} {part} objects have a box and no mask")
    if facts.empty_images:
        yield Finding(
            "note", f"{facts.empty_images:,} of {row.num_images:,} {part} images hold no object"
        )
    if facts.crowds:
        yield Finding(
            "note", f"{facts.crowds:,} crowds in {part} images: labels on them are not judged"
        )
