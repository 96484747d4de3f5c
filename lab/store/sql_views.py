"""The views that `seglab sql` offers: names instead of numbers, one row per thing, each explained.

They exist only while a question is asked (TEMP views over tables.py), so they can change freely.
What SQL leaves open is written once per database, as a `Spelling`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from lab.datasets.records import DropRule, ErrorKind, LabelSource


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a database writes what SQL leaves open. {0} = a column, {1} = a key."""

    time: str
    """Unix seconds as text, UTC."""
    text: str
    """Bytes as text."""
    number: str
    """The number under a key of a JSON object."""
    members: str
    """The members of a JSON object as rows (key, value)."""
    member: str
    """The value of such a row as a number."""
    class_names: tuple[str, ...]
    """Statements that make the classes of every run rows of `class_names`: looked up per label,
    not parsed per label."""


@dataclass(frozen=True, slots=True)
class Spelled:
    """An expression that every database writes in its own way."""

    what: Literal["time", "text", "number", "member"]
    column: str
    key: str = ""

    def sql(self, spelling: Spelling) -> str:
        template: str = getattr(spelling, self.what)
        return template.format(self.column, self.key)


@dataclass(frozen=True, slots=True)
class ViewColumn:
    """A column: its name, how it is made, and what it means."""

    name: str
    sql: str | Spelled
    about: str

    def made(self, spelling: Spelling) -> str:
        sql = self.sql if isinstance(self.sql, str) else self.sql.sql(spelling)
        return f"{sql} AS {self.name}"


@dataclass(frozen=True, slots=True)
class View:
    """A view: what one of its rows is, and its columns."""

    name: str
    about: str
    columns: tuple[ViewColumn, ...]
    source: str
    """FROM ... WHERE ..."""
    members_of: str | None = None
    """A JSON column of `source` whose members are joined as k."""

    def create_sql(self, spelling: Spelling) -> str:
        made = ", ".join(column.made(spelling) for column in self.columns)
        joined = ""
        if self.members_of is not None:
            joined = f" CROSS JOIN {spelling.members.format(self.members_of)} AS k"
        return f"CREATE TEMP VIEW {self.name} AS SELECT {made} FROM {self.source}{joined}"


def _words(column: str, words: type[IntEnum]) -> str:
    """CASE that turns a number into the lower-case name of an enum's member."""
    cases = " ".join(f"WHEN {one.value} THEN '{one.name.lower()}'" for one in words)
    return f"CASE {column} {cases} END"


def _time(column: str) -> Spelled:
    return Spelled("time", column)


def _same(table: str, abouts: dict[str, str]) -> tuple[ViewColumn, ...]:
    return tuple(ViewColumn(name, f"{table}.{name}", about) for name, about in abouts.items())


RUN = (
    ViewColumn("run_id", "r.run_id", "id of the run"),
    ViewColumn("run_name", "r.name", "what people call the run"),
)
LABEL = (
    *_same(
        "l",
        {
            "step": "training step at which the network said it, from 0",
            "image_id": "image",
            "position": "index among the candidates of this image and step",
            "label_id": "number of the label in the store",
        },
    ),
    ViewColumn("class", "now.name", "class after correction"),
    ViewColumn("class_before", "was.name", "class before correction"),
    ViewColumn("supercategory", "now.supercategory", "classes that share one are look-alikes"),
    *_same(
        "l",
        {
            "class_quality": "class quality in [0, 1]",
            "mask_quality": "mask quality in [0, 1]",
            "score": "class_quality * mask_quality",
            "x1": "left edge of the box, pixels of the image",
            "y1": "top edge",
            "x2": "right edge",
            "y2": "bottom edge",
            "area": "mask pixels",
            "kept": "1 = it taught the student",
        },
    ),
    ViewColumn("rule", _words("l.rule", DropRule), "kept, or the first rule that dropped it"),
    *_same(
        "l",
        {
            "rule_value": "the threshold of that rule; NULL when kept",
            "teacher_before": "the network's probability of class_before",
            "teacher_after": "the network's probability of class",
            "clip_before": "CLIP's probability of class_before; NULL = not asked",
            "clip_after": "CLIP's probability of class",
            "uncertainty": "mean pixel uncertainty inside the mask",
            "weight": "loss weight it got; 0 when dropped",
        },
    ),
    ViewColumn(
        "kind",
        _words("l.kind", ErrorKind),
        "cor, loc, sim, oth, bg; ignored = on a crowd; unknown = no truth to compare with",
    ),
    *_same(
        "l",
        {
            "true_iou": "mask IoU with the truth that decided the kind",
            "gt_id": "annotation id of that truth; -1 = none",
            "duplicate": "1 = right, but a better label already has that truth",
            "target_id": "annotation id of the box that the mask was made from; NULL = none",
            "box_score": "how good the boxes are that it was made from",
            "pixel_score": "how sure its pixels are",
            "mask_score": "how far the method trusts the mask",
            "target_iou": "mask IoU with the truth of that box",
            "single_iou": "the same of the best candidate's mask alone; NULL = nothing was fused",
        },
    ),
    ViewColumn("mask", Spelled("text", "m.counts"), "compressed COCO RLE; NULL = not kept"),
    ViewColumn("mask_height", "m.height", "height of the mask's image"),
    ViewColumn("mask_width", "m.width", "width of the mask's image"),
)
LABEL_SOURCE = (
    "runs AS r JOIN labels AS l ON l.run = r.run "
    "LEFT JOIN class_names AS now ON now.run = l.run AND now.label = l.label "
    "LEFT JOIN class_names AS was ON was.run = l.run AND was.label = l.label_before "
    "LEFT JOIN label_masks AS m ON m.label_id = l.label_id "
)
PROBED = f"({int(LabelSource.PROBE_TEACHER)}, {int(LabelSource.PROBE_STUDENT)})"
METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl")
COUNTED = {
    "step": "training step",
    "images": "recorded images of this step",
    "candidates": "labels proposed",
    "kept": "labels kept",
    "kept_right": "kept, correct and no duplicate",
    "truths": "true objects that the images show",
    "found": "truths that a kept label gets right",
    "kept_cor": "kept labels of kind cor",
    "kept_loc": "kept labels of kind loc",
    "kept_sim": "kept labels of kind sim",
    "kept_oth": "kept labels of kind oth",
    "kept_bg": "kept labels of kind bg",
}

VIEWS = (
    View(
        "run_list",
        "One row per run.",
        (
            *RUN,
            *_same(
                "r",
                {
                    "method": "training method",
                    "host": "network",
                    "dataset": "what it trains on",
                    "status": "what was written last; `seglab runs` also knows stale runs",
                    "error": "why it failed",
                    "max_steps": "planned steps",
                    "seed": "of all randomness",
                    "parent_run_id": "the run it was forked from",
                    "parent_step": "at this step",
                    "config": "all of it as JSON: json_extract(config, '$.method.name'), "
                    "on PostgreSQL config #>> '{method,name}'",
                },
            ),
            *(
                ViewColumn(name, _time(f"r.{name}"), f"when it was {name}, UTC")
                for name in ("created", "started", "finished")
            ),
        ),
        "runs AS r",
    ),
    View(
        "pseudo_labels",
        "One row per pseudo-label, kept or dropped, of all runs: say which run_id.",
        (*RUN, *LABEL),
        f"{LABEL_SOURCE} WHERE l.source = {int(LabelSource.PSEUDO)}",
    ),
    View(
        "probe_labels",
        "One row per label on a probe image, a fixed set that is looked at again and again.",
        (*RUN, ViewColumn("model", _words("l.source", LabelSource), "which network"), *LABEL),
        f"{LABEL_SOURCE} WHERE l.source IN {PROBED}",
    ),
    View(
        "step_counts",
        "One row per recorded step: its labels counted.",
        (
            *RUN,
            ViewColumn("source", _words("s.source", LabelSource), "pseudo, or which probe"),
            *_same("s", COUNTED),
        ),
        "runs AS r JOIN step_summaries AS s ON s.run = r.run",
    ),
    View(
        "curves",
        "One row per point of a curve, such as loss/total.",
        (
            *RUN,
            ViewColumn("name", "n.name", "name of the curve"),
            *_same("c", {"step": "training step", "value": "NULL = not a number"}),
        ),
        "runs AS r JOIN scalars AS c ON c.run = r.run "
        "JOIN scalar_names AS n ON n.name_id = c.name_id",
    ),
    View(
        "evaluation_scores",
        "One row per evaluation of a network.",
        (
            *RUN,
            *_same(
                "e",
                {"step": "steps done", "split": "which images", "model": "student or teacher"},
            ),
            *(
                ViewColumn(name, Spelled("number", "e.metrics", name), "mask AP, 0 to 100")
                for name in METRICS
            ),
        ),
        "runs AS r JOIN evaluations AS e ON e.run = r.run",
    ),
    View(
        "class_scores",
        "One row per class of an evaluation.",
        (
            *RUN,
            *_same(
                "e",
                {"step": "steps done", "split": "which images", "model": "student or teacher"},
            ),
            ViewColumn("class", "k.key", "class"),
            ViewColumn("AP", Spelled("member", "k"), "mask AP of the class; NULL = no truth"),
        ),
        "runs AS r JOIN evaluations AS e ON e.run = r.run",
        members_of="e.per_class",
    ),
    View(
        "run_events",
        "One row per thing that happened to a run: thresholds moved, alerts, lost rows.",
        (
            *RUN,
            *_same("v", {"step": "training step, or NULL", "kind": "what happened"}),
            ViewColumn("payload", "v.payload", "its details as JSON"),
            ViewColumn("time", _time("v.created"), "when, UTC"),
        ),
        "runs AS r JOIN events AS v ON v.run = r.run",
    ),
)

SQLITE = Spelling(
    time="datetime({0}, 'unixepoch')",
    text="CAST({0} AS TEXT)",
    number="json_extract({0}, '$.{1}')",
    members="json_each({0})",
    member="{0}.value",
    class_names=(
        "CREATE TEMP TABLE class_names (run INTEGER, label INTEGER, name TEXT, "
        "supercategory TEXT, PRIMARY KEY (run, label)) WITHOUT ROWID",
        "INSERT INTO class_names SELECT r.run, c.key, json_extract(c.value, '$.name'), "
        "json_extract(c.value, '$.supercategory') FROM runs AS r, json_each(r.categories) AS c",
    ),
)
POSTGRES = Spelling(
    time="to_char(to_timestamp({0}) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')",
    text="convert_from({0}, 'UTF8')",
    number="CAST({0} ->> '{1}' AS double precision)",
    members="json_each_text({0})",
    member="CAST({0}.value AS double precision)",
    class_names=(
        "CREATE TEMP TABLE class_names (run integer, label integer, name text, "
        "supercategory text, PRIMARY KEY (run, label))",
        "INSERT INTO class_names SELECT r.run, c.nth - 1, c.one ->> 'name', "
        "c.one ->> 'supercategory' FROM runs AS r "
        "CROSS JOIN json_array_elements(r.categories) WITH ORDINALITY AS c (one, nth)",
    ),
)
