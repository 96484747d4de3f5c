"""trackio: scalars by `log`, the labels of a step as a Table, filtered after they are read back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests.bench.peers.contest import LABEL, WORST, Labels, main


class Trackio:
    """One project per part of the contest: its directory is chosen once per process."""

    def start(self, directory: Path) -> None:
        os.environ.setdefault("TRACKIO_DIR", str(directory.parent))
        import trackio  # it reads TRACKIO_DIR when it is imported

        self.trackio: Any = trackio
        directory.mkdir()
        self.project = directory.name
        trackio.init(
            self.project, name="contest", embed=False, auto_log_gpu=False, auto_log_cpu=False
        )

    def scalars(self, step: int, values: dict[str, float]) -> None:
        self.trackio.log(values, step=step)

    def labels(self, step: int, labels: Labels) -> None:
        table = self.trackio.Table(columns=list(labels.dtype.names or ()), data=labels.tolist())
        self.trackio.log({"labels": table}, step=step)

    def finish(self) -> None:
        self.trackio.finish()

    def worst(self, step: int) -> list[float]:
        from trackio.sqlite_storage import SQLiteStorage

        found = SQLiteStorage.get_metric_values(self.project, "contest", "labels", step=step)
        rows = found[0]["value"]["_value"]
        return sorted(row["mask_quality"] for row in rows if row["label"] == LABEL)[:WORST]


if __name__ == "__main__":
    main(Trackio)
