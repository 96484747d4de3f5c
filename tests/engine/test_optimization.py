"""Learning rates and seeds as functions of the step."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.optimization import build_optimizer, learning_rate, set_learning_rate, step_seed
from lab.config import ScheduleConfig


def test_milestones_divide_the_rate_by_ten():
    schedule = ScheduleConfig(learning_rate=1.0, milestones=(10, 20), max_steps=30)

    rates = [learning_rate(step, schedule) for step in (9, 10, 19, 20)]

    assert rates == pytest.approx([1.0, 0.1, 0.1, 0.01])


def test_the_cosine_starts_late_and_ends_at_the_final_rate():
    schedule = ScheduleConfig(
        learning_rate=1.0, decay="cosine", cosine_start=10, final_rate=0.1, max_steps=30
    )

    rates = [learning_rate(step, schedule) for step in (0, 10, 20, 30)]

    # Half way: 0.1 + 0.9 / 2.
    assert rates == pytest.approx([1.0, 1.0, 0.55, 0.1])


def test_a_shorter_run_can_follow_the_cosine_of_the_one_that_goes_on_from_it():
    whole = ScheduleConfig(learning_rate=1.0, decay="cosine", max_steps=30)
    first_part = ScheduleConfig(learning_rate=1.0, decay="cosine", cosine_end=30, max_steps=10)

    for step in range(10):
        assert learning_rate(step, first_part) == learning_rate(step, whole)


def test_warm_up_climbs_to_the_rate():
    schedule = ScheduleConfig(learning_rate=1.0, warmup_steps=3, decay="constant")

    assert [learning_rate(s, schedule) for s in range(4)] == pytest.approx([0.25, 0.5, 0.75, 1])


@given(st.integers(0, 2**31), st.integers(0, 10**6))
def test_every_step_of_every_run_has_its_own_seed(seed, step):
    mine = step_seed(seed, step)

    assert 0 <= mine < 2**63
    assert mine not in {step_seed(seed, step + 1), step_seed(seed + 1, step)}


def test_biases_and_norms_do_not_decay():
    module = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    module[1].bias.requires_grad_(False)

    decayed, plain = build_optimizer(module, ScheduleConfig(weight_decay=0.1)).param_groups

    assert [p.shape for p in decayed["params"]] == [(2, 2)]
    assert decayed["weight_decay"] == 0.1
    assert len(plain["params"]) == 2 and plain["weight_decay"] == 0


def test_a_backbone_can_learn_at_a_share_of_the_rate():
    module = torch.nn.ModuleDict({"backbone": torch.nn.Linear(2, 2), "head": torch.nn.Linear(2, 3)})
    optimizer = build_optimizer(module, ScheduleConfig(backbone_rate=0.1, weight_decay=0.2))

    set_learning_rate(optimizer, 0.5)

    groups = [(g["lr"], g["weight_decay"], g["params"][0].shape) for g in optimizer.param_groups]
    assert groups == [
        (0.5, 0.2, (3, 2)),
        (0.5, 0.0, (3,)),
        (0.05, 0.2, (2, 2)),
        (0.05, 0.0, (2,)),
    ]


def test_a_checkpoint_from_before_backbones_had_a_rate_still_fits():
    module = torch.nn.ModuleDict({"backbone": torch.nn.Linear(2, 2), "head": torch.nn.Linear(2, 3)})
    optimizer = build_optimizer(module, ScheduleConfig())
    old = optimizer.state_dict()
    for group in old["param_groups"]:
        del group["rate"]

    optimizer.load_state_dict(old)
    set_learning_rate(optimizer, 0.5)

    assert [g["lr"] for g in optimizer.param_groups] == [0.5, 0.5]
