"""A sweep's plan: list x grid x seeds, and runs of one seed that share their past."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.sweep_plan import identity, plan_sweep
from engine.optimization import learning_rate
from lab.config import ConfigError, PlDcConfig, SupervisedConfig
from lab.config.sweep import SweepConfig, load_sweep

BASE = """
host = { name = "condinst", width = 16 }
method = { name = "supervised" }
schedule = { max_steps = 20, decay = "cosine", cosine_start = 5, unlabeled_batch = 2 }
"""
PL_DC = """
extends = "base.toml"
method = { name = "pl_dc", burn_in_steps = 15 }
"""
SWEEP = """
base = "base.toml"
seeds = [3, 4]
{top}
[burn_in]
run = "supervised"
step = 8
[[run]]
name = "supervised"
[[run]]
name = "PL-DC"
config = "pl_dc.toml"
[[run]]
name = "PL-DC -DDTF"
config = "pl_dc.toml"
set = {{ "method.ddtf" = false }}
{rest}
"""
GRID = '[grid]\n"split.labeled_fraction" = [0.05, 0.1]\n'


def read(directory: Path, top: str = "", rest: str = "") -> SweepConfig:
    (directory / "base.toml").write_text(BASE, encoding="utf-8")
    (directory / "pl_dc.toml").write_text(PL_DC, encoding="utf-8")
    path = directory / "sweep.toml"
    path.write_text(SWEEP.format(top=top, rest=rest), encoding="utf-8")
    return load_sweep(path)


def test_a_plan_is_list_times_grid_times_seeds_with_whole_seeds_first(tmp_path: Path):
    plan = plan_sweep(read(tmp_path, rest=GRID))

    assert len(plan) == 3 * 2 * 2
    assert [run.seed for run in plan] == [3] * 6 + [4] * 6
    assert [run.entry for run in plan[:3]] == ["supervised", "PL-DC", "PL-DC -DDTF"]
    fractions = [run.config.split.labeled_fraction for run in plan]
    assert fractions == [0.05] * 3 + [0.1] * 3 + [0.05] * 3 + [0.1] * 3
    assert all((run.config.seed, run.config.split.seed) == (run.seed, run.seed) for run in plan)
    assert plan[5].config.name == "sweep: PL-DC -DDTF, labeled_fraction 0.1, seed 3"
    assert len({run.config.name for run in plan}) == len(plan)


def test_runs_of_one_seed_and_point_fork_from_one_burn_in(tmp_path: Path):
    plan = plan_sweep(read(tmp_path, rest=GRID))

    burn_ins = [identity(run.burn_in) for run in plan if run.burn_in is not None]

    assert len(burn_ins) == len(plan)
    assert len(set(burn_ins)) == 2 * 2
    assert burn_ins[0] == burn_ins[1] == burn_ins[2] != burn_ins[3]


def test_the_burn_in_ends_where_the_teachers_start_on_the_same_learning_rate_curve(tmp_path: Path):
    supervised, pl_dc, _ = plan_sweep(read(tmp_path), seeds=[3])
    burn_in = supervised.burn_in

    assert burn_in is not None
    assert isinstance(burn_in.method, SupervisedConfig)
    assert isinstance(pl_dc.config.method, PlDcConfig)
    assert burn_in.schedule.max_steps == pl_dc.config.method.burn_in_steps == pl_dc.first_step == 8
    for step in range(8):
        rates = {learning_rate(step, run.config.schedule) for run in (supervised, pl_dc)}
        assert rates == {learning_rate(step, burn_in.schedule)}


def test_the_nearer_change_wins_and_the_command_line_is_the_nearest(tmp_path: Path):
    top = 'set = { "record.every" = 2, "record.keep" = 2, "schedule.eval_every" = 2 }'
    own = 'set = { "schedule.eval_every" = 4, "record.probe_images" = 4 }'
    rest = f'[[run]]\nname = "d"\n{own}\n[grid]\n"record.keep" = [3]\n"schedule.eval_every" = [3]\n'

    plan = plan_sweep(read(tmp_path, top, rest), only=["d"], changes={"record.probe_images": 5})

    config = plan[0].config
    assert (config.record.every, config.record.keep) == (2, 3)
    assert (config.schedule.eval_every, config.record.probe_images) == (4, 5)


def test_a_run_may_start_from_nothing_with_other_images(tmp_path: Path):
    upper = '[[run]]\nname = "all labels"\nfork = false\nset = { "split.labeled_fraction" = 1.0 }\n'

    plan = plan_sweep(read(tmp_path, rest=upper), seeds=[0], only=["all labels"])

    assert [(run.burn_in, run.first_step) for run in plan] == [(None, 0)]


def test_a_run_that_is_the_same_at_every_point_is_one_run(tmp_path: Path):
    upper = '[[run]]\nname = "all labels"\nfork = false\nset = { "split.labeled_fraction" = 1.0 }\n'

    plan = plan_sweep(read(tmp_path, rest=upper + GRID), seeds=[0], only=["all labels"])

    assert len(plan) == 2
    assert identity(plan[0].config) == identity(plan[1].config)


def test_what_a_run_is_called_is_no_part_of_what_it_is(tmp_path: Path):
    run = plan_sweep(read(tmp_path))[0].config

    assert identity(run) == identity(run.model_copy(update={"name": "another"}))
    assert identity(run) != identity(run.model_copy(update={"seed": 9}))


@pytest.mark.parametrize(
    ("top", "rest", "sentence"),
    [
        ("", '[[run]]\nname = "d"\nset = { "method.dtf" = false }', "run 'd'.*method.*dtf = False"),
        ("", '[grid]\n"split.fraction" = [0.1]', "split.fraction = 0.1: unknown key"),
        ("", '[[run]]\nname = "d"', "its config is that of 'supervised'"),
        ("", '[[run]]\nname = "d"\nconfig = "no.toml"', "run 'd': .*no.toml: cannot be read"),
        ("", '[[run]]\nname = "d"\nset = { "schedule.max_steps" = 8 }', "after the burn-in's 8"),
        ("", '[[run]]\nname = "d"\nset = { "host.width" = 8 }', "host.width = 8, but the burn-in"),
        (
            "",
            '[[run]]\nname = "d"\nconfig = "pl_dc.toml"\nset = { "method.burn_in_steps" = 7 }',
            "burn_in_steps = 7 is before the burn-in's last step 8",
        ),
        ('set = { "schedule.max_steps" = 8 }', "", "burn_in.step 8 leaves no step"),
        ('seed_keys = ["sed"]', "", "sed = 3: unknown key"),
    ],
)
def test_a_plan_that_cannot_be_trained_is_refused(
    tmp_path: Path, top: str, rest: str, sentence: str
):
    with pytest.raises(ConfigError, match=sentence):
        plan_sweep(read(tmp_path, top, rest))


def test_an_unknown_run_of_the_list_is_refused_with_those_there_are(tmp_path: Path):
    with pytest.raises(ConfigError, match="no run 'PLDC'; it has: supervised, PL-DC, PL-DC -DDTF"):
        plan_sweep(read(tmp_path), only=["PLDC"])
