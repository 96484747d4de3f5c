"""The one door through which the engine tells what happened. It never knows who listens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from lab.config import AppliedChange, Ask
from lab.datasets.records import Evaluation, PseudoLabels

FinalStatus = Literal["finished", "failed", "stopped"]
LabelBatch = Sequence[PseudoLabels] | Callable[[], Sequence[PseudoLabels]]
"""Labels, or a function that makes them: called later, off the training thread."""


class Recorder(Protocol):
    """Calls return in microseconds; the work happens elsewhere. `step` counts from 0."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None: ...

    def pseudo_labels(self, step: int, labels: LabelBatch) -> None: ...

    def evaluation(self, step: int, evaluation: Evaluation) -> None: ...

    def checkpoint(self, step: int, path: Path) -> None: ...

    def applied(self, change: AppliedChange) -> None:
        """The config was changed while the run trains, before the change's step."""
        ...

    def flush(self) -> None:
        """Wait until everything told so far is safe: called before each checkpoint."""
        ...

    def finish(self, status: FinalStatus, error: str | None = None) -> None: ...


class Inbox(Protocol):
    """Where people ask a run for changes while it trains. Calls return at once."""

    def take(self) -> Ask | None:
        """The next ask; None when nobody asks, which is nearly always."""
        ...

    def refuse(self, ask: Ask, reason: str) -> None:
        """Tell whoever asked why not."""
        ...


class NoInbox:
    """Nobody asks."""

    def take(self) -> Ask | None:
        return None

    def refuse(self, ask: Ask, reason: str) -> None: ...


@dataclass
class MemoryRecorder:
    """Keeps everything in lists: for tests."""

    scalar_rows: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    label_rows: list[tuple[int, PseudoLabels]] = field(default_factory=list)
    evaluations: list[tuple[int, Evaluation]] = field(default_factory=list)
    checkpoints: list[tuple[int, Path]] = field(default_factory=list)
    changes: list[AppliedChange] = field(default_factory=list)
    status: str | None = None
    error: str | None = None

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self.scalar_rows.append((step, dict(values)))

    def pseudo_labels(self, step: int, labels: LabelBatch) -> None:
        made = labels() if callable(labels) else labels
        self.label_rows.extend((step, one) for one in made)

    def evaluation(self, step: int, evaluation: Evaluation) -> None:
        self.evaluations.append((step, evaluation))

    def checkpoint(self, step: int, path: Path) -> None:
        self.checkpoints.append((step, path))

    def applied(self, change: AppliedChange) -> None:
        self.changes.append(change)

    def flush(self) -> None: ...

    def finish(self, status: FinalStatus, error: str | None = None) -> None:
        self.status = status
        self.error = error


class NullRecorder:
    """Listens to nothing: what recording is measured against."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None: ...

    def pseudo_labels(self, step: int, labels: LabelBatch) -> None: ...

    def evaluation(self, step: int, evaluation: Evaluation) -> None: ...

    def checkpoint(self, step: int, path: Path) -> None: ...

    def applied(self, change: AppliedChange) -> None: ...

    def flush(self) -> None: ...

    def finish(self, status: FinalStatus, error: str | None = None) -> None: ...
