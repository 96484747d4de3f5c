"""Both ways to a page of labels give the same page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.label_entries import rows_by_id
from app.label_pages import page_of_labels, sorted_page
from lab.datasets.records import ErrorKind, LabelSource
from lab.store.queries import SORT_COLUMNS, LabelFilter, find_labels
from lab.store.store import Store

FILTERS = [
    LabelFilter(),
    LabelFilter(first_step=20, last_step=40, kept=False),
    LabelFilter(kinds=[ErrorKind.LOC, ErrorKind.BG], ranges={"mask_quality": (0.5, 0.9)}),
    LabelFilter(image_id=3, label=2),
    LabelFilter(label_before=1, changed_class=True),
    LabelFilter(label=0, label_before=3, ranges={"area": (100, 400)}),
    LabelFilter(first_step=10_000),
    LabelFilter(label_ids=range(30, 90), kept=True),
]


@pytest.mark.parametrize("wanted", FILTERS)
@pytest.mark.parametrize("descending", [False, True])
def test_the_packed_page_is_the_page_of_sql(
    lab_root: Path, run_ids: dict[str, str], wanted: LabelFilter, descending: bool
) -> None:
    run = run_ids["teacher"]
    with Store.open(lab_root, read_only=True) as store:
        for sort in SORT_COLUMNS:
            order = {"sort": sort, "descending": descending, "limit": 7, "offset": 5}
            packed = page_of_labels(store, run, wanted, **order)
            by_sql = find_labels(store, run, wanted, **order)

            assert packed.total == by_sql.total
            assert [repr(replace(row, has_mask=True)) for row in packed.rows] == [
                repr(replace(row, has_mask=True)) for row in by_sql.rows
            ], sort


def test_rows_come_in_the_order_of_their_ids_and_those_that_are_gone_do_not(
    lab_root: Path, run_ids: dict[str, str]
) -> None:
    with Store.open(lab_root, read_only=True) as store:
        run = run_ids["teacher"]
        first, second, *_ = (row.label_id for row in find_labels(store, run, LabelFilter()).rows)
        rows = rows_by_id(store, run, LabelSource.PSEUDO, [second, 2**40, first])

        assert [row.label_id for row in rows] == [second, first]
        assert rows_by_id(store, run, LabelSource.PSEUDO, []) == []


def test_too_many_labels_for_memory_are_left_to_sql(
    lab_root: Path, run_ids: dict[str, str]
) -> None:
    order = {"sort": "score", "descending": True, "limit": 3, "offset": 0}
    with Store.open(lab_root, read_only=True) as store:
        run = run_ids["teacher"]
        page = page_of_labels(store, run, LabelFilter(), **order, most_packed=10)

        assert repr(page) == repr(find_labels(store, run, LabelFilter(), **order))


@given(
    st.lists(st.sampled_from([0.0, 0.25, 0.5, float("nan")]), max_size=30),
    st.booleans(),
    st.integers(1, 8),
)
def test_pages_together_are_the_whole_order(
    values: list[float], descending: bool, size: int
) -> None:
    ids = np.arange(len(values), dtype=np.int64)[::-1].copy()
    column = np.array(values, np.float32)

    pages = [
        sorted_page(column, ids, descending, size, at) for at in range(0, len(values) + 1, size)
    ]

    def key(place: int) -> tuple[float, int]:
        value = values[place]
        missing = value != value
        return (np.inf if missing else -value if descending else value, int(ids[place]))

    assert np.concatenate(pages).tolist() == sorted(range(len(values)), key=key)
