"""seglab itself, through the recorder that training uses: masks are kept of every tenth step."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lab.datasets.records import PseudoLabels
from lab.store.packing import pack
from lab.store.queries import LabelFilter, find_labels
from lab.store.recorder import StoreRecorder
from lab.store.runs import create_run
from lab.store.store import Store
from tests.bench.peers.contest import LABEL, LABEL_STEPS, PER_IMAGE, WORST, Labels, main
from tests.factories import example_config, pseudo_labels

IMAGES = 8
KEEP_EVERY = 10


def labels_of_a_step() -> list[PseudoLabels]:
    return [pseudo_labels(PER_IMAGE, image_id=index, seed=index) for index in range(IMAGES)]


def as_records() -> Labels:
    """The same labels for those who do not know ours."""
    return np.concatenate([pack(one) for one in labels_of_a_step()])


class Seglab:
    """Records labels as they are, with masks; everybody else is given rows without any."""

    def start(self, directory: Path) -> None:
        self.store = Store.open(directory)
        self.run_id = create_run(self.store, example_config("contest", "pl_dc", LABEL_STEPS))
        self.recorder = StoreRecorder(self.store, self.run_id, keep_every=KEEP_EVERY)
        self.made = labels_of_a_step()

    def scalars(self, step: int, values: dict[str, float]) -> None:
        self.recorder.scalars(step, values)

    def labels(self, step: int, _: Labels) -> None:
        self.recorder.pseudo_labels(step, self.made)

    def finish(self) -> None:
        self.recorder.finish("finished")

    def worst(self, step: int) -> list[float]:
        wanted = LabelFilter(first_step=step, last_step=step, label=LABEL)
        page = find_labels(self.store, self.run_id, wanted, limit=WORST)
        return [row.mask_quality for row in page.rows]


if __name__ == "__main__":
    main(Seglab)
