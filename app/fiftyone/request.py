"""What somebody wants to see in FiftyOne: fields of labels over the images of a run. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from lab.store.queries import RunRow

Split = Literal["train", "val"]
Source = Literal["pseudo", "student", "teacher"]
"""Pseudo-labels, or the validation predictions of one network."""

GROUND_TRUTH = "ground_truth"
MOST_LETTERS = 60
"""Of a name from data in a title, or in the name of a dataset or a field."""


def eval_key(field: str) -> str:
    """The attribute that says what FiftyOne's evaluation finds of a field's labels and truths."""
    return f"eval_{field}"


@dataclass(frozen=True, slots=True)
class LabelField:
    """One field of labels in a FiftyOne dataset."""

    name: str
    """Of the field: "latest", "step_1200", "latest_strict", "teacher"."""
    run_id: str
    source: Source
    iteration: int | None
    """Of pseudo-labels: each image's newest labels up to this step. None = the newest at all."""
    run_name: str
    """What people call the run; several may share it."""

    @property
    def eval_key(self) -> str:
        """Under which FiftyOne finds what is right and wrong with the field."""
        return eval_key(self.name)


@dataclass(frozen=True, slots=True)
class Request:
    """One dataset, enough to fill it and to fill it again later."""

    root: str
    """Directory of the store."""
    run_id: str
    dataset: str
    """Its name, which is also what its address ends with."""
    fields: tuple[LabelField, ...]
    dashboard: str
    """Address of the lab's own pages, for links back."""

    @property
    def split(self) -> Split:
        return "train" if self.fields[0].source == "pseudo" else "val"

    def as_info(self) -> dict[str, Any]:
        """For `dataset.info`; `from_info` reads it back."""
        return asdict(self)

    @classmethod
    def from_info(cls, info: dict[str, Any]) -> Request:
        fields = tuple(LabelField(**{"run_name": one["run_id"], **one}) for one in info["fields"])
        return cls(**{**info, "fields": fields})


def build_request(
    root: Path,
    run: RunRow,
    *,
    iterations: tuple[int, ...] = (),
    last: bool = False,
    evaluation: bool = False,
    others: tuple[RunRow, ...] = (),
    dashboard: str = "http://127.0.0.1:7860",
) -> Request:
    """The fields of a run, and the same of the runs that it is compared with.

    Args:
        iterations: steps of pseudo-labels, one field each; none = the newest.
        last: the newest beside those.
        evaluation: the predictions on the validation images instead.
    """
    own = run_fields(run, "", iterations, last, evaluation)
    names = _suffixes(others)
    compared = [
        field
        for other, name in zip(others, names, strict=True)
        for field in run_fields(other, f"_{name}", iterations, last, evaluation)
    ]
    what = "validation" if evaluation else "pseudo-labels"
    return Request(
        root=str(root.absolute()),
        run_id=run.run_id,
        dataset=dashes(f"{run.name[:MOST_LETTERS]} {what} {run.run_id}"),
        fields=(*own, *compared),
        dashboard=dashboard.rstrip("/"),
    )


def run_fields(
    run: RunRow, suffix: str, iterations: tuple[int, ...], last: bool, evaluation: bool
) -> list[LabelField]:
    """The fields of one run; the suffix tells its names from those of other runs."""

    def field(name: str, source: Source, step: int | None = None) -> LabelField:
        return LabelField(f"{name}{suffix}", run.run_id, source, step, run.name)

    if evaluation:
        return [field("teacher", "teacher"), field("student", "student")]
    fields = [field(f"step_{step}", "pseudo", step) for step in dict.fromkeys(iterations)]
    return [*fields, field("latest", "pseudo")] if last or not fields else fields


def words_of_fields(fields: Sequence[LabelField]) -> dict[str, str]:
    """Field names -> words for people, such as "PL-DC: labels up to step 1,200".

    The run is named where there are several.
    """
    runs = words_of_runs(fields)
    return {
        one.name: (f"{runs[one.run_id]}: " if len(runs) > 1 else "") + words_of_labels(one)
        for one in fields
    }


def words_of_runs(fields: Sequence[LabelField]) -> dict[str, str]:
    """Run ids -> names of the runs, with their ids where two share one."""
    names = {one.run_id: one.run_name for one in fields}
    shared = {name for name, number in Counter(names.values()).items() if number > 1}
    return {
        run_id: short(name) + (f" ({run_id})" if name in shared else "")
        for run_id, name in names.items()
    }


def words_of_labels(field: LabelField) -> str:
    """Which labels of its run a field has."""
    if field.source != "pseudo":
        return f"predictions of the {field.source}"
    return "newest labels" if field.iteration is None else f"labels up to step {field.iteration:,}"


def short(name: str, most: int = MOST_LETTERS) -> str:
    """A name from data, cut where it is too long for a title or an address."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _suffixes(runs: tuple[RunRow, ...]) -> list[str]:
    """A name for each that FiftyOne takes as part of a field's; run ids where names collide."""
    slugs = [slug(run.name[:MOST_LETTERS]) for run in runs]
    return [
        one if one and slugs.count(one) == 1 else f"{one or 'run'}_{slug(run.run_id)}"
        for one, run in zip(slugs, runs, strict=True)
    ]


def slug(text: str) -> str:
    """ "Teacher (strict)" -> "teacher_strict"."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def dashes(text: str) -> str:
    """ "Teacher (strict)" -> "teacher-strict": a name that FiftyOne finds again by its address."""
    return slug(text).replace("_", "-")
