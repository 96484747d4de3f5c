"""A page of labels, fast: from the packed columns while they fit in memory, else by SQL.

Both give the same page; labels picked by their ids are SQL's. SQL has to visit each row of a
window to sort it by any score; the packed columns of half a million labels are read, filtered and
sorted in a tenth of a second. Only the rows of the page itself are then asked for by their ids.
"""

from __future__ import annotations

import numpy as np

from app.label_entries import rows_by_id
from lab.datasets.records import FloatArray, IntArray
from lab.store.queries import (
    SORT_COLUMNS,
    LabelFilter,
    LabelPage,
    find_labels,
    label_columns,
    step_summaries,
)
from lab.store.store import Store

PACKED_LABELS = 2_000_000
"""So many labels at most are read into memory for one page: about 200 MB."""
EVERY_STEP = 1_000_000_000


def page_of_labels(
    store: Store,
    run_id: str,
    wanted: LabelFilter,
    *,
    sort: str,
    descending: bool,
    limit: int,
    offset: int,
    most_packed: int = PACKED_LABELS,
) -> LabelPage:
    """Labels that pass the filter, sorted by one of SORT_COLUMNS; NaN last, ties by label id.

    Raises:
        ValueError: naming a column there is not.
    """
    if sort not in SORT_COLUMNS:
        raise ValueError(f"sort {sort!r}: expected one of {', '.join(SORT_COLUMNS)}")
    is_picked = wanted.label_ids is not None
    if is_picked or candidates_in(store, run_id, wanted) > most_packed:
        return find_labels(
            store, run_id, wanted, sort=sort, descending=descending, limit=limit, offset=offset
        )
    columns = label_columns(store, run_id, wanted, tuple({sort, "label_id"}))
    ids = columns["label_id"]
    places = sorted_page(columns[sort], ids, descending, limit, offset)
    rows = rows_by_id(store, run_id, wanted.source, ids[places].tolist())
    return LabelPage(len(ids), rows)


def candidates_in(store: Store, run_id: str, wanted: LabelFilter) -> int:
    """Labels in the steps of the filter, before anything else of it."""
    since = -1 if wanted.first_step is None else wanted.first_step - 1
    summaries = step_summaries(
        store, run_id, wanted.source, since_step=since, max_points=EVERY_STEP
    )
    last = np.inf if wanted.last_step is None else wanted.last_step
    return sum(summary.candidates for summary in summaries if summary.step <= last)


def sorted_page(
    values: FloatArray | IntArray, ids: IntArray, descending: bool, limit: int, offset: int
) -> IntArray:
    """Places offset..offset+limit of the order by value, then id; (N,), (N,) -> (<= limit,)."""
    key = values.astype(np.float64)
    key = np.where(np.isnan(key), np.inf, -key if descending else key)
    end = min(offset + limit, len(key))
    if end == 0:
        return np.zeros(0, np.int64)
    reached = np.flatnonzero(key <= np.partition(key, end - 1)[end - 1])
    order = reached[np.lexsort((ids[reached], key[reached]))]
    return order[offset:end]
