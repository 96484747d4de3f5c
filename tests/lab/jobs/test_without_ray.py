"""Where Ray is not installed: nothing asks for it, and whoever does is told how to get it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.cli import main
from lab.jobs.ray_cluster import Cluster, RayUnavailable


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ray", "ray.job_submission"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.usefixtures("no_ray")
def test_whoever_asks_for_ray_is_told_how_to_get_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(RayUnavailable, match=r"pip install -e '.\[ray\]'"):
        Cluster.connect()

    file = Path("experiments/shapes_demo.toml")
    assert main(["queue", str(file), "--launcher", "ray", "--store", str(tmp_path)]) == 2
    assert "--launcher ray needs Ray" in capsys.readouterr().err


def test_nobody_imports_ray_unasked():
    code = "import sys, app.cli, lab.jobs.control, lab.jobs.worker; sys.exit('ray' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
