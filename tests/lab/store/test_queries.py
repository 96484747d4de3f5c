"""Questions: curves that end where the run is, labels that pass a filter."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.config import RunConfig
from lab.datasets.records import DropRule, ErrorKind, LabelSource
from lab.store import tables
from lab.store.label_queries import label_masks
from lab.store.packing import FLOAT_COLUMNS, PACKED, PACKED_BOX, pack, unpack
from lab.store.queries import (
    LABEL_COLUMNS,
    SORT_COLUMNS,
    LabelFilter,
    find_labels,
    get_run,
    label_chunks,
    label_columns,
    label_steps,
    list_runs,
    newest_columns,
    newest_places,
    scalar_names,
    scalar_series,
    step_summaries,
)
from lab.store.recorder import StoreRecorder
from lab.store.runs import create_run
from lab.store.sqlite import ROWS_PER_INSERT
from lab.store.store import Store
from tests.databases import BOTH, new_url
from tests.factories import filled_store, pseudo_labels

MANY = 10**6


@pytest.fixture(scope="module", params=BOTH)
def labelled(request, tmp_path_factory):
    """A store whose newest run has 20 steps of labels on 3 images, one without candidates."""
    root = tmp_path_factory.mktemp("labelled")
    with Store.open(root, url=new_url(request)) as store:
        run_id = create_run(store, RunConfig())
        with StoreRecorder(store, run_id) as recorder:
            for step in range(0, 40, 2):
                made = [pseudo_labels(6, image_id=image_id, seed=step) for image_id in (4, 2)]
                recorder.pseudo_labels(step, [*made, pseudo_labels(0, image_id=9)])
            recorder.pseudo_labels(0, [pseudo_labels(2, source=LabelSource.PROBE_TEACHER)])
        yield store, run_id


def test_a_thinned_curve_ends_where_the_run_is(store, run_id):
    with StoreRecorder(store, run_id) as recorder:
        for step in range(1003):
            recorder.scalars(step, {"loss": step / 2})

    thin = scalar_series(store, run_id, ["loss"], max_points=100)["loss"]
    assert len(thin) <= 100
    assert thin.steps[-1] == 1002 and thin.values[-1] == 501.0
    assert set(np.diff(thin.steps)) == {11}  # 1003 points, every 11th: 92 of them
    assert len(scalar_series(store, run_id, ["loss"], max_points=2000)["loss"]) == 1003
    later = scalar_series(store, run_id, ["loss"], since_step=1000)["loss"]
    assert later.steps.tolist() == [1001, 1002]


def test_a_curve_nobody_recorded_is_empty(store, run_id):
    [empty] = scalar_series(store, run_id, ["never"]).values()
    assert (len(empty), empty.steps.dtype, empty.values.dtype) == (0, np.int64, np.float64)
    assert scalar_names(store, run_id) == []
    with pytest.raises(ValueError, match="max_points 0"):
        scalar_series(store, run_id, ["never"], max_points=0)


def test_summaries_are_read_from_where_one_stopped(labelled):
    store, run_id = labelled
    assert [row.step for row in step_summaries(store, run_id, since_step=34)] == [36, 38]
    assert len(step_summaries(store, run_id, max_points=5)) == 5
    assert label_steps(store, run_id).tolist() == [*range(0, 40, 2)]
    assert label_steps(store, run_id, LabelSource.PROBE_STUDENT).tolist() == []


def test_packing_loses_nothing():
    packed = pack(pseudo_labels(17))
    again = unpack([packed[:5].tobytes(), packed[5:].tobytes()])

    assert PACKED.itemsize == 84
    assert packed.tobytes() == again.tobytes()
    assert len(unpack([])) == 0


def test_the_table_has_the_packed_columns_in_their_order():
    names = [column.name for column in tables.labels.columns][6:]

    assert names == [*(PACKED.names or ()), *(PACKED_BOX.names or ())]


@pytest.mark.parametrize("count", [0, 1, ROWS_PER_INSERT - 1, ROWS_PER_INSERT, 117])
def test_rows_are_inserted_whole_whatever_their_number(store, run_id, count):
    labels = pseudo_labels(count, image_id=3)
    with StoreRecorder(store, run_id) as recorder:
        recorder.pseudo_labels(5, [labels])

    page = find_labels(store, run_id, LabelFilter(), sort="label_id", limit=200)
    assert [row.position for row in page.rows] == [*range(count)]
    assert [row.score for row in page.rows] == labels.score.tolist()
    ids = [row.label_id for row in page.rows]
    assert [label_masks(store, ids)[one] for one in ids] == [*labels.masks]


def test_a_page_holds_every_column_as_it_was_recorded(store, run_id):
    labels = pseudo_labels(8, image_id=3)
    with StoreRecorder(store, run_id) as recorder:
        recorder.pseudo_labels(5, [labels])

    rows = find_labels(store, run_id, LabelFilter(), sort="label_id").rows
    for index, row in enumerate(rows):
        assert (row.step, row.image_id, row.position) == (5, 3, index)
        assert row.source is LabelSource.PSEUDO
        np.testing.assert_array_equal(row.box, labels.boxes[index])
        for one, many in (
            *((name, name) for name in ("class_quality", "mask_quality", "score", "kept")),
            *((name, name) for name in ("teacher_before", "teacher_after", "uncertainty")),
            *(("clip_before", "clip_before"), ("clip_after", "clip_after"), ("label", "labels")),
            *(("label_before", "labels_before"), ("area", "areas"), ("rule", "rules")),
            *(("rule_value", "rule_values"), ("weight", "weights"), ("kind", "kinds")),
            *(("true_iou", "true_ious"), ("gt_id", "gt_ids"), ("duplicate", "duplicates")),
        ):
            np.testing.assert_array_equal(getattr(row, one), getattr(labels, many)[index], one)
        assert row.has_mask


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", SORT_COLUMNS)
def test_pages_follow_each_other_in_order_with_nan_last(labelled, sort, descending):
    store, run_id = labelled
    pages = [
        find_labels(
            store, run_id, LabelFilter(), sort=sort, descending=descending, limit=50, offset=offset
        )
        for offset in range(0, 240, 50)
    ]
    rows = [row for page in pages for row in page.rows]

    assert {page.total for page in pages} == {240}
    assert len({row.label_id for row in rows}) == 240
    if sort in ("x1", "y1", "x2", "y2"):
        values = [row.box[("x1", "y1", "x2", "y2").index(sort)] for row in rows]
    else:
        values = [getattr(row, sort) for row in rows]
    known = [value for value in values if not math.isnan(value)]
    assert known == sorted(known, reverse=descending)
    assert values[: len(known)] == known


def test_a_column_that_is_none_is_named(labelled):
    store, run_id = labelled
    with pytest.raises(ValueError, match="sort 'label; DROP TABLE runs'"):
        find_labels(store, run_id, LabelFilter(), sort="label; DROP TABLE runs")
    with pytest.raises(ValueError, match=r"ranges\['quality'\].*mask_quality"):
        LabelFilter(ranges={"quality": (0, 1)})
    with pytest.raises(ValueError, match="column 'nope'"):
        label_columns(store, run_id, LabelFilter(), ["nope"])


def test_bounds_are_inclusive_and_nan_lies_in_no_range(labelled):
    store, run_id = labelled
    everything = label_columns(store, run_id, LabelFilter(), ["clip_after", "mask_quality"])
    known = int((~np.isnan(everything["clip_after"])).sum())
    value = float(everything["mask_quality"][7])

    assert 0 < known < 240
    ranged = LabelFilter(ranges={"clip_after": (0.0, 1.0)})
    assert find_labels(store, run_id, ranged).total == known
    exact = LabelFilter(ranges={"mask_quality": (value, value)})
    assert find_labels(store, run_id, exact).total == 1


def test_columns_without_any_label_are_empty(labelled):
    store, run_id = labelled
    found = label_columns(store, run_id, LabelFilter(image_id=9), LABEL_COLUMNS)

    assert {len(column) for column in found.values()} == {0}
    assert found["mask_quality"].dtype == np.float32
    assert found["kept"].dtype == np.bool_


unit = st.none() | st.floats(0, 1)
filters = st.builds(
    LabelFilter,
    source=st.sampled_from([LabelSource.PSEUDO, LabelSource.PROBE_TEACHER]),
    first_step=st.none() | st.integers(0, 40),
    last_step=st.none() | st.integers(0, 40),
    image_id=st.none() | st.sampled_from([2, 4, 9]),
    label=st.none() | st.integers(0, 4),
    label_before=st.none() | st.integers(0, 4),
    kinds=st.none() | st.frozensets(st.sampled_from(ErrorKind)),
    kept=st.none() | st.booleans(),
    rules=st.none() | st.frozensets(st.sampled_from(DropRule)),
    changed_class=st.none() | st.booleans(),
    duplicate=st.none() | st.booleans(),
    ranges=st.dictionaries(
        st.sampled_from(["mask_quality", "clip_before", "true_iou"]), st.tuples(unit, unit)
    ),
    min_area=st.none() | st.integers(0, 300),
    max_area=st.none() | st.integers(0, 300),
)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(filter=filters)
def test_rows_and_columns_give_the_same_labels(labelled, filter):
    store, run_id = labelled
    page = find_labels(store, run_id, filter, sort="label_id", limit=MANY)
    columns = label_columns(store, run_id, filter, LABEL_COLUMNS)

    assert page.total == len(page.rows) == len(columns["label_id"])
    order = np.argsort(columns["label_id"])
    for name in (*FLOAT_COLUMNS, "label_id", "step", "image_id", "position", "kind", "kept"):
        if name in ("x1", "y1", "x2", "y2"):
            continue
        from_rows = [getattr(row, name) for row in page.rows]
        np.testing.assert_array_equal(columns[name][order], np.array(from_rows, float))


def test_columns_come_by_step_image_and_position(labelled):
    store, run_id = labelled
    columns = label_columns(store, run_id, LabelFilter(), ["step", "image_id", "position"])
    places = list(zip(*(columns[name].tolist() for name in columns), strict=True))

    assert places == sorted(places)
    assert places[:2] == [(0, 2, 0), (0, 2, 1)]


def test_chunks_together_are_the_columns_and_the_first_is_empty(labelled, monkeypatch):
    """40 images with labels, 7 at a time: 5 parts of 42 labels, one of 30."""
    monkeypatch.setattr("lab.store.label_columns.SETS_PER_READ", 7)
    store, run_id = labelled
    whole = label_columns(store, run_id, LabelFilter(), LABEL_COLUMNS)

    first, *parts = label_chunks(store, run_id, LabelFilter(), LABEL_COLUMNS, with_masks=True)

    assert [len(columns["step"]) for columns, _ in parts] == [42] * 5 + [30]
    assert [len(values) for values in first[0].values()] == [0] * len(LABEL_COLUMNS)
    for name in LABEL_COLUMNS:
        joined = np.concatenate([columns[name] for columns, _ in parts])
        np.testing.assert_array_equal(joined, whole[name])
        assert first[0][name].dtype == whole[name].dtype
    masks = {label_id: mask for _, found in parts for label_id, mask in found.items()}
    assert masks == label_masks(store, whole["label_id"].tolist())
    assert len(masks) == 240


def test_chunks_are_refused_where_only_whole_columns_can_answer(labelled):
    store, run_id = labelled

    for filter in (LabelFilter(label_ids=[1]), LabelFilter(true_label=0)):
        with pytest.raises(ValueError, match="answered by label_columns"):
            list(label_chunks(store, run_id, filter, ["step"]))


def test_the_newest_labels_are_those_of_each_images_last_step(store, run_id):
    """Image 1 is seen in steps 3 and 8, image 2 in step 3 alone, image 3 later than asked for."""
    with StoreRecorder(store, run_id) as recorder:
        recorder.pseudo_labels(3, [pseudo_labels(4, image_id=1), pseudo_labels(2, image_id=2)])
        recorder.pseudo_labels(8, [pseudo_labels(3, image_id=1)])
        recorder.pseudo_labels(9, [pseudo_labels(1, image_id=3)])

    places = newest_places(store, run_id, LabelSource.PSEUDO, last_step=8)
    columns = newest_columns(store, run_id, LabelFilter(last_step=8), ("image_id", "step"))

    assert {image: step for image, (step, _) in places.items()} == {1: 8, 2: 3}
    assert columns["image_id"].tolist() == [1, 1, 1, 2, 2]
    assert columns["step"].tolist() == [8, 8, 8, 3, 3]


def test_a_filled_store_looks_like_a_mornings_work(tmp_path):
    with filled_store(tmp_path, steps=20, num_images=4) as store:
        assert [(run.name, run.status) for run in list_runs(store)] == [
            ("teacher-strict", "stopped"),
            ("teacher", "finished"),
            ("baseline", "finished"),
        ]
        summaries = step_summaries(store, get_run(store, "teacher").run_id)
        kinds = {kind for row in summaries for kind, count in row.all_kinds.items() if count}
        assert {ErrorKind.COR, ErrorKind.LOC, ErrorKind.BG} <= kinds
        assert dataclasses.is_dataclass(summaries[0])
