"""The variables that FiftyOne reads when it is imported."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from app.fiftyone.database import Address
from app.fiftyone.mongod import NoDatabase

PLUGINS = Path(__file__).parent / "plugins"
INSTALL = "pip install -e '.[fiftyone]'"
OWN_PLUGINS_VARIABLE = "FIFTYONE_PLUGINS_DIR"


def check_installed() -> None:
    """Raises NoDatabase, with the command that installs it, where FiftyOne is not installed."""
    if find_spec("fiftyone") is None:
        raise NoDatabase(f"FiftyOne is not installed: {INSTALL}")


def fiftyone_environment(address: Address, root: Path) -> dict[str, str]:
    """Our database and plugins; nothing is told to anybody, and its own files stay in the store."""
    home = root.absolute() / "fiftyone"
    return {
        **address.environment(),
        "FIFTYONE_DATABASE_VALIDATION": "false",
        "FIFTYONE_DO_NOT_TRACK": "true",
        "FIFTYONE_SHOW_PROGRESS_BARS": "false",
        "FIFTYONE_DEFAULT_DATASET_DIR": str(home / "datasets"),
        OWN_PLUGINS_VARIABLE: str(PLUGINS),
        "SEGLAB_HOME": str(root.absolute()),
    }


def use(address: Address, root: Path) -> None:
    """Set them for this process, before anything imports FiftyOne."""
    os.environ.update(fiftyone_environment(address, root))
