"""Sentences that describe the classes to a CLIP: read from a file, checked before anything runs."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

Descriptions = dict[str, tuple[str, ...]]
"""Class name -> its sentences."""


def read_descriptions(path: Path) -> object:
    """What a .json or .toml file holds: one table, class name -> list of sentences.

    Raises:
        ValueError: when it cannot be read; the message names the file.
    """
    try:
        text = path.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"{path}: cannot be read: {reason}") from None
    try:
        return tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path}: not valid {path.suffix[1:].upper() or 'JSON'}: {error}"
        ) from None


def check_descriptions(table: object) -> object:
    """The table as it was given, with a single sentence per class made a list.

    Raises:
        ValueError: when it is no table, or a class has no sentence; the message names the class.
    """
    if not isinstance(table, dict) or not table:
        raise ValueError('expected a table such as {"cat": ["a small animal with whiskers"]}')
    listed = {name: [said] if isinstance(said, str) else said for name, said in table.items()}
    for name, sentences in listed.items():
        given = isinstance(sentences, (list, tuple)) and len(sentences) > 0
        if not given or not all(isinstance(one, str) and one.strip() for one in sentences):
            raise ValueError(f"class {name!r}: expected a list of sentences, got {sentences!r}")
    return listed
