"""Descriptions of classes: a table, or a file of one that is read at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab.config import ConfigError, PlDcConfig, RunConfig, load_run_config, parse_run_config

TABLE = {"cat": ["it purrs", "it climbs"], "dog": ["it barks"]}
PL_DC = '[method]\nname = "pl_dc"\nburn_in_steps = 5\n[method.clip]\n'


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def descriptions_of(config: RunConfig) -> object:
    assert isinstance(config.method, PlDcConfig)
    return config.method.clip.descriptions


def run_with(value: object) -> RunConfig:
    return parse_run_config({"method": {"name": "pl_dc", "clip": {"descriptions": value}}})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("said.json", json.dumps(TABLE)),
        ("said.toml", 'cat = ["it purrs", "it climbs"]\ndog = "it barks"\n'),
    ],
)
def test_a_file_beside_the_experiment_becomes_a_table(tmp_path: Path, name: str, text: str):
    written(tmp_path / name, text)
    path = written(tmp_path / "run.toml", f'{PL_DC}descriptions = "{name}"\n')

    config = load_run_config(path)

    assert descriptions_of(config) == {"cat": ("it purrs", "it climbs"), "dog": ("it barks",)}
    # What a store keeps needs the file no more.
    assert parse_run_config(config.model_dump(mode="json")) == config


def test_a_table_may_stand_in_the_experiment(tmp_path: Path):
    path = written(tmp_path / "run.toml", f'{PL_DC}descriptions = {{ cat = ["it purrs"] }}\n')

    assert descriptions_of(load_run_config(path)) == {"cat": ("it purrs",)}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("/none/said.json", r"clip\.descriptions = '/none/said\.json': .*cannot be read: No such"),
        ({}, "expected a table"),
        ({"cat": []}, "class 'cat': expected a list of sentences"),
        ({"cat": [" "]}, "class 'cat': expected a list of sentences"),
        ({"cat": [3]}, "class 'cat': expected a list of sentences"),
    ],
)
def test_what_is_no_description_is_named(value: object, message: str):
    with pytest.raises(ConfigError, match=message):
        run_with(value)


def test_a_broken_file_is_named(tmp_path: Path):
    path = written(tmp_path / "said.json", "[1, 2")

    with pytest.raises(ConfigError, match=r"said\.json: not valid JSON"):
        run_with(str(path))


@pytest.mark.parametrize(
    "change", [{"fusion": "sum"}, {"plepi_power": 0.0}, {"clip": {"combine": "max"}}]
)
def test_a_fusion_that_does_not_exist_is_refused(change: dict[str, object]):
    with pytest.raises(ConfigError, match=next(iter(change))):
        parse_run_config({"method": {"name": "pl_dc", **change}})
