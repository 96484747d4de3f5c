"""The profile of a run: which config is measured, and what the laps become."""

from __future__ import annotations

import pytest
import torch

from engine.profile import WARM_UP, profiled_config, summarize, watched_batches
from engine.timing import Section, Stopwatch
from lab.config import GuidedDistillationConfig, PlDcConfig, parse_run_config
from tests.integration.conftest import GUIDED, PL_DC, SUPERVISED, tiny_config

CPU = torch.device("cpu")


def lap(**seconds: float) -> dict[Section, float]:
    return dict.fromkeys(Section, 0.0) | {Section[name]: s for name, s in seconds.items()}


def test_the_semi_supervised_phase_begins_at_once():
    config = profiled_config(tiny_config(PL_DC), steps=5)

    assert isinstance(config.method, PlDcConfig)
    assert config.method.burn_in_steps == 0
    assert config.method.class_threshold == PL_DC["class_threshold"]
    assert config.schedule.max_steps == WARM_UP + 5 + 1
    assert config.schedule.eval_every == 0
    assert config.record.probe_images == 0


def test_a_guided_stage_is_left_out_so_that_the_teacher_moves():
    asked = tiny_config({**GUIDED, "guided_steps": 3})
    method = profiled_config(asked, steps=5).method

    assert isinstance(method, GuidedDistillationConfig)
    assert (method.burn_in_steps, method.guided_steps) == (0, 0)


def test_a_run_without_burn_in_stays_what_it_is():
    asked = tiny_config(SUPERVISED)

    assert profiled_config(asked, steps=5).method == asked.method


def test_medians_and_shares_by_hand():
    laps = [
        lap(DATA=0.1, FORWARD=0.3),
        lap(DATA=0.1, FORWARD=0.1),
        lap(DATA=0.2, FORWARD=0.7, OTHER=0.5),
    ]

    found = summarize(laps, 4, tiny_config(PL_DC), CPU)

    # Laps of 0.4, 0.2 and 1.4 s; data 0.4 and forward 1.1 of 2.0 s in all.
    assert found.step_ms == pytest.approx(400)
    assert [one.section for one in found.sections] == ["data", "student forward", "other"]
    assert [one.median_ms for one in found.sections] == pytest.approx([100, 300, 0])
    assert [one.share for one in found.sections] == pytest.approx([0.2, 0.55, 0.25])
    # Four images in 0.4 s.
    assert found.images_per_second == pytest.approx(10)
    assert found.peak_cuda_mb is None
    assert found.peak_rss_mb > 50


def test_asking_for_a_batch_begins_a_lap():
    watch = Stopwatch(CPU)
    batches = watched_batches(lambda start: iter([f"batch {start}", "next"]), watch)  # pyright: ignore[reportArgumentType]

    assert list(batches(3)) == ["batch 3", "next"]
    assert len(watch.laps()) == 2
    assert all(one[Section.DATA] > 0 for one in watch.laps())


def test_a_config_of_one_step_can_be_profiled():
    short = parse_run_config({"schedule": {"max_steps": 1}})

    assert profiled_config(short, steps=1).schedule.max_steps == WARM_UP + 2
