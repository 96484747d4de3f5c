"""What somebody wants to see in FiftyOne: fields of labels over the images of a run. Pure."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from lab.store.queries import RunRow

Source = Literal["pseudo", "student", "teacher"]
"""Pseudo-labels, or the validation predictions of one network."""

GROUND_TRUTH = "ground_truth"
MOST_LETTERS = 60
"""Of a run's name in the name of a dataset or a field: FiftyOne takes no name of any length."""


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
    def split(self) -> Literal["train", "val"]:
        return "train" if self.fields[0].source == "pseudo" else "val"

    def as_info(self) -> dict[str, Any]:
        """For `dataset.info`; `from_info` reads it back."""
        return asdict(self)

    @classmethod
    def from_info(cls, info: dict[str, Any]) -> Request:
        fields = tuple(LabelField(**one) for one in info["fields"])
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
    own = run_fields(run.run_id, "", iterations, last, evaluation)
    names = _suffixes(others)
    compared = [
        field
        for other, name in zip(others, names, strict=True)
        for field in run_fields(other.run_id, f"_{name}", iterations, last, evaluation)
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
    run_id: str, suffix: str, iterations: tuple[int, ...], last: bool, evaluation: bool
) -> list[LabelField]:
    """The fields of one run; the suffix tells its names from those of other runs."""
    if evaluation:
        sources: tuple[Source, Source] = ("teacher", "student")
        return [LabelField(f"{one}{suffix}", run_id, one, None) for one in sources]
    steps = dict.fromkeys(iterations)
    fields = [LabelField(f"step_{step}{suffix}", run_id, "pseudo", step) for step in steps]
    if last or not fields:
        fields.append(LabelField(f"latest{suffix}", run_id, "pseudo", None))
    return fields


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
