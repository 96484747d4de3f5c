"""What can go wrong with a store, each with a sentence that says what to do."""

from __future__ import annotations


class StoreError(Exception):
    """The store cannot do what was asked; the message names the store or the run."""


class StoreMissing(StoreError):
    """There is no store to read yet."""


class StoreTooNew(StoreError):
    """The store was written by a newer seglab."""


class StoreTooOld(StoreError):
    """The store was written by an older seglab; opening it for writing brings it up to date."""


class RunNotFound(StoreError):
    """No run, or more than one, answers to a key; the message lists candidates."""


class RecordingError(StoreError):
    """Part of a run could not be written. The run itself went on."""


class ActionRefused(StoreError):
    """A run in its state does not allow what was asked; the message says which states do."""


class BadQuestion(StoreError):
    """The SQL cannot be answered; the message says why in one sentence."""
