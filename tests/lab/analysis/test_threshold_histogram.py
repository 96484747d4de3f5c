"""The what-if histogram answers exactly what filtering the labels would."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lab.analysis.threshold_grid import STEPS, bins, changes, grid, grid_index, passes
from lab.analysis.what_if import FOUND, CoupledHistogram, IntegralHistogram
from lab.datasets.records import ErrorKind

COR, LOC, BG = ErrorKind.COR, ErrorKind.LOC, ErrorKind.BG


def f32(*values: float):
    return np.array(values, np.float32)


def near_grid():
    """Qualities on the grid, one float32 step beside it, or anywhere."""
    on = st.integers(0, 100).map(lambda i: np.float32(i / 100))
    beside = st.tuples(on, st.sampled_from([-1, 2])).map(
        lambda pair: np.clip(np.nextafter(pair[0], np.float32(pair[1])), 0, 1)
    )
    return on | beside | st.floats(0, 1, width=32)


@st.composite
def columns(draw):
    size = draw(st.integers(0, 25))
    quality = hnp.arrays(np.float32, size, elements=near_grid())
    kinds = draw(hnp.arrays(np.int64, size, elements=st.integers(0, 6)))
    return {
        "x": draw(quality),
        "y": draw(quality),
        "kinds": kinds,
        "duplicates": draw(hnp.arrays(np.bool_, size)) & (kinds == COR),
    }


thresholds = st.integers(0, 100).map(lambda i: i / 100)


def test_a_quality_of_exactly_the_threshold_passes_in_either_precision():
    assert bins(f32(0.85, 0.9, 0.29, 0.57, 1.0, 0.0)).tolist() == [85, 90, 29, 57, 100, 0]
    assert passes(f32(0.85), f32(0.9), 0.85, 0.9).tolist() == [True]


def test_every_grid_value_and_its_float32_neighbours_fall_in_their_bins():
    values = grid()
    above, below = np.nextafter(values, np.float32(2)), np.nextafter(values, np.float32(-1))

    assert bins(values).tolist() == list(range(101))
    assert bins(above[:-1]).tolist() == list(range(100))
    assert bins(below[1:]).tolist() == list(range(100))


@pytest.mark.parametrize("bad", [np.nan, -0.01, 1.01])
def test_a_quality_outside_its_range_is_refused(bad):
    with pytest.raises(ValueError, match="of label 1 is not in"):
        bins(f32(0.5, bad))


@pytest.mark.parametrize("bad", [0.855, -0.01, 1.01, math.nan, math.inf])
def test_a_threshold_off_the_grid_is_refused(bad):
    with pytest.raises(ValueError, match="is not one of 0"):
        grid_index(bad)


def test_a_threshold_may_come_rounded_to_float32():
    assert grid_index(float(np.float32(0.85))) == 85


def test_the_answer_counts_by_hand():
    """Two bears found once and twice, one wrong place, one background; 4 truths."""
    histogram = IntegralHistogram.build(
        f32(0.9, 0.9, 0.8, 0.95, 0.2),
        f32(0.9, 0.7, 0.9, 0.95, 0.9),
        np.array([COR, COR, COR, LOC, BG]),
        np.array([False, True, False, False, False]),
        num_truths=4,
    )

    answer = histogram.ask(0.5, 0.5)

    assert (answer.kept, answer.correct, answer.found, answer.duplicates) == (4, 3, 2, 1)
    assert (answer.precision, answer.recall) == (3 / 4, 2 / 4)
    assert answer.f1 == pytest.approx(2 * 0.75 * 0.5 / 1.25)
    assert answer.kinds[LOC] == 1 and answer.kinds[BG] == 0
    assert histogram.ask(0.9, 0.9).kept == 2


def test_unknown_and_ignored_labels_are_kept_but_not_judged():
    histogram = IntegralHistogram.build(
        f32(0.9, 0.9, 0.9),
        f32(0.9, 0.9, 0.9),
        np.array([ErrorKind.UNKNOWN, ErrorKind.IGNORED, COR]),
        np.zeros(3, np.bool_),
        num_truths=1,
    )

    assert histogram.ask(0.5, 0.5).kept == 3
    assert histogram.ask(0.5, 0.5).precision == 1


def test_no_label_and_no_truth_give_nan_not_zero():
    nothing = np.zeros(0, np.int64)
    empty = IntegralHistogram.build(f32(), f32(), nothing, nothing.astype(bool), num_truths=0)
    barren = IntegralHistogram.build(f32(), f32(), nothing, nothing.astype(bool), num_truths=2)

    assert math.isnan(empty.ask(0, 0).precision) and math.isnan(empty.ask(0, 0).recall)
    assert math.isnan(empty.ask(0, 0).f1) and empty.best_f1() is None
    assert barren.ask(0, 0).recall == 0 and barren.ask(0, 0).f1 == 0


@given(columns(), thresholds, thresholds)
def test_asking_equals_filtering(label, x_threshold, y_threshold):
    histogram = IntegralHistogram.build(**label, num_truths=30)
    kept = passes(label["x"], label["y"], x_threshold, y_threshold)

    answer = histogram.ask(x_threshold, y_threshold)

    assert answer.kept == kept.sum()
    for kind in ErrorKind:
        assert answer.kinds[kind] == (label["kinds"][kept] == kind).sum()
    firsts = kept & (label["kinds"] == COR) & ~label["duplicates"]
    assert answer.found == firsts.sum()


@given(columns(), thresholds, thresholds, st.data())
def test_with_truths_the_found_are_exact_at_every_threshold(label, t_x, t_y, data):
    truths = data.draw(
        hnp.arrays(np.int64, len(label["kinds"]), elements=st.sampled_from([-1, 0, 1, 2**47]))
    )
    histogram = IntegralHistogram.build(**label, num_truths=30, truths=truths)
    kept = passes(label["x"], label["y"], t_x, t_y)

    hit = truths[kept & (label["kinds"] == COR) & (truths >= 0)]
    assert histogram.ask(t_x, t_y).found == len(set(hit.tolist()))


def test_a_duplicate_counts_as_found_once_the_better_label_is_dropped():
    """The label with the higher score has the lower mask quality."""
    arguments = (f32(0.99, 0.8), f32(0.7, 0.95), np.array([COR, COR]), np.array([False, True]))

    exact = IntegralHistogram.build(*arguments, num_truths=1, truths=np.array([5, 5]))
    rough = IntegralHistogram.build(*arguments, num_truths=1)

    assert (exact.ask(0.5, 0.9).found, rough.ask(0.5, 0.9).found) == (1, 0)
    assert exact.ask(0.5, 0.5).found == rough.ask(0.5, 0.5).found == 1
    assert exact.ask(0.5, 0.96).found == 0


@given(columns())
def test_any_two_scores_make_a_plane_and_swapping_them_turns_it(label):
    """No axis is special: as many are kept at (x, y) as at (y, x) with the scores swapped."""
    turned = label | {"x": label["y"], "y": label["x"]}
    one = IntegralHistogram.build(**label, num_truths=30).cumulative
    other = IntegralHistogram.build(**turned, num_truths=30).cumulative

    np.testing.assert_array_equal(one, other.swapaxes(1, 2))


@given(columns(), thresholds, thresholds, st.data())
def test_the_mean_true_iou_is_that_of_the_labels_that_pass(label, t_x, t_y, data):
    size = len(label["kinds"])
    ious = st.floats(0, 1, width=32) | st.just(float("nan"))
    true_ious = data.draw(hnp.arrays(np.float32, size, elements=ious))
    histogram = IntegralHistogram.build(**label, num_truths=30, true_ious=true_ious)
    kept = true_ious[passes(label["x"], label["y"], t_x, t_y)]
    known = kept[~np.isnan(kept)].astype(np.float64)

    expected = known.mean() if len(known) else math.nan
    assert histogram.ask(t_x, t_y).mean_true_iou == pytest.approx(expected, nan_ok=True)
    plane = histogram.plane("iou")
    assert plane[grid_index(t_x), grid_index(t_y)] == pytest.approx(expected, nan_ok=True)


@given(columns(), thresholds, st.data())
def test_so_it_is_along_the_product(label, threshold, data):
    product = label["x"] * label["y"]
    true_ious = data.draw(hnp.arrays(np.float32, len(product), elements=st.floats(0, 1, width=32)))
    histogram = CoupledHistogram.build(
        product, label["kinds"], label["duplicates"], 30, true_ious=true_ious
    )
    kept = true_ious[product >= np.float32(threshold)].astype(np.float64)

    expected = kept.mean() if len(kept) else math.nan
    assert histogram.ask(threshold).mean_true_iou == pytest.approx(expected, nan_ok=True)
    assert histogram.line("iou")[grid_index(threshold)] == pytest.approx(expected, nan_ok=True)


def test_without_true_ious_there_is_no_mean():
    histogram = IntegralHistogram.build(
        f32(0.9), f32(0.9), np.array([COR]), np.array([False]), num_truths=1
    )

    assert histogram.ask(0.5, 0.5).mean_true_iou is None
    assert np.isnan(histogram.plane("iou")).all()


@given(columns())
def test_a_plane_holds_what_asking_says(label):
    histogram = IntegralHistogram.build(**label, num_truths=30)
    planes = {m: histogram.plane(m) for m in ("kept", "precision", "recall", "f1", "found", "loc")}

    for i, j in [(0, 0), (30, 85), (100, 100), (85, 90)]:
        answer = histogram.ask(i / STEPS, j / STEPS)
        expected = {m: getattr(answer, m, answer.kinds[LOC]) for m in planes}
        assert {m: plane[i, j] for m, plane in planes.items()} == pytest.approx(
            expected, nan_ok=True
        )


@given(columns())
def test_the_best_f1_is_not_beaten_anywhere(label):
    histogram = IntegralHistogram.build(**label, num_truths=30)
    best = histogram.best_f1()

    assert best is not None
    assert best.answer.f1 == pytest.approx(np.nanmax(histogram.plane("f1")))
    asked = histogram.ask(best.x_threshold, best.y_threshold)
    assert best.answer.kinds == asked.kinds and best.answer.found == asked.found


@given(columns())
def test_raising_a_threshold_never_keeps_more(label):
    counts = IntegralHistogram.build(**label, num_truths=30).cumulative

    assert (np.diff(counts[:FOUND], axis=1) <= 0).all()
    assert (np.diff(counts[:FOUND], axis=2) <= 0).all()


@given(columns(), thresholds)
def test_the_coupled_histogram_equals_filtering_by_the_product(label, threshold):
    score = label["x"] * label["y"]
    histogram = CoupledHistogram.build(score, label["kinds"], label["duplicates"], num_truths=30)
    kept = score >= np.float32(threshold)

    assert histogram.ask(threshold).kept == kept.sum()
    assert histogram.ask(threshold).correct == (label["kinds"][kept] == COR).sum()
    assert histogram.line("kept")[grid_index(threshold)] == kept.sum()


@given(columns(), thresholds, thresholds)
def test_two_thresholds_keep_a_part_of_what_their_product_keeps(label, t_x, t_y):
    both = passes(label["x"], label["y"], t_x, t_y)
    product = label["x"].astype(np.float64) * label["y"]

    floor = float(np.float32(t_x)) * float(np.float32(t_y))
    assert (product[both] >= floor).all()


@given(columns(), *[thresholds] * 4)
def test_entering_and_leaving_lead_from_one_filter_to_the_other(label, a, b, c, d):
    qualities = label["x"], label["y"]
    enters, leaves = changes(*qualities, (a, b), (c, d))
    before, after = passes(*qualities, a, b), passes(*qualities, c, d)

    assert ((before & ~leaves) | enters).tolist() == after.tolist()
    assert not (enters & before).any() and not (leaves & ~before).any()


@pytest.mark.parametrize(
    ("column", "value"), [("kinds", [COR, 7]), ("duplicates", [True]), ("true_ious", [0.5])]
)
def test_columns_that_do_not_fit_are_refused_by_name(column, value):
    label = {
        "x": f32(0.9, 0.8),
        "y": f32(0.9, 0.8),
        "kinds": np.array([COR, BG]),
        "duplicates": np.zeros(2, np.bool_),
    }

    with pytest.raises(ValueError, match=column):
        IntegralHistogram.build(**{**label, column: np.array(value)}, num_truths=1)


def test_the_browser_gets_small_integers():
    nothing = np.zeros(0, np.int64)
    arrays = IntegralHistogram.build(
        f32(), f32(), nothing, nothing.astype(bool), num_truths=3
    ).as_arrays()

    assert arrays["cumulative"].dtype == np.int32
    assert arrays["cumulative"].shape == (8, 101, 101)
    assert arrays["num_truths"] == 3
