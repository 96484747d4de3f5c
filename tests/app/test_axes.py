"""Any two scores span a threshold plane: which they are, and where labels lie in it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from app.axes import Axes, bars_elsewhere, choose_axes, default_axes, passes_all, place
from app.label_scores import SCORES, scores_of
from lab.analysis.mask_quality import QUALITIES
from lab.analysis.threshold_grid import grid_index, passes
from lab.analysis.what_if import CoupledHistogram, IntegralHistogram
from lab.store.packing import FLOAT_COLUMNS

SEMI = ("class_quality", "mask_quality", "score")
BOXSEG = (*SEMI, "box_score", "pixel_score", "mask_score")
NAN = float("nan")


def f32(*values: float):
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("recorded", "usual"),
    [
        ((), Axes("class_quality", "mask_quality")),
        (SEMI, Axes("class_quality", "mask_quality")),
        (BOXSEG, Axes("box_score", "pixel_score")),
        ((*BOXSEG, "match_score", "depth_score"), Axes("match_score", "depth_score")),
        ((*SEMI, "semantic_score", "instance_score"), Axes("semantic_score", "instance_score")),
    ],
)
def test_the_usual_axes_are_what_the_method_decides_by(recorded: tuple[str, ...], usual: Axes):
    assert default_axes(recorded) == choose_axes(recorded) == usual


def test_one_axis_may_be_chosen_and_the_other_makes_way():
    assert choose_axes(BOXSEG, x="mask_score") == Axes("mask_score", "pixel_score")
    assert choose_axes(BOXSEG, x="pixel_score") == Axes("pixel_score", "box_score")
    assert choose_axes(BOXSEG, y="box_score") == Axes("pixel_score", "box_score")


def test_a_score_that_the_run_has_not_is_refused_by_name():
    with pytest.raises(ValueError, match="y=depth_score: this run has no such score; it has class"):
        choose_axes(BOXSEG, y="depth_score")
    with pytest.raises(ValueError, match="x=uncertainty: this run has no such score"):
        choose_axes((*BOXSEG, "uncertainty"), x="uncertainty")
    with pytest.raises(ValueError, match="choose two different scores"):
        choose_axes(BOXSEG, "box_score", "box_score")


def test_the_product_of_class_and_mask_is_the_recorded_one_any_other_is_computed():
    columns = {
        "class_quality": f32(0.5),
        "mask_quality": f32(0.5),
        "score": f32(0.3),
        "box_score": f32(0.8),
    }

    assert place(columns, Axes()).product.tolist() == f32(0.3).tolist()
    assert place(columns, Axes("box_score", "mask_quality")).product.tolist() == f32(0.4).tolist()


def test_what_was_never_measured_counts_as_0_and_what_is_beyond_1_as_1():
    columns = {"box_score": f32(NAN, 1.5, -0.1), "pixel_score": f32(0.5, 0.5, 0.5)}

    at = place(columns, Axes("box_score", "pixel_score"))

    assert at.x.tolist() == [0, 1, 0]
    assert at.product.tolist() == [0, 0.5, 0]


def test_a_threshold_on_a_score_that_is_no_axis_holds_as_it_is():
    matched = {"method": {"name": "pseudo_depth", "match_threshold": 0.8}}
    coupled = {"method": {"name": "pl_dc", "ddtf": False, "coupled_threshold": 0.6}}
    boxes = Axes("box_score", "pixel_score")

    assert bars_elsewhere(matched, boxes) == {"match_score": 0.8}
    assert bars_elsewhere(matched, Axes("depth_score", "match_score")) == {}
    assert bars_elsewhere(coupled, boxes) == {"score": 0.6}
    assert bars_elsewhere(coupled, Axes("mask_quality", "class_quality")) == {}
    columns = {"match_score": f32(0.8, 0.79, NAN)}
    assert np.atleast_1d(passes_all(columns, {"match_score": 0.8})).tolist() == [True, False, False]


@given(st.data(), st.permutations(QUALITIES), st.integers(0, 100), st.integers(0, 100))
def test_over_any_axes_the_histogram_counts_what_filtering_leaves(
    data: st.DataObject, names: list[str], i: int, j: int
):
    size = data.draw(st.integers(0, 20))
    score = hnp.arrays(np.float32, size, elements=st.floats(0, 1, width=32) | st.just(NAN))
    axes = Axes(names[0], names[1])
    columns = {name: data.draw(score) for name in {*axes.columns, "score"}}
    kinds = data.draw(hnp.arrays(np.int64, size, elements=st.integers(0, 6)))
    nothing = np.zeros(size, np.bool_)
    true_ious = data.draw(hnp.arrays(np.float32, size, elements=st.floats(0, 1, width=32)))

    at = place(columns, axes)
    pair = IntegralHistogram.build(at.x, at.y, kinds, nothing, 9, true_ious=true_ious)
    coupled = CoupledHistogram.build(at.product, kinds, nothing, 9, true_ious=true_ious)

    kept = passes(at.x, at.y, i / 100, j / 100)
    assert pair.ask(i / 100, j / 100).kept == kept.sum()
    mean = true_ious[kept].mean(dtype=np.float64) if kept.any() else NAN
    assert pair.plane("iou")[i, j] == pytest.approx(mean, nan_ok=True)
    above = at.product >= np.float32(i / 100)
    assert coupled.line("kept")[grid_index(i / 100)] == above.sum()


def test_every_column_that_can_be_a_score_has_a_name():
    known = {score.name for score in SCORES}

    assert set(QUALITIES) <= known
    assert known <= set(FLOAT_COLUMNS)


def test_a_run_of_boxes_has_one_true_iou_that_of_its_own_objects():
    names = [score.name for score in scores_of({"true_iou", "target_iou", "box_score"})]

    assert names == ["box_score", "target_iou"]
    assert [score.name for score in scores_of({"true_iou"})] == ["true_iou"]
