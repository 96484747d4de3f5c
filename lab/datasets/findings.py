"""One thing noticed about a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was noticed, where, why it matters and what to do about it."""

    severity: Severity
    code: str
    """The kind of finding, such as "annotation-id-zero"."""
    where: str
    """The place in the file or the file itself."""
    message: str
