"""SIM's settings: the paper's by default, the authors' code by name."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from lab.config import PasteConfig, SimConfig, live_keys, parse_run_config


def test_the_defaults_are_the_papers():
    config = SimConfig(name="sim")

    assert (config.num_prototypes, config.temperature) == (10, 0.1)
    assert (config.assignment_smoothness, config.assignment_steps) == (0.05, 3)
    assert (config.prototype_momentum, config.ema_decay) == (0.999, 0.9999)
    assert (config.iou_sharpness, config.instance_share) == (5, 0.5)
    assert (config.high_threshold, config.low_threshold) == (0.7, 0.3)
    assert (config.pseudo_weight, config.paste.weight, config.warmup_steps) == (0.5, 1, 10_000)
    assert (config.paste.bank_size, config.paste.share) == (100, 0.25)
    assert (config.paste.min_objects, config.paste.max_objects) == (1, 3)
    assert not config.semantic_affinity


def test_the_released_code_brings_its_own_numbers():
    config = SimConfig(name="sim", formulas="released")

    assert (config.iou_sharpness, config.low_threshold, config.pseudo_weight) == (0, 0.4, 0.3)
    assert (config.semantic_affinity, config.assignment) == (True, "drawn")
    assert config.box_loss.colour_threshold == 0.1
    assert config.paste == PasteConfig(bank_size=50, share=0.5, importance_power=3.0, repeated=True)


def test_a_number_that_is_given_wins_over_the_released_one():
    config = SimConfig.model_validate(
        {
            "name": "sim",
            "formulas": "released",
            "iou_sharpness": 2.0,
            "paste": {"share": 0.1},
            "box_loss": {"colour_threshold": 0.2},
        }
    )

    assert (config.iou_sharpness, config.low_threshold) == (2, 0.4)
    assert (config.paste.share, config.paste.bank_size) == (0.1, 50)
    assert config.box_loss.colour_threshold == 0.2


def test_what_is_stored_reads_back_as_it_was():
    config = SimConfig(name="sim", formulas="released", low_threshold=0.2)

    assert SimConfig.model_validate(config.model_dump(mode="json")) == config


def test_thresholds_can_be_moved_while_it_trains():
    config = parse_run_config({"method": {"name": "sim"}}, "here")

    assert {
        "method.high_threshold",
        "method.low_threshold",
        "method.instance_share",
        "method.paste.probability",
    } <= set(live_keys(config))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"low_threshold": 0.8}, "low_threshold 0.8 is above high_threshold 0.7"),
        ({"paste": {"min_objects": 4}}, "min_objects 4 is above max_objects 3"),
        ({"temperature": 0.0}, "temperature"),
        ({"assignment_steps": 0}, "assignment_steps"),
        ({"num_prototypes": 0}, "num_prototypes"),
        ({"formulas": "mine"}, "formulas"),
        ({"paste": {"bank_size": 0}}, "paste.bank_size"),
        ({"prototype_start": "last"}, "prototype_start"),
    ],
)
def test_what_makes_no_sense_is_named(change: dict[str, object], message: str):
    with pytest.raises(ValidationError, match=message):
        SimConfig.model_validate({"name": "sim", **change})
