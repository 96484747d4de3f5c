"""The project says what it is: files load, verbs are documented, the tree in the README is true."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from typer.main import get_command

from app.cli import cli
from app.sweep_plan import plan_sweep
from lab.config import load_run_config
from lab.config.sweep import load_sweep

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FILES = sorted((ROOT / "experiments").glob("*.toml"))
SWEEPS = [path for path in FILES if "run" in tomllib.loads(path.read_text(encoding="utf-8"))]
EXPERIMENTS = [path for path in FILES if path not in SWEEPS]
SOURCES = [
    path for part in ("lab", "engine", "app") for path in sorted((ROOT / part).rglob("*.py"))
]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


OLDEST_PYTHON = "3.11.2"
"""What Debian 12 brings."""


def verbs() -> list[str]:
    """Every verb, "data check" for one inside a group."""
    found = []
    for name, command in get_command(cli).commands.items():  # pyright: ignore[reportAttributeAccessIssue]
        inner = getattr(command, "commands", None)
        found += [f"{name} {one}" for one in inner] if inner else [name]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_first_line_of_an_experiment_says_why_it_exists(path: Path):
    first = path.read_text(encoding="utf-8").splitlines()[0]

    assert first.startswith("# ")
    assert len(first) > 30


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_an_experiment_loads(path: Path):
    load_run_config(path)


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_run_of_a_sweep_has_a_valid_config(path: Path):
    sweep = load_sweep(path)

    plan = plan_sweep(sweep)

    assert len(plan) == len(sweep.runs) * len(sweep.seeds) * len(sweep.points())


def test_an_experiment_that_has_a_name_of_its_own_shares_it_with_no_other():
    names = [load_run_config(path).name for path in EXPERIMENTS if "base" not in path.stem]

    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("verb", verbs())
def test_a_verb_is_in_the_readme(verb: str):
    assert f"`seglab {verb}" in README


def test_the_readme_names_no_verb_that_does_not_exist():
    named = set(re.findall(r"`seglab ([a-z-]+)", README)) | set(
        re.findall(r"^seglab ([a-z-]+)", README, flags=re.MULTILINE)
    )

    assert named <= {verb.partition(" ")[0] for verb in verbs()}


def test_the_tree_in_the_readme_is_true():
    tree = README.split("## How it is built")[1].split("```")[3]
    folder = ""
    for line in tree.strip().splitlines():
        names = re.match(r"(\s*)((?:[\w.]+/?)(?:, [\w.]+/?)*)  ", line)
        assert names, f"no file in {line!r}"
        for name in names[2].split(", "):
            path = ROOT / (folder if names[1] else "") / name
            assert path.exists(), f"{path} is in the README's tree"
        if not names[1]:
            folder = names[2]


def test_every_method_of_the_config_is_in_the_readme_and_in_an_experiment():
    used = {load_run_config(path).method.name for path in EXPERIMENTS}

    semi = {"supervised", "guided_distillation", "pl_dc"}
    box = {"boxinst", "boxteacher", "boxseg", "pseudo_depth", "sim"}
    assert used == semi | box
    assert all(f"| `{name}` |" in README for name in used)


def test_every_dependency_has_its_reason():
    project = PYPROJECT["project"]
    declared = project["dependencies"] + project["optional-dependencies"]["dev"]
    names = [re.split(r"[<>=\[]", one)[0] for one in declared]
    table = CONTRIBUTING.split("## Dependencies")[1]

    assert [name for name in names if not re.search(rf"\b{re.escape(name)}\b", table)] == []


def test_every_dependency_is_pinned_and_pins_name_no_index():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    pinned = {re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower() for line in pins}
    project = PYPROJECT["project"]
    declared = project["dependencies"] + project["optional-dependencies"]["dev"]
    names = {re.split(r"[<>=\[]", one)[0].replace("_", "-").lower() for one in declared}

    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in pins)
    assert names <= pinned


def test_every_package_is_listed_for_installation():
    listed = set(PYPROJECT["tool"]["setuptools"]["packages"])
    present = {".".join(path.parent.relative_to(ROOT).parts) for path in SOURCES}

    assert listed == present


def test_every_make_target_of_the_readme_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))

    assert set(re.findall(r"\bmake ([a-z]+)  ", README)) <= targets
    assert {"install", "demo", "ui", "test", "bench", "check"} <= targets


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_has_grown_into_two(path: Path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 450


def test_nobody_can_import_torch_through_the_command_line():
    """The verbs start fast, and run where no torch is installed."""
    code = "import sys, app.cli; sys.exit('torch' in sys.modules or 'gradio' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_the_engine_starts_without_libraries_that_only_some_runs_need():
    """They take seconds to import."""
    wanted = "{'open_clip', 'transformers'}"
    code = f"import sys, engine.train; sys.exit(not {wanted}.isdisjoint(sys.modules))"

    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_every_pinned_version_takes_the_python_of_debian_12():
    """`make install` would fail there. Only what is installed can be asked."""
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    installed = {f"{one.name}=={one.version}": one for one in distributions()}

    demands = {
        pin: installed[pin].metadata["Requires-Python"] or "" for pin in pins if pin in installed
    }

    assert demands
    assert [
        pin for pin, text in demands.items() if not SpecifierSet(text).contains(OLDEST_PYTHON)
    ] == []
