"""BoxSeg's settings: the paper's by default, the authors' code by name."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from lab.config import BoxSegConfig, PeerConfig


def test_the_defaults_are_the_papers():
    config = BoxSegConfig(name="boxseg")

    assert (config.min_candidates, config.num_candidates, config.adaptive_k) == (2, 10, True)
    assert (config.small_area, config.large_area) == (1024, 9216)
    assert (config.box_threshold, config.pixel_threshold, config.ema_decay) == (0.5, 0.5, 0.999)
    assert (config.peers.bank_size, config.peers.learner) == (80, "lowest_quality")


def test_the_released_code_brings_its_own_numbers():
    config = BoxSegConfig(name="boxseg", formulas="released")

    assert (config.num_candidates, config.adaptive_k) == (20, False)
    assert (config.box_threshold, config.early_box_threshold) == (0.1, 0.1)
    assert config.peers == PeerConfig(learner="random")


def test_a_number_that_is_given_wins_over_the_released_one():
    config = BoxSegConfig.model_validate(
        {
            "name": "boxseg",
            "formulas": "released",
            "num_candidates": 5,
            "peers": {"learner": "lowest_quality", "bank_size": 3},
        }
    )

    assert (config.num_candidates, config.box_threshold) == (5, 0.1)
    assert config.peers == PeerConfig(bank_size=3)


def test_what_is_stored_reads_back_as_it_was():
    config = BoxSegConfig(name="boxseg", formulas="released", box_threshold=0.2)

    assert BoxSegConfig.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"min_candidates": 11}, "min_candidates 11 is above num_candidates 10"),
        ({"small_area": 9216.0}, "small_area 9216.0 must be below large_area 9216.0"),
        ({"formulas": "mine"}, "formulas"),
        ({"peers": {"select": "worst"}}, "peers.select"),
        ({"pixel_threshold": 0.4}, "pixel_threshold"),
    ],
)
def test_what_makes_no_sense_is_named(change: dict[str, object], message: str):
    with pytest.raises(ValidationError, match=message):
        BoxSegConfig.model_validate({"name": "boxseg", **change})
