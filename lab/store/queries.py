"""Every question that can be asked of a store. Each is a function of the store; none writes."""

from lab.store.event_queries import events_by_run
from lab.store.image_queries import (
    checkpoints,
    evaluations,
    events,
    image_record,
    images_of,
    store_sizes,
)
from lab.store.label_columns import (
    LABEL_COLUMNS,
    label_chunks,
    label_columns,
    newest_columns,
    newest_places,
)
from lab.store.label_queries import (
    SORT_COLUMNS,
    LabelFilter,
    find_labels,
    label_masks,
    visible_parts,
)
from lab.store.rows import (
    CheckpointRow,
    EvaluationRow,
    EventRow,
    LabelPage,
    LabelRow,
    LatestScalar,
    RunOrigin,
    RunRow,
    RunSize,
    Series,
    StepSummary,
    StoreSizes,
)
from lab.store.run_queries import get_run, list_runs, run_origin
from lab.store.scalar_queries import (
    label_steps,
    last_summaries,
    latest_scalars,
    scalar_names,
    scalar_series,
    step_summaries,
)
from lab.store.score_queries import recorded_scores
from lab.store.timeline_queries import ImagePast, image_pasts, image_steps
from lab.store.truth_queries import true_labels

__all__ = [
    "LABEL_COLUMNS",
    "SORT_COLUMNS",
    "CheckpointRow",
    "EvaluationRow",
    "EventRow",
    "ImagePast",
    "LabelFilter",
    "LabelPage",
    "LabelRow",
    "LatestScalar",
    "RunOrigin",
    "RunRow",
    "RunSize",
    "Series",
    "StepSummary",
    "StoreSizes",
    "checkpoints",
    "evaluations",
    "events",
    "events_by_run",
    "find_labels",
    "get_run",
    "image_pasts",
    "image_record",
    "image_steps",
    "images_of",
    "label_chunks",
    "label_columns",
    "label_masks",
    "label_steps",
    "last_summaries",
    "latest_scalars",
    "list_runs",
    "newest_columns",
    "newest_places",
    "recorded_scores",
    "run_origin",
    "scalar_names",
    "scalar_series",
    "step_summaries",
    "store_sizes",
    "true_labels",
    "visible_parts",
]
