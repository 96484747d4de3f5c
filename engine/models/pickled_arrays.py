"""Detectron2's .pkl checkpoints: pickled arrays, read without running anything.

A pickle can name any function to be called. Here it may name what rebuilds numpy arrays, and
nothing else.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core import multiarray, numeric
from torch import Tensor

from engine.checkpoint import CheckpointError

ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("collections", "OrderedDict"): OrderedDict,
}
REBUILDERS = {"_reconstruct", "scalar", "_frombuffer"}


class ForbiddenPickle(pickle.UnpicklingError):
    """The pickle wants something that is not part of an array."""


class ArrayUnpickler(pickle.Unpickler):
    """An unpickler that knows dicts, lists, numbers, strings and numpy arrays."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in ALLOWED:
            return ALLOWED[module, name]
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name in REBUILDERS:
            return getattr(multiarray, name)
        if module in ("numpy.core.numeric", "numpy._core.numeric") and name in REBUILDERS:
            return getattr(numeric, name)
        if (module, name) == ("_codecs", "encode"):
            return _encode
        raise ForbiddenPickle(f"it asks for {module}.{name}")


def load_arrays(path: Path) -> dict[str, Tensor]:
    """The state dict of a .pkl file: {"model": {name: array}} or {name: array}.

    Raises:
        CheckpointError: the file is missing, damaged, wants code to run, or holds no arrays.
    """
    try:
        with path.open("rb") as file:
            content = ArrayUnpickler(file, encoding="latin1").load()
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file of weights") from None
    except ForbiddenPickle as error:
        raise CheckpointError(
            f"{path}: refused, for a file of weights holds arrays only: {error}"
        ) from None
    except Exception as error:  # a damaged pickle raises nearly anything
        raise CheckpointError(
            f"{path}: cannot be read ({type(error).__name__}: {error})"
        ) from error
    state = content.get("model", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(_is_numeric(v) for v in state.values()):
        raise CheckpointError(f"{path}: expected a dict of numpy arrays, by name")
    return {str(name): torch.from_numpy(np.array(array)) for name, array in state.items()}


def _is_numeric(value: object) -> bool:
    return isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "fiub"


def _encode(text: str, encoding: str) -> bytes:
    """How a Python 3 pickle of protocol 2 spells bytes."""
    return text.encode(encoding)
