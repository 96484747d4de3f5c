"""mlflow over SQLite: `log_metrics`, and the labels of a step as a table of JSON."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests.bench.peers.contest import LABEL, WORST, Labels, main

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"


class Mlflow:
    """A tracking database and a directory of artifacts, both in the directory it is given."""

    def start(self, directory: Path) -> None:
        import mlflow

        directory.mkdir()
        self.mlflow: Any = mlflow
        mlflow.set_tracking_uri(f"sqlite:///{directory / 'mlflow.db'}")
        mlflow.create_experiment("contest", artifact_location=(directory / "artifacts").as_uri())
        mlflow.set_experiment("contest")
        self.run_id = mlflow.start_run().info.run_id

    def scalars(self, step: int, values: dict[str, float]) -> None:
        self.mlflow.log_metrics(values, step=step)

    def labels(self, step: int, labels: Labels) -> None:
        table = {name: labels[name].tolist() for name in labels.dtype.names or ()}
        self.mlflow.log_table(table, f"labels/{step}.json", run_id=self.run_id)

    def finish(self) -> None:
        self.mlflow.end_run()

    def worst(self, step: int) -> list[float]:
        table = self.mlflow.load_table(f"labels/{step}.json", run_ids=[self.run_id])
        return sorted(table.loc[table["label"] == LABEL, "mask_quality"].tolist())[:WORST]


if __name__ == "__main__":
    main(Mlflow)
