"""Where a run comes from: the code's commit and changes, and the packages in use."""

from __future__ import annotations

import platform
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

PACKAGES = (
    "seglab",
    "torch",
    "torchvision",
    "open_clip_torch",
    "transformers",
    "numpy",
    "opencv-python-headless",
    "pycocotools",
    "hotcoco",
    "sqlalchemy",
    "pydantic",
)
MAX_DIFF = 1_000_000
"""Characters of a diff that are kept."""
GIT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit, and how the files differed from it."""

    commit: str | None
    diff: str | None


def package_versions() -> dict[str, str]:
    """Python and every installed package that can change a result."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def commit_of(directory: Path) -> Commit:
    """The checked-out commit around `directory` and its uncommitted changes; None without git."""
    commit = _git(directory, "rev-parse", "HEAD")
    if commit is None:
        return Commit(None, None)
    diff = _git(directory, "diff", "HEAD") or ""
    if len(diff) > MAX_DIFF:
        diff = f"{diff[:MAX_DIFF]}\n(cut after {MAX_DIFF} of {len(diff)} characters)\n"
    return Commit(commit.strip(), diff)


def _git(directory: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *arguments],
            capture_output=True,
            timeout=GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None  # no git, no repository, no commit yet: a run does not need one
    return done.stdout.decode("utf-8", errors="replace")
