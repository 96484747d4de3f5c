"""The tables. Private to lab.store: everybody else asks lab.store.queries.

`runs.run` is the narrow integer that stands for a run everywhere else; `run_id` is its identity.
A NULL in a float column means NaN. `label_sets` holds one row per image and step that was
recorded, with all its labels packed (lab/store/packing.py); `labels` holds the same numbers as
typed columns for indexed questions; `label_masks` keeps the big bytes out of both. What only masks
made from boxes have (`target_id` and the columns after it) is NULL for all other labels.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeEngine

from lab.datasets.records import ErrorKind

METADATA = MetaData()


BY_BYTES = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that is sorted as SQLite sorts it, whatever language a PostgreSQL server speaks."""


def _word(length: int) -> TypeEngine[str]:
    """Short text. PostgreSQL would insist on the length, SQLite does not."""
    return String(length).with_variant(Text(collation="C"), "postgresql")


def _real(name: str) -> Column[float]:
    return Column(name, Float(53))


def _count(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, default=0)


def kind_columns(prefix: str) -> tuple[str, ...]:
    """kind_columns("kept") -> ("kept_unknown", "kept_cor", ...), in the order of ErrorKind."""
    return tuple(f"{prefix}_{kind.name.lower()}" for kind in ErrorKind)


COUNT_COLUMNS = (
    "candidates",
    "kept",
    "kept_right",
    "truths",
    "found",
    *kind_columns("all"),
    *kind_columns("kept"),
)
"""What is counted per recorded image and summed per step. `kept_right` = kept, correct and not a
duplicate; `found` = truths that some kept label gets right."""

runs = Table(
    "runs",
    METADATA,
    Column("run", Integer, primary_key=True),
    Column("run_id", _word(40), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("dataset", Text, nullable=False),
    Column("status", _word(16), nullable=False),
    Column("error", Text),
    Column("created", Float(53), nullable=False),
    Column("started", Float(53)),
    Column("finished", Float(53)),
    Column("max_steps", Integer, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("config", JSON, nullable=False),
    Column("categories", JSON, nullable=False),
    Column("parent_run_id", _word(40)),
    Column("parent_step", Integer),
    Column("train_dataset_id", Integer),
    Column("val_dataset_id", Integer),
)

origins = Table(
    "origins",
    METADATA,
    Column("run", Integer, primary_key=True),
    Column("command", JSON, nullable=False),
    Column("machine", Text, nullable=False),
    Column("git_commit", _word(64)),
    Column("git_diff", Text),
    Column("versions", JSON, nullable=False),
)

pulses = Table(
    "pulses",
    METADATA,
    Column("run", Integer, primary_key=True),
    Column("machine", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("process_started", Float(53), nullable=False),
    Column("boot_id", Text, nullable=False),
    Column("heartbeat", Float(53), nullable=False),
    Column("step", Integer),
    Column("step_time", Float(53)),
    Column("first_step", Integer),
    Column("first_time", Float(53)),
)

datasets = Table(
    "datasets",
    METADATA,
    Column("dataset_id", Integer, primary_key=True),
    Column("content_key", _word(64), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("categories", JSON, nullable=False),
    Column("num_images", Integer, nullable=False),
)

images = Table(
    "images",
    METADATA,
    Column("dataset_id", Integer, primary_key=True),
    Column("image_id", BigInteger, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("path", Text, nullable=False),
    Column("height", Integer, nullable=False),
    Column("width", Integer, nullable=False),
    Column("depth_path", Text),
)

truths = Table(
    "truths",
    METADATA,
    Column("truth", Integer, primary_key=True),
    Column("dataset_id", Integer, nullable=False),
    Column("image_id", BigInteger, nullable=False),
    Column("annotation_id", BigInteger, nullable=False),
    Column("label", Integer, nullable=False),
    *(Column(side, Float(53), nullable=False) for side in ("x1", "y1", "x2", "y2")),
    Column("area", Float(53), nullable=False),
    Column("is_crowd", Boolean, nullable=False),
    Column("mask_height", Integer),
    Column("mask_width", Integer),
    Column("mask_counts", LargeBinary),
    Index("truths_by_image", "dataset_id", "image_id"),
)

scalar_names = Table(
    "scalar_names",
    METADATA,
    Column("name_id", Integer, primary_key=True),
    Column("name", BY_BYTES, nullable=False, unique=True),
)

scalars = Table(
    "scalars",
    METADATA,
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("name_id", Integer, primary_key=True, autoincrement=False),
    Column("step", Integer, primary_key=True, autoincrement=False),
    _real("value"),
    sqlite_with_rowid=False,
)

latest_scalars = Table(
    "latest_scalars",
    METADATA,
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("name_id", Integer, primary_key=True, autoincrement=False),
    Column("step", Integer, nullable=False),
    _real("value"),
    sqlite_with_rowid=False,
)

label_sets = Table(
    "label_sets",
    METADATA,
    Column("run", Integer, nullable=False),
    Column("source", SmallInteger, nullable=False),
    Column("step", Integer, nullable=False),
    Column("image_id", BigInteger, nullable=False),
    Column("first_label_id", BigInteger, nullable=False),
    *(_real(f"visible_{side}") for side in ("x1", "y1", "x2", "y2")),
    *(_count(name) for name in COUNT_COLUMNS),
    Column("packed", LargeBinary, nullable=False),
    Column("packed_boxes", LargeBinary),
    UniqueConstraint("run", "source", "step", "image_id"),
)

labels = Table(
    "labels",
    METADATA,
    Column("label_id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("run", Integer, nullable=False),
    Column("source", SmallInteger, nullable=False),
    Column("step", Integer, nullable=False),
    Column("image_id", BigInteger, nullable=False),
    Column("position", Integer, nullable=False),
    Column("label", Integer, nullable=False),
    Column("label_before", Integer, nullable=False),
    _real("class_quality"),
    _real("mask_quality"),
    _real("score"),
    *(_real(side) for side in ("x1", "y1", "x2", "y2")),
    _real("area"),
    Column("kept", Boolean, nullable=False),
    Column("rule", SmallInteger, nullable=False),
    _real("rule_value"),
    _real("teacher_before"),
    _real("teacher_after"),
    _real("clip_before"),
    _real("clip_after"),
    _real("uncertainty"),
    _real("weight"),
    Column("kind", SmallInteger, nullable=False),
    _real("true_iou"),
    Column("gt_id", BigInteger, nullable=False),
    Column("duplicate", Boolean, nullable=False),
    Column("target_id", BigInteger),
    *(
        _real(name)
        for name in (
            *("num_candidates", "num_effective", "box_score", "pixel_score", "mask_score"),
            *("depth_score", "match_score", "semantic_score", "instance_score", "target_iou"),
            "single_iou",
        )
    ),
    Index("labels_of_an_image", "run", "image_id", "step", "source", "position", unique=True),
    Index("labels_of_a_step", "run", "source", "step", "label", "mask_quality"),
)

label_masks = Table(
    "label_masks",
    METADATA,
    Column("label_id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("height", Integer, nullable=False),
    Column("width", Integer, nullable=False),
    Column("counts", LargeBinary, nullable=False),
)

step_summaries = Table(
    "step_summaries",
    METADATA,
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("source", SmallInteger, primary_key=True, autoincrement=False),
    Column("step", Integer, primary_key=True, autoincrement=False),
    Column("images", Integer, nullable=False),
    *(_count(name) for name in COUNT_COLUMNS),
    sqlite_with_rowid=False,
)

evaluations = Table(
    "evaluations",
    METADATA,
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("step", Integer, primary_key=True, autoincrement=False),
    Column("split", _word(64), primary_key=True),
    Column("model", _word(16), primary_key=True),
    _real("ap"),
    Column("metrics", JSON, nullable=False),
    Column("per_class", JSON, nullable=False),
    Column("kinds", JSON, nullable=False),
)

checkpoints = Table(
    "checkpoints",
    METADATA,
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("step", Integer, primary_key=True, autoincrement=False),
    Column("path", Text, nullable=False),
    Column("created", Float(53), nullable=False),
)

events = Table(
    "events",
    METADATA,
    Column("event_id", Integer, primary_key=True),
    Column("run", Integer, nullable=False),
    Column("step", Integer),
    Column("kind", Text, nullable=False),
    Column("payload", JSON, nullable=False),
    Column("created", Float(53), nullable=False),
    Index("events_of_a_run", "run", "event_id"),
    sqlite_autoincrement=True,
)

jobs = Table(
    "jobs",
    METADATA,
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("stage", _word(16), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("needs", _word(16), nullable=False),
    Column("directory", Text, nullable=False),
    Column("queued", Float(53), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("cancels", Integer, nullable=False),
    Column("worker", Integer),
    Column("slot", _word(16)),
    Column("taken", Float(53)),
    Column("machine", Text),
    Column("pid", Integer),
    Column("process_started", Float(53)),
    Column("boot_id", Text),
    Column("exit_code", Integer),
    Index("jobs_in_line", "stage", "priority", "position"),
)
"""Runs that go, or went, through the queue. `pid` and its companions are the engine's process;
`directory` is where it is started: relative paths in a config mean something there."""

workers = Table(
    "workers",
    METADATA,
    Column("worker", Integer, primary_key=True),
    Column("machine", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("process_started", Float(53), nullable=False),
    Column("boot_id", Text, nullable=False),
    Column("heartbeat", Float(53), nullable=False),
    Column("started", Float(53), nullable=False),
    Column("slots", JSON, nullable=False),
    sqlite_autoincrement=True,
)

asks = Table(
    "asks",
    METADATA,
    Column("ask", Integer, primary_key=True),
    Column("run", Integer, nullable=False),
    Column("changes", JSON, nullable=False),
    Column("author", Text, nullable=False),
    Column("created", Float(53), nullable=False),
    Column("answer", _word(16)),
    Column("step", Integer),
    Column("reason", Text),
    Column("answered", Float(53)),
    Index("asks_of_a_run", "run", "answer"),
    sqlite_autoincrement=True,
)
"""Changes of the config that a run is asked to make while it trains; `answer` NULL = not yet."""

counters = Table(
    "counters",
    METADATA,
    Column("name", _word(32), primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""Ids are taken from here inside the transaction that uses them: `label_id`."""
