"""The form of a config: every field is in it, explained, with what may be written."""

from __future__ import annotations

from typing import Any

from app.config_form import config_form, fields
from app.wishes import flat
from lab.config import RunConfig, parse_run_config

BY_KEY = {field["key"]: field for field in fields()}


def group(key: str) -> dict[str, Any]:
    return next(one for one in config_form() if one["key"] == key)


def variant(key: str, name: str) -> dict[str, Any]:
    return next(one for one in group(key)["variants"] if one["name"] == name)


def keys_of(one: dict[str, Any]) -> set[str]:
    return {field["key"] for part in one["parts"] for field in part["fields"]}


def test_the_form_has_every_key_of_every_method_and_host():
    for method in (one["name"] for one in group("method")["variants"]):
        for host in ("condinst", "mask2former"):
            depth = {"depth_guided": False} if method == "pseudo_depth" else {}
            config = parse_run_config({"method": {"name": method, **depth}, "host": {"name": host}})
            shown = {"name", "seed", "dataset.source", "host.name", "method.name"}
            shown |= keys_of(variant("dataset", "shapes"))
            shown |= keys_of(variant("host", host)) | keys_of(variant("method", method))
            for key in ("split", "view", "schedule", "record"):
                shown |= keys_of(variant(key, ""))

            assert set(flat(config)) == shown


def test_the_defaults_of_the_form_are_those_of_the_config():
    for key, value in flat(RunConfig()).items():
        if key in BY_KEY and not key.startswith(("host.", "method.")):
            assert BY_KEY[key]["default"] == value, key


def test_the_help_of_a_field_is_its_docstring():
    assert BY_KEY["record.every"]["help"] == "Record pseudo-labels every this many steps."
    assert variant("method", "pl_dc")["help"].startswith("PL-DC: decoupled thresholds")


def test_what_may_be_written_follows_the_type():
    assert BY_KEY["split.labeled_fraction"]["limits"] == {"above": 0.0, "max": 1.0}
    assert BY_KEY["view.crop_size"]["limits"] == {"min": 32, "step": 32}
    assert BY_KEY["schedule.optimizer"]["choices"] == ["adamw", "sgd"]
    kinds = {
        "schedule.max_steps": "int",
        "schedule.learning_rate": "float",
        "schedule.compile": "switch",
        "schedule.decay": "choice",
        "schedule.milestones": "numbers",
        "view.strong.blur_sigma": "numbers",
        "method.clip.templates": "lines",
        "method.clip.descriptions": "json",
        "dataset.train_json": "text",
    }
    assert {key: BY_KEY[key]["kind"] for key in kinds} == kinds


def test_a_field_says_whether_it_may_be_empty_must_be_given_or_changes_live():
    assert BY_KEY["dataset.train_json"]["required"]
    assert not BY_KEY["schedule.max_steps"]["required"]
    assert BY_KEY["view.eval_short_side"]["optional"]
    assert BY_KEY["method.mask_threshold"]["live"]
    assert not BY_KEY["schedule.max_steps"]["live"]


def test_the_usual_variant_comes_first():
    assert [group(key)["variants"][0]["name"] for key in ("dataset", "host", "method")] == [
        "shapes",
        "condinst",
        "supervised",
    ]
