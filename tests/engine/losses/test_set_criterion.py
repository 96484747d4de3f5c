"""Mask2Former's criterion against worked examples and a slow reference in numpy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.instances import Targets
from engine.losses.matching import Pairs, TermWeights
from engine.losses.points import uniform_points
from engine.losses.set_criterion import (
    LayerLosses,
    PackedTargets,
    class_losses,
    important_points,
    match,
    matched_logits,
    pack_targets,
    set_losses,
)

LAYERS, IMAGES, QUERIES, CLASSES, SIDE, POINTS = 3, 3, 4, 5, 6, 11


def objects(count: int, seed: int, *, weigh: bool = False, size: int = 16) -> Targets:
    draw = torch.Generator().manual_seed(seed)
    return Targets(
        boxes=torch.zeros(count, 4),
        labels=torch.randint(0, CLASSES, (count,), generator=draw),
        masks=torch.rand(count, size, size, generator=draw) > 0.5,
        pixel_weight=torch.rand(count, size, size, generator=draw) if weigh else None,
        instance_weight=torch.rand(count, generator=draw) if weigh else None,
    )


def answers(seed: int = 0) -> tuple[Tensor, list[Tensor]]:
    """Class logits and mask logits of every layer, with gradient."""
    draw = torch.Generator().manual_seed(seed)
    classes = torch.randn(LAYERS, IMAGES, QUERIES, CLASSES + 1, generator=draw)
    masks = [2 * torch.randn(IMAGES, QUERIES, SIDE, SIDE, generator=draw) for _ in range(LAYERS)]
    return classes.requires_grad_(), [m.requires_grad_() for m in masks]


def run(
    classes: Tensor, masks: list[Tensor], targets: PackedTargets, **options: object
) -> tuple[LayerLosses, Pairs, Tensor]:
    torch.manual_seed(1)
    shared = uniform_points(IMAGES, POINTS, torch.device("cpu"))
    pairs = match(classes, masks, targets, shared, TermWeights())
    matched = matched_logits(masks, pairs)
    points = important_points(matched, POINTS)
    losses = set_losses(classes, matched, targets, pairs, points, **options)  # pyright: ignore
    return losses, pairs, points


def bilinear(image: np.ndarray, x: float, y: float) -> float:
    """One value, by its definition: pixel centres at (i + 1/2) / size, 0 outside."""
    height, width = image.shape
    column, row = x * width - 0.5, y * height - 0.5
    total = 0.0
    for i, j in itertools.product((0, 1), (0, 1)):
        r, c = int(np.floor(row)) + i, int(np.floor(column)) + j
        if 0 <= r < height and 0 <= c < width:
            total += (1 - abs(row - r)) * (1 - abs(column - c)) * image[r, c]
    return total


def at_points(image: Tensor, points: np.ndarray) -> np.ndarray:
    pixels = image.detach().double().numpy()
    return np.array([bilinear(pixels, x, y) for x, y in points])


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def cross_entropy(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    return -(y * np.log(p) + (1 - y) * np.log(1 - p))


def dice(p: np.ndarray, y: np.ndarray) -> float:
    return 1 - (2 * (p * y).sum() + 1) / (p.sum() + y.sum() + 1)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def cheapest(costs: np.ndarray) -> dict[int, int]:
    """Object -> query, by trying every assignment."""
    queries, count = costs.shape
    best = min(
        itertools.permutations(range(queries), count),
        key=lambda chosen: sum(costs[q, n] for n, q in enumerate(chosen)),
    )
    return dict(enumerate(best))


def reference(
    classes: Tensor, masks: list[Tensor], targets: list[Targets], shared: Tensor, points: Tensor
) -> list[tuple[float, float, float]]:
    """Class, pixel and overlap loss of each layer in loops and float64, from the formulas."""
    count = max(1, sum(len(t) for t in targets))
    found = []
    for layer in range(LAYERS):
        weighted = total = pixels = overlap = 0.0
        pair = 0
        for b, target in enumerate(targets):
            logits = classes[layer, b].detach().double().numpy()
            probs = softmax(logits)
            where = shared[b].double().numpy()
            wanted = [at_points(m.float(), where) for m in target.masks]
            said = [sigmoid(at_points(masks[layer][b, q], where)) for q in range(QUERIES)]
            costs = np.array(
                [
                    [
                        -2 * probs[q, target.labels[n]]
                        + 5 * cross_entropy(said[q], wanted[n]).mean()
                        + 5 * dice(said[q], wanted[n])
                        for n in range(len(target))
                    ]
                    for q in range(QUERIES)
                ]
            )
            assigned = cheapest(costs) if len(target) else {}
            label_of = {q: int(target.labels[n]) for n, q in assigned.items()}
            for q in range(QUERIES):
                weight = 1.0 if q in label_of else 0.1
                weighted -= weight * np.log(probs[q, label_of.get(q, CLASSES)])
                total += weight
            for n, q in sorted(assigned.items()):
                own = points[layer, pair].double().numpy()
                p = sigmoid(at_points(masks[layer][b, q], own))
                y = at_points(target.masks[n].float(), own)
                u = np.ones(len(own))
                if target.pixel_weight is not None:
                    u = at_points(target.pixel_weight[n], own)
                w = 1.0 if target.instance_weight is None else float(target.instance_weight[n])
                pixels += w * (u * cross_entropy(p, y)).mean()
                overlap += w * dice(p, y)
                pair += 1
        found.append((weighted / total, pixels / count, overlap / count))
    return found


@pytest.mark.parametrize("weigh", [False, True], ids=["plain", "weighted"])
def test_every_layer_agrees_with_the_formulas(weigh: bool):
    classes, masks = answers()
    targets = [objects(2, 1, weigh=weigh), objects(0, 2, weigh=weigh), objects(3, 3, weigh=weigh)]

    losses, _, points = run(classes, masks, pack_targets(targets))

    torch.manual_seed(1)
    shared = uniform_points(IMAGES, POINTS, torch.device("cpu"))
    expected = torch.tensor(reference(classes, masks, targets, shared, points))
    ours = torch.stack([losses.classes, losses.pixels, losses.overlap], dim=1).detach()
    torch.testing.assert_close(ours, expected.float(), atol=1e-6, rtol=1e-6)


def test_the_class_loss_of_the_worked_example():
    """A4: class 0 and "no object": (0.342350 + 0.1 * 0.799208) / 1.1."""
    logits = torch.tensor([[[[2, 0.5, -1, 0], [0.1, 0.2, 0, 1.0]]]])
    pairs = Pairs(torch.tensor([0]), torch.tensor([[0]]), torch.tensor([[0]]))

    loss = class_losses(logits, torch.tensor([0]), pairs, no_object=0.1)

    assert loss.item() == pytest.approx(0.383882, abs=1e-6)


def mask_terms(
    logits: Tensor, wanted: Tensor, weight: Tensor | None = None, instance: Tensor | None = None
) -> LayerLosses:
    """Losses of N one-row masks, each seen exactly at its W pixel centres."""
    count, width = logits.shape
    targets = Targets(
        torch.zeros(count, 4),
        torch.zeros(count, dtype=torch.int64),
        wanted[:, None].bool(),
        None if weight is None else weight[:, None],
        instance,
    )
    centres = (torch.arange(width) + 0.5) / width
    points = torch.stack([centres, torch.full((width,), 0.5)], dim=1).expand(1, count, -1, -1)
    rows = torch.arange(count)
    pairs = Pairs(torch.zeros_like(rows), rows[None], rows[None])
    classes = torch.zeros(1, 1, count, 2)
    packed = pack_targets([targets])
    return set_losses(classes, logits[None, :, None], packed, pairs, points)


def test_the_mask_losses_of_the_worked_example():
    """A3: logits 2, -1, 0.5, -0.2 against 1, 0, 1, 1."""
    losses = mask_terms(
        torch.tensor([[2.0, -1.0, 0.5, -0.2]]), torch.tensor([[1.0, 0.0, 1.0, 1.0]])
    )

    assert losses.pixels.item() == pytest.approx(0.428101, abs=1e-6)
    assert losses.overlap.item() == pytest.approx(0.211418, abs=1e-6)


def test_pixel_weights_scale_the_gradient_of_their_pixels():
    """B6: teacher p = .5, .6, .9, .05, student p = .7, .7, .8, .2; weights 1 - u = 2 |p - 1/2|."""
    teacher = torch.tensor([[0.5, 0.6, 0.9, 0.05]])
    student = torch.tensor([[0.7, 0.7, 0.8, 0.2]]).logit().requires_grad_()
    wanted, certainty = (teacher > 0.5).float(), (2 * teacher - 1).abs()

    weighted = mask_terms(student, wanted, certainty)
    (gradient,) = torch.autograd.grad(weighted.pixels.sum(), student)

    assert weighted.pixels.item() == pytest.approx(0.112670, abs=1e-6)
    assert mask_terms(student, wanted).pixels.item() == pytest.approx(0.501734, abs=1e-6)
    torch.testing.assert_close(
        gradient, torch.tensor([[0.0, -0.015, -0.040, 0.045]]), atol=1e-6, rtol=0
    )
    torch.testing.assert_close(weighted.overlap, mask_terms(student, wanted).overlap)


def test_two_instances_are_averaged_after_their_pixels():
    """K7: u = (.2, 0) and (1, .5), BCE (.3, .1) and (2, .4): (mean(.24, .1) + mean(0, .2)) / 2."""
    bce = torch.tensor([[0.3, 0.1], [2.0, 0.4]])
    logits = torch.exp(-bce).logit()  # BCE of a pixel that should be foreground is -log p
    weight = 1 - torch.tensor([[0.2, 0.0], [1.0, 0.5]])

    losses = mask_terms(logits, torch.ones(2, 2), weight)

    assert losses.pixels.item() == pytest.approx(0.135, abs=1e-6)


def test_instance_weights_scale_both_mask_losses():
    logits, wanted = torch.randn(2, 8), (torch.rand(2, 8) > 0.5).float()

    halved = mask_terms(logits, wanted, instance=torch.full((2,), 0.5))
    first = mask_terms(logits, wanted, instance=torch.tensor([1.0, 0.0]))
    plain, alone = mask_terms(logits, wanted), mask_terms(logits[:1], wanted[:1])

    torch.testing.assert_close(halved.pixels, 0.5 * plain.pixels)
    torch.testing.assert_close(halved.overlap, 0.5 * plain.overlap)
    torch.testing.assert_close(2 * first.pixels, alone.pixels)


def test_a_batch_without_objects_has_a_class_loss_and_a_graph():
    """The authors' criterion: every query is taught "no object", the mask losses are 0."""
    classes, masks = answers()

    losses, pairs, _ = run(classes, masks, pack_targets([objects(0, 0)] * IMAGES))
    sum(losses.weighted(TermWeights()).values()).backward()  # pyright: ignore

    assert pairs.queries.shape == (LAYERS, 0)
    assert losses.pixels.tolist() == losses.overlap.tolist() == [0.0] * LAYERS
    expected = -classes[..., -1].detach() + classes.detach().logsumexp(-1)
    torch.testing.assert_close(losses.classes, expected.mean(dim=(1, 2)))
    assert all(m.grad is not None and not m.grad.any() for m in masks)


def test_more_objects_than_queries_are_divided_by_the_objects():
    """4 queries, 6 objects: 4 pairs per layer; the sum is still divided by 6."""
    classes, masks = answers()
    targets = pack_targets([objects(6, 1), objects(1, 2), objects(0, 3)])

    losses, pairs, _ = run(classes, masks, targets)
    seven, _, _ = run(classes, masks, targets, num_masks=7)
    one, _, _ = run(classes, masks, targets, num_masks=0)

    assert pairs.queries.shape == (LAYERS, 5)
    torch.testing.assert_close(losses.pixels, seven.pixels)
    torch.testing.assert_close(one.pixels, 7 * losses.pixels)
    assert all(torch.isfinite(x).all() for x in (losses.classes, losses.pixels, losses.overlap))


def test_ignored_queries_leave_the_class_loss_unless_they_found_something():
    classes, masks = answers()
    targets = pack_targets([objects(1, 1), objects(1, 2), objects(1, 3)])
    everyone = torch.ones(LAYERS, IMAGES, QUERIES, dtype=torch.bool)

    spared, pairs, _ = run(classes, masks, targets, ignored=everyone)
    plain, _, _ = run(classes, masks, targets, ignored=~everyone)
    usual, _, _ = run(classes, masks, targets)

    for layer in range(LAYERS):
        found = classes[layer, pairs.images, pairs.queries[layer]]
        alone = torch.nn.functional.cross_entropy(found, targets.labels[pairs.targets[layer]])
        torch.testing.assert_close(spared.classes[layer], alone)
    torch.testing.assert_close(plain.classes, usual.classes)


def test_nothing_but_ignored_queries_is_no_loss():
    classes, masks = answers()
    everyone = torch.ones(LAYERS, IMAGES, QUERIES, dtype=torch.bool)

    losses, _, _ = run(classes, masks, pack_targets([objects(0, 0)] * 3), ignored=everyone)

    assert losses.classes.tolist() == [0.0] * LAYERS


def test_the_order_of_objects_and_of_queries_does_not_matter():
    classes, masks = answers()
    target = objects(3, 5, weigh=True)
    order = torch.tensor([2, 0, 1])
    shared = uniform_points(1, 50, torch.device("cpu"))

    def total(target: Targets, queries: Tensor) -> Tensor:
        said = classes[:, :1, queries], [m[:1, queries] for m in masks]
        packed = pack_targets([target])
        pairs = match(*said, packed, shared, TermWeights())
        matched = matched_logits(said[1], pairs)
        points = shared[None].expand(LAYERS, 3, -1, -1)
        losses = set_losses(said[0], matched, packed, pairs, points)
        return torch.stack([losses.classes, losses.pixels, losses.overlap])

    torch.testing.assert_close(
        total(target, torch.arange(4)), total(target[order], torch.tensor([3, 1, 0, 2]))
    )


def test_terms_are_weighted_and_earlier_layers_summed():
    one, two = torch.tensor([1.0, 10.0]), torch.tensor([2.0, 20.0])

    losses = LayerLosses(one, two, one).weighted(TermWeights(2, 5, 5))

    assert {name: loss.item() for name, loss in losses.items()} == {
        "class": 20.0,
        "mask": 100.0,
        "dice": 50.0,
        "aux": 2 * 1 + 5 * 2 + 5 * 1,
    }


def test_half_precision_answers_are_compared_in_single_precision():
    classes, masks = answers()
    targets = pack_targets([objects(2, 1)] * 3)

    with torch.autocast("cpu", torch.bfloat16):
        losses, _, _ = run(classes.bfloat16(), [m.bfloat16() for m in masks], targets)

    assert losses.classes.dtype == losses.pixels.dtype == losses.overlap.dtype == torch.float32


def test_boxes_without_masks_are_refused():
    target = Targets(torch.zeros(1, 4), torch.tensor([0]))

    with pytest.raises(ValueError, match="a target without masks"):
        pack_targets([target])
