"""TOML files, `extends` and overrides become one RunConfig, or an error naming what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.config import (
    ConfigError,
    PlDcConfig,
    load_run_config,
    parse_override,
    parse_run_config,
    with_overrides,
)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_wins_over_the_one_it_extends(tmp_path: Path):
    write(tmp_path / "base.toml", "seed = 1\n[schedule]\nmax_steps = 10\nwarmup_steps = 3\n")
    child = write(tmp_path / "child.toml", 'extends = "base.toml"\n[schedule]\nmax_steps = 20\n')

    config = load_run_config(child)

    assert (config.seed, config.schedule.max_steps, config.schedule.warmup_steps) == (1, 20, 3)


def test_another_method_starts_from_its_own_defaults(tmp_path: Path):
    write(tmp_path / "base.toml", '[method]\nname = "supervised"\nstrong_views = true\n')
    child = write(
        tmp_path / "child.toml",
        'extends = "base.toml"\n[method]\nname = "pl_dc"\nburn_in_steps = 5\n',
    )

    assert isinstance(load_run_config(child).method, PlDcConfig)


@pytest.mark.parametrize("order", [1, -1])
def test_an_override_of_the_method_forgets_the_old_ones_keys_in_any_order(order: int):
    tree = {"method": {"name": "supervised", "strong_views": True}}
    changes = {"method.burn_in_steps": 5, "method.name": "pl_dc"}

    changed = with_overrides(tree, dict(list(changes.items())[::order]))

    assert changed == {"method": {"name": "pl_dc", "burn_in_steps": 5}}


def test_naming_the_method_it_has_changes_nothing():
    tree = {"method": {"name": "supervised", "strong_views": True}, "name": "a"}

    changed = with_overrides(tree, {"method.name": "supervised", "name": "b"})

    assert changed == {"method": {"name": "supervised", "strong_views": True}, "name": "b"}


def test_an_unknown_key_is_named_with_its_file(tmp_path: Path):
    path = write(tmp_path / "run.toml", "[schedule]\nmax_step = 10\n")

    with pytest.raises(ConfigError, match=r"run\.toml: schedule\.max_step = 10: unknown key"):
        load_run_config(path)


def test_a_value_out_of_range_is_named_with_its_key():
    with pytest.raises(ConfigError, match=r"schedule\.max_steps = 0"):
        parse_run_config({"schedule": {"max_steps": 0}})


def test_a_file_that_extends_itself_is_refused(tmp_path: Path):
    write(tmp_path / "a.toml", 'extends = "b.toml"\n')
    write(tmp_path / "b.toml", 'extends = "a.toml"\n')

    with pytest.raises(ConfigError, match="extends itself"):
        load_run_config(tmp_path / "a.toml")


def test_a_missing_file_is_refused_by_name(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read"):
        load_run_config(tmp_path / "none.toml")


def test_a_path_is_taken_from_the_file_that_names_it(tmp_path: Path):
    path = write(
        tmp_path / "run.toml",
        '[dataset]\nsource = "coco"\ntrain_json = "t.json"\ntrain_images = "t"\n'
        'val_json = "/v.json"\nval_images = "v"\n',
    )

    dataset = load_run_config(path).dataset

    assert dataset.source == "coco"
    assert (dataset.train_json, dataset.val_json) == (tmp_path / "t.json", Path("/v.json"))


def test_an_override_through_a_value_is_refused():
    with pytest.raises(ConfigError, match="seed is a value"):
        with_overrides({"seed": 1}, {"seed.more": 2})


@pytest.mark.parametrize(
    ("text", "expected"),
    [("seed=3", ("seed", 3)), ("a.b = 1e-4", ("a.b", 1e-4)), ("name=x y", ("name", "x y"))],
)
def test_an_override_is_read_as_toml_and_else_as_text(text: str, expected: tuple[str, object]):
    assert parse_override(text) == expected


def test_an_override_without_a_value_is_refused():
    with pytest.raises(ConfigError, match="key=value"):
        parse_override("seed")


@pytest.mark.parametrize(
    ("tree", "sentence"),
    [
        ({"method": {"name": "nope"}}, "f: method.name = 'nope': expected one of 'supervised'"),
        ({"method": {"name": "supervised", "nope": 1}}, "f: method.nope = 1: unknown key"),
        ({"method": 3}, "f: method = 3: expected a table"),
        ({"dataset": {"source": "coco"}}, "f: dataset.train_json: missing"),
        ({"schedule": {"learning_rate": float("inf")}}, "f: schedule.learning_rate = inf"),
        ({"schedule": {"max_steps": 10**22}}, f"f: schedule.max_steps = {10**22}"),
        ({"schedule": {"device": "tpu"}}, "f: schedule.device = 'tpu'"),
        ({"name": "  "}, "f: name = '  '"),
    ],
)
def test_a_mistake_is_told_in_the_words_of_the_file(tree: dict[str, object], sentence: str):
    with pytest.raises(ConfigError) as error:
        parse_run_config(tree, origin="f")

    assert str(error.value).startswith(sentence)


def test_a_host_without_a_name_is_the_default_one():
    config = parse_run_config({"host": {"width": 32}})

    assert (config.host.name, config.host.width) == ("condinst", 32)


def test_an_empty_file_starts_nothing(tmp_path: Path):
    with pytest.raises(ConfigError, match="is empty"):
        load_run_config(write(tmp_path / "run.toml", "# nothing\n"))


def test_an_empty_text_takes_inherited_weights_back():
    host = {"name": "mask2former", "backbone_weights": "", "weights": "trained.pth"}

    assert parse_run_config({"host": host}).host.backbone_weights is None
