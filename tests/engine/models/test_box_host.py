"""CondInst as a host of box-supervised methods: what it hands out, and where it comes from."""

from __future__ import annotations

import pytest
import torch
from torchvision.ops import batched_nms

from engine.box_host import BoxHost, Wanted
from engine.instances import Targets
from engine.models.condinst import CondInst
from engine.models.dynamic_head import (
    READOUT,
    depth_guided_masks,
    dynamic_masks,
    parameter_count,
)
from engine.models.fcos import build_locations
from engine.models.fcos_losses import Detections, detection_losses, find_positives
from lab.config import CondInstConfig

SIZE = 64


def target(*boxes: tuple[float, float, float, float]) -> Targets:
    return Targets(torch.tensor(boxes).reshape(-1, 4), torch.ones(len(boxes), dtype=torch.long))


@pytest.fixture(scope="module")
def host() -> CondInst:
    torch.manual_seed(0)
    config = CondInstConfig(width=8, mask_channels=16, max_instances=4, score_floor=0.001)
    return CondInst(config, num_classes=3).eval()


TARGETS = [target((8, 8, 40, 40), (30, 30, 60, 60)), target()]


def test_condinst_is_a_box_host(host):
    assert isinstance(host, BoxHost)
    assert host.mask_stride == 2


def test_samples_name_their_image_and_their_target(host):
    images = torch.rand(2, 3, SIZE, SIZE)

    taught = host.teach_boxes(images, [TARGETS[1], TARGETS[0]])

    assert set(taught.losses) == {"class", "box", "center"}
    assert taught.samples.logits.shape == (len(taught.samples), 32, 32)
    assert taught.samples.images.tolist() == [1] * len(taught.samples)
    assert set(taught.samples.targets.tolist()) == {0, 1}
    assert len(taught.samples) <= 4
    assert taught.features.shape == (2, 16, 16, 16)
    assert taught.samples.depth_logits is None


def test_a_batch_without_objects_gives_samples_that_reach_the_network(host):
    host.zero_grad()
    taught = host.teach_boxes(torch.rand(1, 3, SIZE, SIZE), [target()])

    (taught.samples.logits.sum() + sum(taught.losses.values())).backward()

    assert len(taught.samples) == 0
    assert [n for n, p in host.named_parameters() if p.grad is None] == []


def test_masks_of_targets_are_not_looked_at(host):
    images = torch.rand(1, 3, SIZE, SIZE)
    lying = Targets(
        TARGETS[0].boxes, TARGETS[0].labels, torch.zeros(2, SIZE, SIZE, dtype=torch.bool)
    )

    with_masks = host.teach_boxes(images, [lying])
    without = host.teach_boxes(images, [TARGETS[0]])

    torch.testing.assert_close(with_masks.losses, without.losses)


def test_the_best_proposals_are_the_predictions(host):
    images = torch.rand(2, 3, SIZE, SIZE)

    found = host.propose(images, TARGETS)

    for proposals, predictions in zip(found.images, host.predict(images), strict=True):
        torch.testing.assert_close(proposals.boxes, predictions.boxes)
        torch.testing.assert_close(proposals.scores, predictions.scores)


def test_all_proposals_are_there_before_suppression_best_first(host):
    images = torch.rand(1, 3, SIZE, SIZE)

    every = host.propose(images, TARGETS[:1], Wanted.ALL).images[0]
    best = host.propose(images, TARGETS[:1]).images[0]

    assert len(every) > len(best)
    assert (every.scores.diff() <= 1e-6).all()
    kept = batched_nms(every.boxes, every.scores, every.labels, 0.6)[:100]
    torch.testing.assert_close(every[kept].boxes, best.boxes)


def test_a_proposal_knows_its_level_and_the_target_of_its_place(host):
    images = torch.rand(1, 3, SIZE, SIZE)

    every = host.propose(images, TARGETS[:1], Wanted.ALL).images[0]
    assigned = host.propose(images, TARGETS[:1], Wanted.ASSIGNED).images[0]

    assert set(every.levels.tolist()) <= {0, 1, 2}
    assert set(every.owners.tolist()) <= {-1, 0, 1}
    assert set(assigned.owners.tolist()) == {0, 1}
    assert (assigned.labels == 1).all()
    owned = every.places[every.owners == 0].unique()
    assert set(assigned.places[assigned.owners == 0].tolist()) <= set(owned.tolist())


def test_masks_are_drawn_for_the_rows_that_are_asked_for(host):
    images = torch.rand(2, 3, SIZE, SIZE)
    found = host.propose(images, TARGETS, Wanted.ALL)
    rows = [torch.tensor([3, 0]), torch.tensor([], dtype=torch.long)]

    first, second = found.mask_logits(rows)

    assert first.shape == (2, 32, 32) and second.shape == (0, 32, 32)
    everything = found.mask_logits([torch.arange(len(one)) for one in found.images])
    torch.testing.assert_close(first, everything[0][rows[0]])


def test_images_without_targets_have_proposals_without_owners(host):
    found = host.propose(torch.rand(1, 3, SIZE, SIZE), [target()], Wanted.ALL)

    assert (found.images[0].owners == -1).all()
    assigned = host.propose(torch.rand(1, 3, SIZE, SIZE), [target()], Wanted.ASSIGNED)
    assert len(assigned.images[0]) == 0
    assert assigned.mask_logits([torch.zeros(0, dtype=torch.long)])[0].shape == (0, 32, 32)


def test_a_depth_layer_costs_nine_parameters():
    assert parameter_count(8, depth_layer=True) == 178
    assert parameter_count(16, depth_layer=True) == 242


def constant_head(mask: float, depth: float) -> torch.Tensor:
    """Parameters of a head that says one mask logit and one depth logit everywhere."""
    parameters = torch.zeros(1, parameter_count(8, depth_layer=True))
    parameters[0, -READOUT - 1] = mask  # the bias of the mask layer
    parameters[0, -1] = depth  # the bias of the depth layer
    return parameters


@pytest.mark.parametrize(("mask", "expected"), [(1.2, 0.672260), (-1.2, 0.327740)])
def test_depth_damps_a_mask_and_never_flips_it(mask: float, expected: float):
    """H1: depth logit .4 is probability .598688; the mask logit is multiplied by it."""
    where = (torch.zeros(1, dtype=torch.long), constant_head(mask, 0.4))
    logits, depth = depth_guided_masks(
        torch.rand(1, 8, 3, 3), *where, torch.tensor([[4.0, 4.0]]), torch.tensor([64.0]), 8
    )

    assert depth.sigmoid().mean().item() == pytest.approx(0.598688, abs=1e-6)
    assert logits.sigmoid().mean().item() == pytest.approx(expected, abs=1e-6)


def test_the_mask_layer_of_a_depth_head_is_the_plain_one():
    torch.manual_seed(0)
    parameters = torch.randn(2, 178)
    parameters[:, -READOUT:] = 0
    parameters[:, -1] = 30.0  # depth probability 1
    given = (torch.randn(1, 8, 4, 4), torch.zeros(2, dtype=torch.long))
    where = (torch.rand(2, 2) * 32, torch.full((2,), 64.0), 8)

    guided, _ = depth_guided_masks(*given, parameters, *where)

    torch.testing.assert_close(guided, dynamic_masks(*given, parameters[:, :-READOUT], *where))


def test_a_host_with_a_depth_layer_hands_out_depth():
    config = CondInstConfig(width=8, mask_channels=16, depth_layer=True)
    host = CondInst(config, num_classes=3)

    taught = host.teach_boxes(torch.rand(1, 3, SIZE, SIZE), [TARGETS[0]])

    assert taught.samples.depth_logits is not None
    assert taught.samples.depth_logits.shape == taught.samples.logits.shape


def one_location() -> tuple[Detections, Targets]:
    """One location at (4, 4), stride 8, whose target reaches 2, 3, 6, 9 px to the sides; the
    network says 4, 2, 4, 4."""
    said = Detections(
        torch.zeros(1, 1, 1), torch.tensor([[[4.0, 2.0, 4.0, 4.0]]]) / 8, torch.zeros(1, 1)
    )
    return said, target((2, 1, 10, 13))


def losses_of(**options: str) -> dict[str, float]:
    said, wanted = one_location()
    locations = build_locations([(1, 1)], [8], [(-1.0, 1e8)], [64.0], torch.device("cpu"))
    wanted = Targets(wanted.boxes, torch.zeros(1, dtype=torch.long))
    found = find_positives(locations, [wanted])
    losses = detection_losses(said, found, **options)  # pyright: ignore[reportArgumentType]
    return {name: loss.item() for name, loss in losses.items()}


def test_an_iou_branch_learns_the_iou_and_leaves_the_box_loss_unweighted():
    """In strides: pred area 1 * .75, target 1 * 1.5, overlap .75 * .75 = .5625, union 1.6875;
    with the authors' +1: IoU 1.5625 / 2.6875 = .581395. BCE of logit 0 is log 2 for any target."""
    iou, center = losses_of(quality="iou"), losses_of()

    assert set(iou) == {"class", "box", "iou"}
    assert iou["iou"] == pytest.approx(0.693147, abs=1e-6)
    # The box that holds both is (.5 + .75) * (.375 + 1.125) = 1.875.
    assert iou["box"] == pytest.approx(1 - (0.581395 - (1.875 - 1.6875) / 1.875), abs=1e-5)
    # One location: weighting by centerness and dividing by it changes nothing.
    assert center["box"] == pytest.approx(iou["box"], abs=1e-6)


def test_varifocal_teaches_the_iou_as_the_class_score():
    """Target .581395 at probability 1/2: weight .581395 times log 2."""
    assert losses_of(class_loss="varifocal")["class"] == pytest.approx(
        0.581395 * 0.693147, abs=1e-5
    )
