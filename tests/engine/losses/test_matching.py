"""Which query answers for which object."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.losses.matching import TermWeights, assign, lie_in_boxes, pair_costs

CLASSES = torch.tensor([[[2, 0.5, -1, 0], [0.1, 1.2, 0, 1], [0, 0, 0, 2.0]]])
MASKS = torch.tensor([[[2, 2, -2, -2], [-1, -1, 1.5, 1.5], [0, 0, 0, 0.0]]])
TARGETS = torch.tensor([[[1, 1, 0, 0], [0, 0, 1, 1.0]]])
LABELS = torch.tensor([[0, 1]])


def test_the_costs_of_the_worked_example():
    """K2: 2 * -softmax + 5 * BCE + 5 * dice of 3 queries and 2 objects."""
    costs = pair_costs(CLASSES, MASKS, LABELS, TARGETS, TermWeights())

    wanted = torch.tensor([[-0.308748, 13.840939], [10.258932, 1.343830], [5.273226, 5.273226]])
    torch.testing.assert_close(costs[0], wanted, atol=2e-6, rtol=0)


def test_the_assignment_of_the_worked_example():
    """K2: query 0 finds object 0, query 1 object 1, for 1.035082 in all; query 2 finds nothing."""
    costs = pair_costs(CLASSES, MASKS, LABELS, TARGETS, TermWeights())
    pairs = assign([costs], [2])

    assert pairs.queries.tolist() == [[0, 1]] and pairs.targets.tolist() == [[0, 1]]
    assert costs[0, [0, 1], [0, 1]].sum().item() == pytest.approx(1.035082, abs=2e-6)


def test_each_term_of_the_cost_has_its_own_weight():
    def cost(*weights: float) -> torch.Tensor:
        return pair_costs(CLASSES, MASKS, LABELS, TARGETS, TermWeights(*weights))

    total = 2 * cost(1, 0, 0) + 5 * cost(0, 1, 0) + 5 * cost(0, 0, 1)
    torch.testing.assert_close(total, cost(2, 5, 5), atol=1e-5, rtol=1e-6)
    # A3's overlap: logits 2, -1, 0.5, -0.2 against 1, 0, 1, 1.
    logits = torch.tensor([[[2.0, -1.0, 0.5, -0.2]]])
    target, label = torch.tensor([[[1.0, 0.0, 1.0, 1.0]]]), torch.tensor([[0]])
    one = CLASSES[:, :1]
    bce = pair_costs(one, logits, label, target, TermWeights(0, 1, 0))
    dice = pair_costs(one, logits, label, target, TermWeights(0, 0, 1))
    assert bce.item() == pytest.approx(0.428101, abs=1e-6)
    assert dice.item() == pytest.approx(0.211418, abs=1e-6)


def test_pairs_count_objects_over_the_whole_batch_and_layers_apart():
    """Two layers, three images with 1, 0 and 2 objects; the second layer prefers other queries."""
    first = torch.full((3, 2, 2), 9.0)
    first[0, 1, 0] = first[2, 0, 0] = first[2, 1, 1] = 0
    second = torch.full((3, 2, 2), 9.0)
    second[0, 0, 0] = second[2, 1, 0] = second[2, 0, 1] = 0

    pairs = assign([first, second], [1, 0, 2])

    assert pairs.images.tolist() == [0, 2, 2]
    assert pairs.targets.tolist() == [[0, 1, 2], [0, 1, 2]]
    assert pairs.queries.tolist() == [[1, 0, 1], [0, 1, 0]]


def test_more_objects_than_queries_leave_the_dearest_out():
    costs = torch.tensor([[[5.0, 1.0, 3.0]]])

    pairs = assign([costs], [3])

    assert pairs.targets.tolist() == [[1]] and pairs.queries.tolist() == [[0]]


def test_a_network_gone_wrong_is_not_the_assignments_error():
    """Its loss is not a number: the trainer says so."""
    costs = torch.tensor([[[torch.nan, 1.0], [torch.inf, 2.0]]])

    assert assign([costs], [2]).queries.shape == (1, 2)


@given(st.lists(st.lists(st.floats(-5, 5), min_size=3, max_size=3), min_size=3, max_size=6))
def test_no_greedy_assignment_is_cheaper(rows: list[list[float]]):
    costs = torch.tensor([rows])
    pairs = assign([costs], [3])
    best = costs[0, pairs.queries[0], pairs.targets[0]].sum()

    free, greedy = costs[0].clone(), 0.0
    for column in range(3):
        row = free[:, column].argmin()
        greedy += free[row, column].item()
        free[row] = torch.inf

    assert best.item() <= greedy + 1e-4
    assert len(set(pairs.queries[0].tolist())) == 3


def test_one_object_takes_its_cheapest_query():
    costs = torch.randn(4, 7, 1)

    pairs = assign([costs], [1, 1, 1, 1])

    assert pairs.queries[0].tolist() == costs[:, :, 0].argmin(dim=1).tolist()


def test_a_mask_lies_in_a_box_that_holds_half_of_it():
    """Masks on the left and in the middle, and none; the box is the left half."""
    masks = torch.full((1, 3, 8, 8), -5.0)
    masks[0, 0, :, :3] = 5
    masks[0, 1, :, 3:7] = 5
    box = torch.tensor([[[0.0, 0.0, 0.5, 1.0]]])
    centres = (torch.arange(8) + 0.5) / 8
    points = torch.stack(torch.meshgrid(centres, centres, indexing="xy"), dim=2).reshape(1, 64, 2)

    # Of the middle mask one column of four lies in the box.
    assert lie_in_boxes(masks, box, points).tolist() == [[True, False, False]]
    assert not lie_in_boxes(masks, torch.zeros(1, 1, 4), points).any()
    assert not lie_in_boxes(masks, torch.zeros(1, 0, 4), points).any()
