"""The teacher follows the student."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from engine.pseudo_labels.ema import copy_weights, update_ema


def network(value: float) -> nn.BatchNorm1d:
    """Parameters, float buffers and an integer buffer, all filled with one number."""
    module = nn.BatchNorm1d(3)
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data.fill_(value)
    return module


def test_one_step_of_the_average():
    teacher, student = network(0.5), network(1.5)

    update_ema(teacher, student, 0.9996)

    # 0.9996 * 0.5 + 0.0004 * 1.5
    torch.testing.assert_close(teacher.weight, torch.full((3,), 0.5004), atol=1e-6, rtol=0)
    torch.testing.assert_close(teacher.running_var, torch.full((3,), 0.5004), atol=1e-6, rtol=0)


def test_three_steps_from_zero_towards_one():
    teacher, student = network(0), network(1)

    for _ in range(3):
        update_ema(teacher, student, 0.9996)

    torch.testing.assert_close(teacher.bias, torch.full((3,), 0.001200), atol=1e-6, rtol=0)
    assert math.log(0.5) / math.log(0.9996) == pytest.approx(1732.52, abs=0.01)


def test_a_counter_is_copied_not_averaged():
    teacher, student = network(0), network(7)

    update_ema(teacher, student, 0.9996)

    assert teacher.num_batches_tracked.item() == 7


def test_no_decay_is_a_copy_and_full_decay_changes_no_weight():
    teacher, student = network(0.3), network(0.7)

    update_ema(teacher, student, 1.0)
    assert teacher.weight.tolist() == pytest.approx([0.3] * 3)

    update_ema(teacher, student, 0.0)
    assert torch.equal(teacher.weight, student.weight)


def test_a_copy_is_equal_and_stays_apart():
    teacher, student = network(0), network(7)

    copy_weights(teacher, student)
    student.weight.data.fill_(8)

    assert teacher.weight.tolist() == [7, 7, 7]
    assert teacher.running_mean is not None and teacher.running_mean.tolist() == [7, 7, 7]


def test_the_average_leaves_no_trace_in_the_graph():
    teacher, student = network(0), network(1)

    update_ema(teacher, student, 0.5)

    assert teacher.weight.is_leaf and teacher.weight.grad_fn is None


def test_different_networks_are_refused():
    with pytest.raises(ValueError, match="teacher and student differ"):
        update_ema(nn.Linear(2, 3), nn.Linear(3, 3), 0.9)
    with pytest.raises(ValueError, match="argument 2"):
        copy_weights(nn.Linear(2, 3), nn.Linear(2, 3, bias=False))


def test_a_decay_outside_its_range_is_refused():
    with pytest.raises(ValueError, match=r"1\.5"):
        update_ema(network(0), network(1), 1.5)


@given(st.floats(0, 1), st.floats(-5, 5, width=32), st.floats(-5, 5, width=32))
def test_the_average_lies_between_both(decay: float, old: float, new: float):
    teacher, student = network(old), network(new)

    update_ema(teacher, student, decay)

    expected = decay * old + (1 - decay) * new
    assert teacher.weight[0].item() == pytest.approx(expected, abs=1e-5)
