"""Numbers over seeds: mean and spread, and differences between two runs of the same seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isnan, nan, sqrt


@dataclass(frozen=True, slots=True)
class Spread:
    """What one number was over several seeds."""

    mean: float
    """NaN without values."""
    deviation: float
    """Sample standard deviation (n - 1); NaN with fewer than two values."""
    count: int


def spread(values: Iterable[float]) -> Spread:
    """Mean and sample standard deviation of the values that are known; NaN means unknown."""
    known = [value for value in values if not isnan(value)]
    if not known:
        return Spread(nan, nan, 0)
    mean = sum(known) / len(known)
    if len(known) == 1:
        return Spread(mean, nan, 1)
    squares = sum((value - mean) ** 2 for value in known)
    return Spread(mean, sqrt(squares / (len(known) - 1)), len(known))


def paired_difference(values: Mapping[int, float], reference: Mapping[int, float]) -> Spread:
    """Spread of value - reference over the seeds that both have.

    What a seed does to both (its split, its order of images) cancels, so this is far narrower
    than the spreads of the two sides suggest.
    """
    return spread(values[seed] - reference[seed] for seed in values if seed in reference)
