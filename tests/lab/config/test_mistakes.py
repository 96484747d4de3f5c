"""What is said of a config that cannot be: which key, why, and what was probably meant."""

from __future__ import annotations

import pytest

from lab.config import ConfigError, parse_run_config

BOX = {"name": "boxseg"}


@pytest.mark.parametrize(
    ("tree", "sentence"),
    [
        (
            {"schedule": {"max_step": 5}},
            "schedule.max_step = 5: unknown key; did you mean max_steps?",
        ),
        ({"shedule": {"seed": 5}}, "shedule: unknown key; did you mean schedule?"),
        ({"max_steps": 5}, "max_steps = 5: unknown key; did you mean schedule.max_steps?"),
        (
            {"method": BOX | {"pixel_treshold": 0.5}},
            "method.pixel_treshold = 0.5: unknown key; did you mean pixel_threshold?",
        ),
        (
            {"host": {"name": "mask2former", "num_query": 8}},
            "host.num_query = 8: unknown key; did you mean num_queries?",
        ),
        ({"zzz": 1}, "zzz = 1: unknown key"),
    ],
)
def test_an_unknown_key_comes_with_the_one_that_was_probably_meant(
    tree: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ConfigError) as told:
        parse_run_config(tree, "f")

    assert str(told.value) == f"f: {sentence}"


def test_only_keys_of_the_chosen_method_are_suggested_there() -> None:
    """`mask_threshold` is PL-DC's; a supervised run has nothing like it."""
    with pytest.raises(ConfigError) as told:
        parse_run_config({"method": {"name": "supervised", "mask_treshold": 0.5}}, "f")

    assert str(told.value) == "f: method.mask_treshold = 0.5: unknown key"


def test_a_key_of_another_method_is_said_to_be_none_of_this_one() -> None:
    with pytest.raises(ConfigError) as told:
        parse_run_config({"method": {"name": "supervised", "mask_threshold": 0.5}}, "f")

    assert str(told.value) == (
        "f: method.mask_threshold = 0.5: unknown key for the method supervised"
    )


@pytest.mark.parametrize(
    ("tree", "sentence"),
    [
        ({"schedule": {"max_steps": 0}}, "schedule.max_steps = 0: must be at least 1"),
        (
            {"schedule": {"max_steps": 2**31}},
            "schedule.max_steps = 2147483648: must be at most 2,147,483,647",
        ),
        ({"schedule": {"max_steps": 1.5}}, "schedule.max_steps = 1.5: expected a whole number"),
        ({"schedule": {"max_steps": "ten"}}, "schedule.max_steps = 'ten': expected a whole number"),
        (
            {"split": {"labeled_fraction": "many"}},
            "split.labeled_fraction = 'many': expected a number",
        ),
        ({"split": {"labeled_fraction": 1.5}}, "split.labeled_fraction = 1.5: must be at most 1"),
        ({"schedule": 3}, "schedule = 3: expected a table"),
        ({"name": 7}, "name = 7: expected text"),
        ({"method": {"name": "nope"}}, "method.name = 'nope': expected one of "),
    ],
)
def test_a_value_that_cannot_be_is_refused_in_plain_words(
    tree: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ConfigError) as told:
        parse_run_config(tree, "f")

    assert str(told.value).startswith(f"f: {sentence}")
