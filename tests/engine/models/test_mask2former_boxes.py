"""Mask2Former as a host of box-supervised methods."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.ops import box_iou

from engine.box_host import BoxHost, Wanted
from engine.instances import Targets
from engine.losses.box_mask import projection_loss
from engine.losses.box_supervision import sampled_boxes
from engine.models.mask2former import Mask2Former
from lab.config import Mask2FormerConfig

SIZE = 64
LAYERS = 4
"""The learnable queries' own, and three of the decoder."""


def target(*boxes: tuple[float, float, float, float]) -> Targets:
    return Targets(torch.tensor(boxes).reshape(-1, 4), torch.ones(len(boxes), dtype=torch.long))


TARGETS = [target(), target((8, 8, 40, 40), (30, 30, 60, 60))]


def tiny(**changes: object) -> Mask2Former:
    torch.manual_seed(0)
    config = {"name": "mask2former", "preset": "tiny", "width": 8, "num_queries": 6, **changes}
    return Mask2Former(Mask2FormerConfig.model_validate(config), num_classes=3)


@pytest.fixture(scope="module")
def host() -> Mask2Former:
    return tiny().eval()


def test_mask2former_is_a_box_host(host):
    logits = host(torch.rand(1, 3, SIZE, 2 * SIZE)).mask_logits

    assert isinstance(host, BoxHost)
    assert {m.shape[2:] for m in logits} == {(SIZE // host.mask_stride, 2 * SIZE // 4)}


def test_the_samples_of_every_layer_name_their_image_and_their_target(host):
    taught = host.teach_boxes(torch.rand(2, 3, SIZE, SIZE), TARGETS)

    assert taught.layers == LAYERS
    assert taught.samples.logits.shape == (2 * LAYERS, 16, 16)
    assert taught.samples.logits.dtype == torch.float32
    assert taught.samples.images.tolist() == [1, 1] * LAYERS
    assert taught.samples.targets.tolist() == [0, 1] * LAYERS
    assert taught.features.shape == (2, 64, 8, 8)


def test_samples_are_the_matched_queries_of_their_layer(host):
    images = torch.rand(2, 3, SIZE, SIZE)
    out = host(images)
    pairs = host.match_boxes(out, TARGETS)

    samples = host.teach_boxes(images, TARGETS).samples

    for layer, queries in enumerate(pairs.queries.tolist()):
        for row, query in enumerate(queries):
            expected = out.mask_logits[layer][1, query]
            torch.testing.assert_close(samples.logits[2 * layer + row], expected)


def test_classes_are_all_that_the_host_teaches_itself(host):
    losses = host.teach_boxes(torch.rand(2, 3, SIZE, SIZE), TARGETS).losses

    assert set(losses) == {"class", "aux"}
    # Chance over 3 classes and none is 2 ln 4 a layer.
    assert losses["class"].item() == pytest.approx(2.77, abs=1.5)
    assert losses["aux"].item() == pytest.approx(3 * 2.77, abs=4.5)


def test_a_batch_without_objects_gives_samples_that_reach_the_network(host):
    host.zero_grad()
    taught = host.teach_boxes(torch.rand(1, 3, SIZE, SIZE), [target()])

    (taught.samples.logits.sum() + sum(taught.losses.values())).backward()

    assert len(taught.samples) == 0 and taught.losses["class"].item() > 0
    assert [n for n, p in host.named_parameters() if p.grad is None] == []


def test_masks_of_targets_are_not_looked_at(host):
    images, masks = torch.rand(2, 3, SIZE, SIZE), torch.zeros(2, SIZE, SIZE, dtype=torch.bool)
    lying = [TARGETS[0], Targets(TARGETS[1].boxes, TARGETS[1].labels, masks)]

    with_masks, without = (host.teach_boxes(images, one) for one in (lying, TARGETS))

    torch.testing.assert_close(with_masks.losses, without.losses)
    torch.testing.assert_close(with_masks.samples.logits, without.samples.logits)


def test_the_best_proposals_are_the_predictions(host):
    """But for the boxes, which come from enlarged shadows here and from enlarged masks there."""
    images = torch.rand(2, 3, SIZE, SIZE)

    found = host.propose(images, TARGETS)

    for proposals, predictions in zip(found.images, host.predict(images), strict=True):
        one = proposals[proposals.class_quality.argsort()]
        other = predictions[predictions.class_quality.argsort()]
        torch.testing.assert_close(one.class_quality, other.class_quality)
        outward = torch.tensor([-1, -1, 1, 1]) * (one.boxes - other.boxes)
        assert (outward[other.boxes.any(dim=1)] >= 0).all()
        torch.testing.assert_close(one.scores, other.scores, atol=0.05, rtol=0)
        assert (proposals.scores.diff() <= 0).all()


def test_the_floor_decides_what_all_proposals_are():
    sure = tiny(score_floor=0.3).eval().propose(torch.rand(1, 3, SIZE, SIZE), [target()])
    every = tiny(score_floor=0.0).eval()
    images = torch.rand(1, 3, SIZE, SIZE)

    assert len(every.propose(images, [target()], Wanted.ALL).images[0]) == 18
    assert len(sure.images[0]) == 18, "the floor is not for the best"
    some = tiny(score_floor=0.3).eval().propose(images, [target()], Wanted.ALL).images[0]
    assert len(some) < 18 and (some.class_quality > 0.3).all()


def test_a_proposal_knows_whom_its_query_would_have_to_find(host):
    images = torch.rand(2, 3, SIZE, SIZE)
    last = host.match_boxes(host(images), TARGETS).queries[-1].tolist()

    every = host.propose(images, TARGETS, Wanted.ALL).images
    assigned = host.propose(images, TARGETS, Wanted.ASSIGNED).images

    assert (every[0].owners == -1).all() and len(assigned[0]) == 0
    assert assigned[1].places.tolist() == last
    assert assigned[1].owners.tolist() == [0, 1] and assigned[1].labels.tolist() == [1, 1]
    for owner, query in enumerate(last):
        assert (every[1].owners[every[1].places == query] == owner).all()
    rest = ~torch.isin(every[1].places, torch.tensor(last))
    assert (every[1].owners[rest] == -1).all()


def test_masks_are_drawn_for_the_rows_that_are_asked_for(host):
    images = torch.rand(2, 3, SIZE, SIZE)
    found = host.propose(images, TARGETS, Wanted.ALL)
    rows = [torch.tensor([3, 0]), torch.tensor([], dtype=torch.long)]

    first, second = found.mask_logits(rows)

    assert first.shape == (2, 16, 16) and second.shape == (0, 16, 16)
    queries = found.images[0].places[rows[0]]
    torch.testing.assert_close(first, host(images).mask_logits[-1][0, queries].detach())


def test_mean_features_give_the_mean_logits(host):
    """Of two cells in a row as of four in a square: logits are products with the features."""
    out = host(torch.rand(1, 3, SIZE, SIZE))
    logits = out.mask_logits[-1][0].flatten(1)
    features = out.mask_features[0].flatten(1)
    query = torch.linalg.lstsq(features.T, logits.T).solution.T

    coarse = query @ out.coarse_features[0].flatten(1)

    expected = nn.functional.avg_pool2d(out.mask_logits[-1], 2)[0].flatten(1)
    torch.testing.assert_close(coarse, expected, atol=1e-3, rtol=1e-3)


def test_boxes_alone_teach_it_where_an_object_is():
    """One bright square; classes and shadows, no mask."""
    network = tiny().train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    images = torch.zeros(2, 3, SIZE, SIZE)
    images[:, :, 16:48, 16:48] = 1.0
    wanted = [Targets(torch.tensor([[16.0, 16, 48, 48]]), torch.tensor([2]))] * 2

    for _ in range(60):
        optimizer.zero_grad()
        taught = network.teach_boxes(images, wanted)
        inside = sampled_boxes(taught.samples, wanted, network.mask_stride)
        shadows = projection_loss(taught.samples.logits.sigmoid(), inside).mean()
        (sum(taught.losses.values()) + 5 * taught.layers * shadows).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
    network.eval()
    found = network.propose(images, wanted).images[0]

    assert found.labels[0] == 2
    assert box_iou(found.boxes[:1], wanted[0].boxes).item() > 0.8
