"""Pseudo-Depth's settings: the paper's by default; what cannot work is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from lab.config import ConfigError, PseudoDepthConfig, live_keys, parse_run_config


def run(host: dict[str, Any] | None = None, steps: int = 90_000, **method: Any):
    tree: dict[str, Any] = {"method": {"name": "pseudo_depth", **method}}
    tree |= {} if host is None else {"host": host}
    return parse_run_config({**tree, "schedule": {"max_steps": steps}}, "run.toml")


def test_the_defaults_are_the_papers():
    config = PseudoDepthConfig(name="pseudo_depth")

    assert (config.depth_threshold, config.match_threshold, config.ema_decay) == (0.5, 0.8, 0.999)
    assert (config.match_iou, config.match_depth, config.dice_weight) == (0.8, 0.2, 4.0)
    assert (config.distil_from, config.depth_sharpness) == (65_000, 10.0)


def test_the_method_switches_the_host_s_depth_layer_on():
    assert run().host.depth_layer
    assert run({"preset": "r50"}).host.depth_layer
    assert run({"name": "condinst", "depth_layer": True}).host.depth_layer
    assert not run(depth_guided=False).host.depth_layer


def test_a_stored_config_says_the_same_again():
    config = run()

    assert parse_run_config(config.model_dump(mode="json")) == config


@pytest.mark.parametrize("host", [{"depth_layer": False}, {"name": "mask2former"}])
def test_a_host_without_a_depth_layer_is_refused(host: dict[str, Any]):
    with pytest.raises(ConfigError, match=r"run\.toml.*depth_guided = false"):
        run(host)


def test_other_methods_have_no_depth_layer():
    assert not parse_run_config({"method": {"name": "boxinst"}}).host.depth_layer


def test_a_teacher_that_would_never_teach_is_refused():
    with pytest.raises(ConfigError, match=r"distil_from 65000 .*max_steps 900"):
        run(steps=900)
    assert run(steps=900, dice_weight=0.0).method.dice_weight == 0
    assert run(steps=900, distil_from=899).method.distil_from == 899


def test_shares_of_the_match_score_cannot_exceed_one():
    with pytest.raises(ConfigError, match=r"match_iou 0\.9 and match_depth 0\.2"):
        run(match_iou=0.9)


def test_thresholds_and_weights_may_change_while_it_trains():
    keys = live_keys(run())

    assert {"method.match_threshold", "method.depth_threshold", "method.dice_weight"} <= set(keys)
    assert "method.distil_from" not in keys
