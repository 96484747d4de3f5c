"""A sweep's file becomes a list of runs, seeds and a grid, or an error naming what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.config import ConfigError
from lab.config.sweep import load_sweep


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_names_of_files_are_taken_from_where_the_sweep_lies(tmp_path: Path):
    text = 'base = "b.toml"\n[[run]]\nname = "a"\nconfig = "own/c.toml"\n[[run]]\nname = "b"\n'

    sweep = load_sweep(write(tmp_path / "grid of mine.toml", text))

    assert sweep.base == tmp_path / "b.toml"
    assert [entry.config for entry in sweep.runs] == [tmp_path / "own/c.toml", None]
    assert sweep.name == "grid of mine"
    assert (sweep.seeds, sweep.seed_keys) == ((0,), ("seed", "split.seed"))


def test_quoted_dotted_keys_and_tables_mean_the_same(tmp_path: Path):
    quoted = '[[run]]\nname = "a"\nset = { "method.ddtf" = false }\n[grid]\n"host.width" = [1, 2]\n'
    tables = '[[run]]\nname = "a"\nset.method.ddtf = false\n[grid.host]\nwidth = [1, 2]\n'

    one, other = (
        load_sweep(write(tmp_path / "sweep.toml", 'base = "b.toml"\n' + text))
        for text in (quoted, tables)
    )

    assert one == other
    assert one.runs[0].changes == {"method.ddtf": False}
    assert one.points() == [(("host.width", 1),), (("host.width", 2),)]


def test_the_grid_is_every_combination_and_without_one_there_is_one_point(tmp_path: Path):
    grid = '[grid]\n"record.keep" = [1, 2]\n"record.every" = [3, 4]\n'
    runs = 'base = "b.toml"\n[[run]]\nname = "a"\n'

    points = load_sweep(write(tmp_path / "sweep.toml", runs + grid)).points()

    assert [tuple(value for _, value in point) for point in points] == [
        *((1, 3), (1, 4), (2, 3), (2, 4))
    ]
    assert load_sweep(write(tmp_path / "sweep.toml", runs)).points() == [()]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[[run]]\nname = "a"\n', "base: missing"),
        ('base = "b.toml"\n', "run: missing"),
        ('base = "b.toml"\nrun = []\n', "run = []: expected at least one"),
        ('base = "b.toml"\nseed = [1]\n[[run]]\nname = "a"\n', "seed = [1]: unknown key"),
        ('base = "b.toml"\n[[run]]\nnames = "a"\n', "run.0.names = 'a': unknown key"),
        ('base = "b.toml"\nseeds = [-1]\n[[run]]\nname = "a"\n', "seeds.0 = -1"),
        ('base = "b.toml"\nseeds = [2, 2]\n[[run]]\nname = "a"\n', "seed 2 is there twice"),
        ('base = "b.toml"\n[[run]]\nname = "a"\n[[run]]\nname = "a"\n', "run name 'a' is there"),
        (
            'base = "b.toml"\nburn_in = { run = "c", step = 5 }\n[[run]]\nname = "a"\n',
            "burn_in.run 'c' is none of the runs: a",
        ),
        (
            'base = "b.toml"\nburn_in = { run = "a", step = 0 }\n[[run]]\nname = "a"\n',
            "burn_in.step = 0",
        ),
        ('base = "b.toml"\n[[run]]\nname = "a"\n[grid]\nname = []\n', "grid.name has no values"),
        (
            'base = "b.toml"\n[[run]]\nname = "a"\n[grid]\nname = 3\n',
            "grid.name = 3: expected a list",
        ),
        ('base = "b.toml"\nseeds = [true]\n[[run]]\nname = "a"\n', "seeds.0 = True"),
        ('base = "b.toml"\nseeds = []\n[[run]]\nname = "a"\n', "seeds = []: expected at least one"),
        ('base = "b.toml"\n[[run]]\nname = "a"\n[grid]\nseed = [1, 2]\n', "what `seeds` sets"),
        ('base = "b.toml"\n[set]\nsplit.seed = 1\n[[run]]\nname = "a"\n', "what `seeds` sets"),
        ("base = \n", "not valid TOML"),
    ],
)
def test_a_mistake_is_named_with_file_key_and_value(tmp_path: Path, text: str, sentence: str):
    path = write(tmp_path / "wrong.toml", text)

    with pytest.raises(ConfigError) as refused:
        load_sweep(path)

    assert sentence in str(refused.value)
    assert str(refused.value).startswith(str(path))


def test_a_list_of_mistakes_is_not_called_empty_besides(tmp_path: Path):
    path = write(tmp_path / "wrong.toml", 'base = "b.toml"\nseeds = [-1]\n[[run]]\nname = "a"\n')

    with pytest.raises(ConfigError) as told:
        load_sweep(path)

    assert str(told.value).count("\n") == 0
    assert str(told.value).startswith(f"{path}: seeds.0 = -1: ")
