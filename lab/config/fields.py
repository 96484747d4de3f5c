"""What every table of a config is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field

LARGEST = 2**31 - 1
"""Whole numbers end here: everything that stores or draws them can hold them."""

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(ge=1, le=LARGEST)]
Count = Annotated[int, Field(ge=0, le=LARGEST)]
Weight = Annotated[float, Field(ge=0.0)]

Value = TypeVar("Value")
Live = Annotated[Value, Field(json_schema_extra={"live": True})]
"""Live[Fraction]: a value that may change while the run trains, see lab.config.live."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong with a config."""

    key: str
    """Dotted, as its file has it; "(whole file)" when no single key is to blame."""
    value: object
    reason: str


class ConfigError(ValueError):
    """A config that cannot be used; the message names file, key and value."""

    def __init__(self, message: str, mistakes: Sequence[Mistake] = ()) -> None:
        super().__init__(message)
        self.mistakes = tuple(mistakes)
        """One by one, where they are known."""


class Frozen(BaseModel):
    """Immutable; refuses unknown keys and infinite numbers; field docstrings are descriptions."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )
