"""What may be asked over HTTP: every parameter known, every number one that the store can hold."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field

LARGEST = 2**63 - 1
"""Of a whole number in the store."""

Whole = Annotated[int, Field(ge=-LARGEST, le=LARGEST)]
"""A step, a class or an id."""
Span = Annotated[int, Field(ge=0, le=LARGEST)]
"""Steps a window covers; 0 = everything up to its end."""
ImageId = Annotated[int, Path(ge=-LARGEST, le=LARGEST)]
"""Part of a path."""


class Question(BaseModel):
    """Query parameters of a route; one that the route does not know is refused.

    A route without parameters takes this class as it is.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Order(BaseModel):
    """The body of a request that changes something; an unknown key is refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
