"""Cor, Loc, Sim, Oth, BG: the examples of the definition and what must always hold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lab.analysis.errors import (
    Thresholds,
    TideKind,
    Verdict,
    classify,
    one_to_one,
    supercategory_groups,
    tide_kinds,
)
from lab.analysis.tally import Scene, tally
from lab.datasets.records import Category, ErrorKind

BEAR, DOG, CAR, PERSON = range(4)
GROUPS = np.array([0, 0, 1, 2])
COR, LOC, SIM, OTH, BG = ErrorKind.COR, ErrorKind.LOC, ErrorKind.SIM, ErrorKind.OTH, ErrorKind.BG


def judge(
    ious: Sequence[Sequence[float]],
    preds: Sequence[int],
    truths: Sequence[int],
    *,
    scores: Sequence[float] | None = None,
    crowd: Sequence[bool] | None = None,
    thresholds: Thresholds | None = None,
    area_gaps: Sequence[Sequence[float]] | None = None,
) -> Verdict:
    return classify(
        np.array(ious, np.float64).reshape(len(preds), len(truths)),
        np.array(preds, np.int64),
        np.array(truths, np.int64),
        GROUPS,
        np.array([0.9] * len(preds) if scores is None else scores, np.float32),
        np.array([False] * len(truths) if crowd is None else crowd, np.bool_),
        thresholds or Thresholds(),
        None if area_gaps is None else np.array(area_gaps, np.float64),
    )


@pytest.mark.parametrize(
    ("pred", "ious", "truths", "kind"),
    [
        (BEAR, [0.62], [BEAR], COR),
        (BEAR, [0.5], [BEAR], COR),
        (BEAR, [0.3, 0.9], [BEAR, DOG], LOC),
        (BEAR, [0.05, 0.9], [BEAR, DOG], SIM),
        (BEAR, [0.2, 0.7], [DOG, CAR], SIM),
        (BEAR, [0.7], [CAR], OTH),
        (BEAR, [0.09], [BEAR], BG),
        (BEAR, [0.1], [BEAR], LOC),
        (BEAR, [], [], BG),
        (PERSON, [0.8], [DOG], OTH),
        (BEAR, [0.1], [DOG], SIM),
        (BEAR, [0.1], [CAR], OTH),
    ],
)
def test_the_examples_of_the_definition(pred, ious, truths, kind):
    assert judge([ious], [pred], truths).kinds.tolist() == [kind]


def test_the_linked_truth_is_the_one_that_decided():
    """A sibling at 0.2 goes before a stranger at 0.7, so it is the one shown."""
    verdict = judge([[0.2, 0.7]], [BEAR], [DOG, CAR])

    assert verdict.gt_index.tolist() == [0]
    assert verdict.true_ious.tolist() == [0.2]


def test_equal_ious_link_the_truth_of_nearer_area_and_then_the_first():
    nearer = judge([[0.3, 0.3]], [BEAR], [BEAR, BEAR], area_gaps=[[9, 4]])
    first = judge([[0.3, 0.3]], [BEAR], [BEAR, BEAR], area_gaps=[[4, 4]])

    assert nearer.gt_index.tolist() == [1]
    assert first.gt_index.tolist() == [0]


def test_background_links_no_truth_but_keeps_its_highest_iou():
    verdict = judge([[0.03, 0.07]], [BEAR], [BEAR, CAR])

    assert verdict.gt_index.tolist() == [-1]
    assert verdict.true_ious.tolist() == [0.07]


def test_the_second_label_of_a_truth_is_a_duplicate_whatever_its_iou():
    verdict = judge([[0.95], [0.6]], [BEAR, BEAR], [BEAR], scores=[0.4, 0.8])

    assert verdict.kinds.tolist() == [COR, COR]
    assert verdict.duplicates.tolist() == [True, False]


def test_equal_scores_are_served_in_order():
    verdict = judge([[0.6], [0.95]], [BEAR, BEAR], [BEAR])

    assert verdict.duplicates.tolist() == [False, True]


def test_a_label_whose_best_truth_is_taken_may_take_another():
    """Two overlapping bears, both hit by both labels."""
    verdict = judge([[0.9, 0.6], [0.8, 0.7]], [BEAR, BEAR], [BEAR, BEAR])

    assert verdict.duplicates.tolist() == [False, False]
    assert verdict.missed.tolist() == [False, False]


def test_a_truth_is_missed_when_only_another_class_or_too_low_an_iou_meets_it():
    verdict = judge([[0.9, 0.0], [0.0, 0.4]], [DOG, CAR], [BEAR, CAR])

    assert verdict.kinds.tolist() == [SIM, LOC]
    assert verdict.missed.tolist() == [True, True]


def test_a_label_mostly_on_a_crowd_is_ignored_unless_it_is_correct():
    on_crowd = judge([[0.3, 0.9]], [BEAR], [BEAR, BEAR], crowd=[False, True])
    correct = judge([[0.5, 0.9]], [BEAR], [BEAR, BEAR], crowd=[False, True])
    barely = judge([[0.3, 0.49]], [BEAR], [BEAR, BEAR], crowd=[False, True])

    assert on_crowd.kinds.tolist() == [ErrorKind.IGNORED]
    assert on_crowd.gt_index.tolist() == [1]
    assert correct.kinds.tolist() == [COR]
    assert barely.kinds.tolist() == [LOC]


def test_a_crowd_is_neither_missed_nor_a_hit():
    verdict = judge([[0.45]], [BEAR], [BEAR], crowd=[True])

    assert verdict.kinds.tolist() == [BG]
    assert verdict.true_ious.tolist() == [0]
    assert verdict.missed.tolist() == [False]


def test_nothing_found_misses_everything():
    verdict = judge([], [], [BEAR, CAR])

    assert verdict.kinds.shape == verdict.duplicates.shape == (0,)
    assert verdict.missed.tolist() == [True, True]


def test_an_unknown_class_is_refused():
    with pytest.raises(ValueError, match=r"pred_labels: class 4 is not in 0\.\.3"):
        judge([[0.5]], [4], [BEAR])


@pytest.mark.parametrize("bad", [{"bg": 0.0}, {"bg": 0.6}, {"pos": 1.1}, {"crowd": 0.0}])
def test_thresholds_out_of_order_are_refused(bad):
    with pytest.raises(ValueError, match="need 0 <"):
        Thresholds(**bad)


def test_a_class_without_supercategory_has_no_look_alikes():
    names = ["animal", "", "animal", ""]
    groups = supercategory_groups([Category(i, str(i), name) for i, name in enumerate(names)])

    assert groups[0] == groups[2]
    assert len(set(groups.tolist())) == 3


def test_tide_calls_a_wrong_class_cls_on_a_hit_and_both_below():
    kinds = np.array([COR, COR, LOC, SIM, OTH, OTH, BG, ErrorKind.IGNORED, ErrorKind.UNKNOWN])
    ious = np.array([0.9, 0.8, 0.3, 0.5, 0.49, 0.7, 0.0, 0.9, np.nan])
    duplicates = np.array([False, True] + [False] * 7)

    assert [TideKind(kind).name for kind in tide_kinds(kinds, ious, duplicates)] == [
        "CORRECT", "DUPE", "LOC", "CLS", "BOTH", "CLS", "BKG", "IGNORED", "UNKNOWN",
    ]  # fmt: skip


@st.composite
def scenes(draw):
    """Random IoUs on a coarse grid, so that thresholds are hit exactly and ties are common."""
    preds, truths = draw(st.integers(0, 6)), draw(st.integers(0, 5))
    labels = st.integers(0, 3)
    return {
        "ious": draw(hnp.arrays(np.float64, (preds, truths), elements=st.integers(0, 20))) / 20,
        "pred_labels": draw(hnp.arrays(np.int64, preds, elements=labels)),
        "gt_labels": draw(hnp.arrays(np.int64, truths, elements=labels)),
        "supercategory": GROUPS,
        "scores": draw(hnp.arrays(np.int64, preds, elements=st.integers(0, 3))) / np.float32(4),
        "is_crowd": draw(hnp.arrays(np.bool_, truths)),
    }


def by_hand(scene, pred, pos, bg):
    """The definition read aloud, one prediction and one truth at a time."""
    label, rules = scene["pred_labels"][pred], []
    on_crowd = best = 0.0
    for truth, iou in enumerate(scene["ious"][pred]):
        if scene["is_crowd"][truth]:
            on_crowd = max(on_crowd, iou)
            continue
        best = max(best, iou)
        gt_label = scene["gt_labels"][truth]
        if gt_label == label:
            rules.append(COR if iou >= pos else LOC if iou >= bg else BG)
        elif iou >= bg:
            rules.append(SIM if GROUPS[gt_label] == GROUPS[label] else OTH)
    kind = min(rules, default=BG)
    return ErrorKind.IGNORED if kind != COR and on_crowd >= 0.5 and on_crowd > best else kind


@given(scenes(), st.sampled_from([0.3, 0.5, 0.75]), st.sampled_from([0.05, 0.1, 0.25]))
def test_every_prediction_gets_the_one_kind_that_the_definition_says(scene, pos, bg):
    kinds = classify(**scene, thresholds=Thresholds(pos, bg)).kinds

    assert kinds.tolist() == [by_hand(scene, pred, pos, bg) for pred in range(len(kinds))]


@given(scenes())
def test_correct_labels_are_duplicates_or_take_one_truth_each(scene):
    verdict = classify(**scene)
    correct = verdict.kinds == COR

    assert not (verdict.duplicates & ~correct).any()
    num_truths = (~scene["is_crowd"]).sum()
    assert (correct & ~verdict.duplicates).sum() + verdict.missed.sum() == num_truths


@given(scenes())
def test_the_linked_truth_has_the_stated_iou_and_the_right_class(scene):
    verdict = classify(**scene)
    for pred, (kind, truth) in enumerate(zip(verdict.kinds, verdict.gt_index, strict=True)):
        if truth < 0:
            assert kind == BG
            continue
        assert scene["ious"][pred, truth] == verdict.true_ious[pred]
        same = scene["pred_labels"][pred] == scene["gt_labels"][truth]
        assert same == (kind in (COR, LOC)) or kind == ErrorKind.IGNORED
        assert scene["is_crowd"][truth] == (kind == ErrorKind.IGNORED)


@given(scenes(), st.sampled_from([(0.5, 0.3), (0.75, 0.5), (0.5, 0.1)]))
def test_a_lower_hit_threshold_only_turns_wrong_places_into_hits(scene, pair):
    scene["is_crowd"][:] = False
    high, low = (classify(**scene, thresholds=Thresholds(pos, 0.1)).kinds for pos in pair)
    changed = high != low

    assert (high[changed] == LOC).all()
    assert (low[changed] == COR).all()


@given(scenes())
def test_a_lower_background_threshold_never_makes_more_background(scene):
    high, low = (classify(**scene, thresholds=Thresholds(0.5, bg)).kinds for bg in (0.25, 0.1))

    assert (low == BG).sum() <= (high == BG).sum()


@given(scenes(), st.randoms())
def test_the_order_of_predictions_does_not_change_their_kinds(scene, random):
    order = list(range(len(scene["pred_labels"])))
    random.shuffle(order)
    turned = {**scene, **{k: scene[k][order] for k in ("ious", "pred_labels", "scores")}}

    assert classify(**turned).kinds.tolist() == classify(**scene).kinds[order].tolist()


def test_matching_serves_the_best_score_first_and_gives_it_the_best_iou():
    ious = np.array([[0.6, 0.9], [0.5, 0.8], [0.7, 0.0]])

    taken = one_to_one(ious, np.array([0.2, 0.9, 0.5]), 0.5)

    # 1 goes first and takes truth 1; 2 takes truth 0; nothing is left for 0.
    assert taken.tolist() == [-1, 1, 0]


@given(st.lists(scenes(), max_size=6), st.integers(1, 4))
def test_the_tally_of_many_images_is_the_sum_of_their_verdicts(many, at_once):
    parts = ("ious", "pred_labels", "scores", "gt_labels", "is_crowd")
    verdicts = [classify(**one) for one in many]
    kinds = np.concatenate([np.zeros(0, np.int64), *(one.kinds for one in verdicts)])
    crowds = sum(int(one["is_crowd"].sum()) for one in many)
    truths = sum(len(one["gt_labels"]) for one in many)

    found = tally([Scene(*(one[part] for part in parts)) for one in many], GROUPS, at_once=at_once)

    assert found.kinds.tolist() == np.bincount(kinds, minlength=len(ErrorKind)).tolist()
    assert found.duplicates == sum(int(one.duplicates.sum()) for one in verdicts)
    assert found.found == truths - crowds - sum(int(one.missed.sum()) for one in verdicts)


def test_a_tally_refuses_a_class_there_is_not():
    scene = Scene(np.zeros((1, 1)), np.array([0]), np.ones(1), np.array([4]), np.zeros(1, np.bool_))
    with pytest.raises(ValueError, match=r"gt_labels: class 4 is not in 0\.\.3"):
        tally([scene], GROUPS)
