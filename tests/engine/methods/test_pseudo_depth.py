"""Pseudo-Depth's own decisions: what is matched, what is reliable, and what is left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.box_host import Proposals
from engine.build import Parts
from engine.instances import Targets
from engine.interfaces import Batch
from engine.losses.depth import DepthMaps
from engine.methods.pseudo_depth import (
    PseudoDepth,
    best_boxes,
    depth_scores,
    first_of_each,
    match,
)
from lab.config import PseudoDepthConfig
from lab.datasets.records import DropRule
from tests.engine.methods.box_hosts import box_config, box_parts

METHOD = {
    "name": "pseudo_depth",
    "box_loss": {"warmup_steps": 2, "bottom_rows": 0, "dilation": 1},
    "distil_from": 2,
    "min_box_iou": 0.01,
    "match_threshold": 0.1,
}
CONFIG = PseudoDepthConfig(name="pseudo_depth")


def parts_of(root: Path, **changes: Any) -> tuple[Parts, PseudoDepth, Batch]:
    """A real run of generated images, with its first batch."""
    parts = box_parts(box_config({**METHOD, **changes}), root)
    (batch, *_) = parts.batches(0)
    assert isinstance(parts.method, PseudoDepth)
    return parts, parts.method, batch


def proposals(*boxes: tuple[float, ...], places: list[int] | None = None) -> Proposals:
    count = len(boxes)
    numbers = torch.zeros(count)
    return Proposals(
        boxes=torch.tensor(boxes).reshape(-1, 4),
        scores=numbers + 0.5,
        labels=numbers.long(),
        class_quality=numbers + 0.5,
        class_logits=torch.zeros(count, 2),
        places=torch.arange(count) if places is None else torch.tensor(places),
        levels=numbers.long(),
        owners=numbers.long(),
    )


def targets(*boxes: tuple[float, ...]) -> Targets:
    return Targets(torch.tensor(boxes).reshape(-1, 4), torch.zeros(len(boxes), dtype=torch.long))


def test_a_place_is_taken_once_under_its_best_class():
    assert first_of_each(torch.tensor([7, 3, 7, 3, 5])).tolist() == [True, True, False, False, True]
    assert first_of_each(torch.zeros(0, dtype=torch.long)).tolist() == []


def test_only_the_masks_of_the_best_boxes_are_drawn():
    """IoUs with the target: 1, 1 (same place), .5, 0: two candidates are two places."""
    target = targets((0.0, 0.0, 8.0, 8.0))
    found = proposals(
        *((0.0, 0.0, 8.0, 8.0),) * 2,
        (0.0, 0.0, 8.0, 4.0),
        (20.0, 20.0, 24.0, 24.0),
        places=[4, 4, 5, 6],
    )
    two = CONFIG.model_copy(update={"num_candidates": 2})

    assert best_boxes(found, target, two).tolist() == [0, 2]
    assert best_boxes(found, target, CONFIG).tolist() == [0, 2]
    assert best_boxes(found[:0], target, CONFIG).tolist() == []
    assert best_boxes(found, target[:0], CONFIG).tolist() == []


def test_a_match_is_told_with_all_its_scores():
    """IoU 1 and depth .5: .8 * 1 + .2 * .5 = .9; the other box overlaps by a half."""
    target = targets((0.0, 0.0, 8.0, 8.0))
    offer = proposals((0.0, 0.0, 8.0, 8.0), (0.0, 0.0, 8.0, 4.0))
    logits, inside = torch.ones(2, 2, 2), torch.ones(1, 2, 2, dtype=torch.bool)

    chosen, scores = match(offer, logits, torch.tensor([0.5, 1.0]), target, inside, CONFIG)

    assert chosen.tolist() == [0] and scores.targets.tolist() == [0]
    assert scores.match_score.item() == pytest.approx(0.9, abs=1e-6)
    assert scores.depth_score.item() == 0.5 and scores.num_candidates.item() == 2
    assert scores.mask_score.isnan().all()


def test_an_empty_mask_and_a_far_box_are_nobodys():
    target = targets((0.0, 0.0, 8.0, 8.0), (0.0, 0.0, 8.0, 7.0))
    offer = proposals((0.0, 0.0, 8.0, 8.0), (30.0, 30.0, 40.0, 40.0))
    logits, inside = torch.ones(2, 2, 2), torch.ones(2, 2, 2, dtype=torch.bool)
    logits[0] = -1

    chosen, scores = match(offer, logits, torch.ones(2), target, inside, CONFIG)

    assert len(chosen) == len(scores.targets) == 0


def test_without_predictions_or_targets_there_is_no_match():
    nothing, maps = proposals(), torch.zeros(0, 2, 2)
    inside = torch.ones(1, 2, 2, dtype=torch.bool)
    target, offer = targets((0.0, 0.0, 8.0, 8.0)), proposals((0.0, 0.0, 8.0, 8.0))

    for one, logits, wanted, boxes in (
        (nothing, maps, target, inside),
        (offer, torch.ones(1, 2, 2), target[:0], inside[:0]),
    ):
        chosen, scores = match(one, logits, torch.ones(len(one)), wanted, boxes, CONFIG)
        assert len(chosen) == len(scores.match_score) == 0


def test_where_depth_is_not_known_boxes_alone_decide():
    depth = DepthMaps(
        torch.zeros(1, 4, 4), torch.ones(1, 4, 4, dtype=torch.bool), torch.tensor([False])
    )

    assert depth_scores(torch.full((2, 4, 4), -9.0), depth, 0, CONFIG).tolist() == [1, 1]


def test_the_teacher_is_a_copy_where_distillation_begins(tmp_path):
    _, method, _ = parts_of(tmp_path)

    assert method.teacher_from == 2
    assert [method.teacher_decay(step) for step in (0, 1, 2, 3)] == [None, None, 0.0, 0.999]


def test_nobody_is_asked_before_distillation_begins(tmp_path):
    _, method, batch = parts_of(tmp_path)

    before, after = method.losses(batch, 1), method.losses(batch, 2)

    assert before.unsup == {} and before.candidates == []
    assert set(after.unsup) == {"dice"} and len(after.candidates) == 2
    expected = {"class", "box", "center", "projection", "pairwise", "consistency", "depth"}
    assert set(before.sup) == expected


def test_masks_that_match_poorly_are_dropped_and_say_why(tmp_path):
    """Above .999999 nothing matches: the dice is 0, and every mask is recorded as dropped."""
    _, method, batch = parts_of(tmp_path, match_threshold=0.999999)

    losses = method.losses(batch, 2)

    assert losses.unsup["dice"].item() == 0
    assert sum(len(one.labels) for one in losses.candidates) > 0
    for one in losses.candidates:
        assert not one.kept.any() and not one.weights.any()
        assert set(one.rules.tolist()) <= {DropRule.MATCH_SCORE}
        assert one.rule_values.tolist() == pytest.approx([0.999999] * len(one.labels))


def test_reliable_masks_teach_and_only_they_count(tmp_path):
    _, method, batch = parts_of(tmp_path, match_threshold=0.0)

    losses = method.losses(batch, 2)

    kept = torch.stack([one.kept.sum() for one in losses.candidates]).sum()
    assert kept > 0
    assert losses.unsup["dice"].item() > 0
    assert float(losses.stats["pseudo/kept_per_image"]) == pytest.approx(kept.item() / 2)
    for one in losses.candidates:
        assert one.box_scores is not None
        filled = one.mask_quality > 0
        assert torch.equal(one.kept, filled & (one.box_scores.match_score > 0))
        assert set(one.rules[~filled].tolist()) <= {DropRule.MASK_AREA}


def test_gamma_multiplies_the_dice_and_zero_asks_nobody(tmp_path):
    _, method, batch = parts_of(tmp_path, match_threshold=0.0)
    single = replace(method, config=method.config.model_copy(update={"dice_weight": 1.0}))
    off = replace(method, config=method.config.model_copy(update={"dice_weight": 0.0}))

    four, one = method.losses(batch, 2).unsup["dice"], single.losses(batch, 2).unsup["dice"]

    assert four.item() == pytest.approx(4 * one.item(), rel=1e-5)
    assert off.losses(batch, 2).unsup == {}


def test_probe_images_have_no_rule(tmp_path):
    _, method, batch = parts_of(tmp_path)
    (found, *_) = method.losses(batch, 2).candidates
    seen = replace(found, box_scores=None)

    assert method.judge(seen) is seen


def test_a_run_without_depth_maps_is_boxinst_with_a_teacher(tmp_path):
    _, method, batch = parts_of(tmp_path)
    bare = replace(batch, labeled=replace(batch.labeled, depth=None))

    losses = method.losses(bare, 2)
    losses.total().backward()

    assert losses.sup["consistency"].item() == losses.sup["depth"].item() == 0
    assert float(losses.stats["depth/known_images"]) == 0
    for one in losses.candidates:
        assert one.box_scores is not None
        assert (one.box_scores.depth_score == 1).all()


def test_a_flat_map_teaches_as_little_as_none(tmp_path):
    _, method, batch = parts_of(tmp_path)
    assert batch.labeled.depth is not None
    flat = torch.full_like(batch.labeled.depth, 0.5)

    losses = method.losses(replace(batch, labeled=replace(batch.labeled, depth=flat)), 1)

    assert losses.sup["consistency"].item() == losses.sup["depth"].item() == 0


def test_depth_can_join_neighbours_without_guiding_the_mask_head(tmp_path):
    parts, method, batch = parts_of(tmp_path, depth_guided=False)

    losses = method.losses(batch, 2)

    assert "depth" not in losses.sup and losses.sup["consistency"].item() > 0
    assert not parts.config.host.depth_layer


def test_depth_stretched_in_each_box_is_another_loss(tmp_path):
    _, whole, batch = parts_of(tmp_path)
    boxes = replace(whole, config=whole.config.model_copy(update={"depth_range": "instance"}))

    one, other = whole.losses(batch, 1).sup, boxes.losses(batch, 1).sup

    assert torch.isfinite(other["depth"]) and one["depth"] != other["depth"]
    assert one["consistency"] == other["consistency"]


def test_what_is_left_after_suppression_can_be_offered_instead(tmp_path):
    _, dense, batch = parts_of(tmp_path, match_threshold=0.0)
    few = replace(dense, config=dense.config.model_copy(update={"proposals": "suppressed"}))

    many, less = dense.losses(batch, 2).candidates, few.losses(batch, 2).candidates

    for one, other in zip(many, less, strict=True):
        assert one.box_scores is not None and other.box_scores is not None
        assert one.box_scores.num_candidates.sum() >= other.box_scores.num_candidates.sum()
