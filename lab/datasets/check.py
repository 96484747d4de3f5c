"""What is wrong with a COCO dataset, why it matters and what to do: every finding at once.

Where `read_coco` stops at the first thing it cannot use, this goes on. An *error* stops the
reader or the training; a *warning* changes results without a word; a *note* is worth knowing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.datasets.check_annotations import annotation_findings
from lab.datasets.check_images import image_findings
from lab.datasets.coco_fields import whole_number
from lab.datasets.coco_file import CocoFile, DatasetError, open_coco, shortened
from lab.datasets.findings import Finding, Severity

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True, slots=True)
class Issue:
    """All findings of one kind; `where` and `message` are those of the first."""

    severity: Severity
    code: str
    """A short name that stays the same between versions, such as "annotation-id-zero"."""
    where: str
    message: str
    count: int


@dataclass(frozen=True, slots=True)
class Report:
    """What a dataset holds and what is wrong with it, worst first."""

    issues: tuple[Issue, ...]
    num_images: int = 0
    num_annotations: int = 0
    num_crowds: int = 0
    num_categories: int = 0

    @property
    def usable(self) -> bool:
        """Nothing in it stops the reader or the training."""
        return all(issue.severity != "error" for issue in self.issues)

    def with_severity(self, severity: Severity) -> tuple[Issue, ...]:
        return tuple(issue for issue in self.issues if issue.severity == severity)


def check_coco(json_path: Path, images_dir: Path, max_decoded: int = 2_000) -> Report:
    """Examine a COCO instances json and its images.

    Args:
        max_decoded: so many images, spread evenly, are decoded completely; of the others only
            the header is read.
    """
    try:
        file = open_coco(json_path)
    except DatasetError as error:
        return _unreadable(json_path, error)
    findings = [
        *_category_findings(file),
        *image_findings(file, images_dir, max_decoded),
        *annotation_findings(file),
    ]
    return Report(
        issues=_grouped(findings),
        num_images=len(file.images),
        num_annotations=len(file.annotations),
        num_crowds=sum(bool(entry.get("iscrowd")) for entry in file.annotations),
        num_categories=len(file.categories),
    )


def check_unannotated(json_path: Path, images_dir: Path, max_decoded: int = 2_000) -> Report:
    """The same for a json whose images alone are used, `dataset.unlabeled_json`."""
    try:
        file = open_coco(json_path, images_only=True)
    except DatasetError as error:
        return _unreadable(json_path, error)
    found = image_findings(file, images_dir, max_decoded)
    issues = _grouped([one for one in found if one.code != "images-without-annotations"])
    return Report(issues, num_images=len(file.images))


def _unreadable(json_path: Path, error: DatasetError) -> Report:
    problem = str(error).removeprefix(f"{json_path}: ")
    return Report((Issue("error", "unreadable-file", str(json_path), problem, 1),))


def _grouped(findings: list[Finding]) -> tuple[Issue, ...]:
    counts = Counter(finding.code for finding in findings)
    first = {finding.code: finding for finding in reversed(findings)}
    issues = [Issue(f.severity, f.code, f.where, f.message, counts[f.code]) for f in first.values()]
    return tuple(sorted(issues, key=lambda one: (SEVERITIES.index(one.severity), one.code)))


def _category_findings(file: CocoFile) -> Iterator[Finding]:
    if not file.categories:
        yield Finding(
            "error", "no-categories", "categories", "The list is empty: name the classes."
        )
    ids: Counter[int] = Counter()
    names: Counter[str] = Counter()
    for index, entry in enumerate(file.categories):
        where, category_id, name = f"categories[{index}]", entry.get("id"), entry.get("name")
        number = whole_number(category_id)
        if number is None or not isinstance(name, str) or not name:
            yield Finding(
                "error",
                "bad-category",
                where,
                f"id {shortened(category_id)}, name {shortened(name)}: a category needs a whole "
                "number and a name.",
            )
            continue
        ids[number] += 1
        names[name] += 1
        if ids[number] == 2:
            yield Finding(
                "error",
                "duplicate-category-id",
                f"{where}.id",
                f"Category id {number} occurs twice: give each class its own.",
            )
        if names[name] == 2:
            yield Finding(
                "warning",
                "duplicate-category-name",
                f"{where}.name",
                f"Two classes are called {shortened(name)}: charts and prompts cannot tell them "
                "apart; merge or rename them.",
            )
    yield from _supercategory_findings(file)
    yield from _instances_per_category(file)


def _supercategory_findings(file: CocoFile) -> Iterator[Finding]:
    lacking = [entry for entry in file.categories if not entry.get("supercategory")]
    if lacking:
        yield Finding(
            "note",
            "no-supercategory",
            f"category {shortened(lacking[0].get('name'))}",
            f"{len(lacking)} of {len(file.categories)} categories have no supercategory: errors "
            "between look-alikes (Sim) will be counted as Oth; add one to group similar classes.",
        )


def _instances_per_category(file: CocoFile) -> Iterator[Finding]:
    crowds: Counter[object] = Counter()
    instances: Counter[object] = Counter()
    for entry in file.annotations:
        category_id = whole_number(entry.get("category_id"))
        (crowds if entry.get("iscrowd") else instances)[category_id] += 1
    for entry in file.categories:
        category_id = whole_number(entry.get("id"))
        if category_id is None or instances[category_id]:
            continue
        where = f"category {shortened(entry.get('name'))}"
        if crowds[category_id]:
            yield Finding(
                "warning",
                "class-with-only-crowds",
                where,
                "All its annotations are crowds: it cannot be learned, and its AP is undefined "
                "and left out of the mean.",
            )
        else:
            yield Finding(
                "note",
                "class-without-instances",
                where,
                "It has no annotation: its AP is undefined and left out of the mean, however "
                "often it is predicted.",
            )
