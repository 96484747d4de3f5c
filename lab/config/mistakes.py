"""What pydantic found wrong with a config, in the words of who wrote the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lab.config.fields import Mistake

TAGS = ("name", "source")
"""Keys that say which kind of table theirs is."""
TAGGED = ("dataset", "host", "method")
"""Tables of which there are several kinds."""
ALIKE = 0.7
"""Share of letters in common from which on a key is taken for a slip of the pen (difflib)."""

Place = tuple[int | str, ...]
Model = type[BaseModel]


def explain(error: ValidationError, origin: str, model: Model) -> str:
    """One line per mistake: origin, dotted key, value, reason."""
    lines = []
    for one in mistakes(error, model):
        shown = "" if isinstance(one.value, (dict, BaseModel)) else f" = {one.value!r}"
        lines.append(f"{origin}: {one.key}{shown}: {one.reason}")
    return "\n".join(lines)


def mistakes(error: ValidationError, model: Model) -> list[Mistake]:
    """What is wrong with what should have been a `model`."""
    found = error.errors()
    return [_mistake(item, model) for item in found if not _follows(item, found)]


def reason(kind: str, context: Mapping[str, Any], otherwise: str) -> str:
    """Why a value cannot be: pydantic's error type and context in plain words.

    `otherwise` is said of types that have no words of ours.
    """
    match kind:
        case "greater_than":
            return f"must be above {_number(context['gt'])}"
        case "greater_than_equal":
            return f"must be at least {_number(context['ge'])}"
        case "less_than":
            return f"must be below {_number(context['lt'])}"
        case "less_than_equal":
            return f"must be at most {_number(context['le'])}"
        case "literal_error" | "enum":
            return f"expected {context['expected']}"
        case "value_error":
            return str(context["error"])
        case _:
            return PLAIN.get(kind, otherwise)


PLAIN = {
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "finite_number": "expected a finite number",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "string_type": "expected text",
    "model_type": "expected a table",
    "dict_type": "expected a table",
    "model_attributes_type": "expected a table",
    "tuple_type": "expected a list",
    "list_type": "expected a list",
    "too_short": "expected at least one",
}


def _number(bound: float) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"


def _follows(item: ErrorDetails, found: Sequence[ErrorDetails]) -> bool:
    """Whether a list is only called too short because its items are wrong."""
    place = item["loc"]
    return item["type"] == "too_short" and any(
        len(other["loc"]) > len(place) and other["loc"][: len(place)] == place for other in found
    )


def _mistake(item: ErrorDetails, model: Model) -> Mistake:
    key, value, context = _written(item["loc"]), item["input"], item.get("ctx", {})
    tag_key = f"{key}.{context.get('discriminator', '')}".replace("'", "")
    match item["type"]:
        case "extra_forbidden":
            return Mistake(key, value, f"unknown key{_meant(item['loc'], model)}")
        case "missing":
            return Mistake(key, {}, "missing")
        case "union_tag_invalid":
            return Mistake(tag_key, context["tag"], f"expected one of {context['expected_tags']}")
        case "union_tag_not_found":
            return Mistake(tag_key, value, "missing")
        case kind:
            return Mistake(key, value, reason(kind, context, item["msg"]))


def _written(location: Place) -> str:
    """The key as its file has it: which kind of table it is in is not part of it."""
    if len(location) > 2 and location[0] in TAGGED:
        location = (location[0], *location[2:])
    return ".".join(map(str, location)) or "(whole file)"


def _meant(location: Place, model: Model) -> str:
    """ "; did you mean max_steps?", or "" when nothing is like the unknown key at `location`.

    A key of other kinds of its table is " for the method supervised".
    """
    *parents, last = location
    if len(parents) > 1 and _written(location) in _keys(model, ""):
        return f" for the {parents[0]} {parents[1]}"
    here = {name for table in _tables_at(parents, model) for name in table.model_fields}
    near = get_close_matches(str(last), sorted(here), n=1, cutoff=ALIKE)
    elsewhere = [key for key in _keys(model, "") if key.rpartition(".")[2] == last]
    meant = near or list(dict.fromkeys(elsewhere))
    return f"; did you mean {' or '.join(meant)}?" if meant else ""


def _tables_at(parents: Sequence[int | str], model: Model) -> list[Model]:
    """The kinds of table that may be at a place in the errors of `model`."""
    tables = [model]
    for part in parents:
        fields = [table.model_fields[part] for table in tables if part in table.model_fields]
        if fields:
            tables = [one for field in fields for one in _tables_of(field.annotation)]
        else:  # which kind of table it is, or the number of an item
            tables = [table for table in tables if part in _tags_of(table)] or tables
    return tables


def _tables_of(annotation: object) -> list[Model]:
    """The tables in a type such as tuple[A, ...] or Annotated[A | B, ...]."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [one for part in get_args(annotation) for one in _tables_of(part)]


def _tags_of(table: Model) -> list[object]:
    return [
        value
        for tag in TAGS
        if tag in table.model_fields
        for value in get_args(table.model_fields[tag].annotation)
    ]


def _keys(model: Model, prefix: str) -> Iterator[str]:
    """Every dotted key that a file may hold, of every kind of table."""
    for name, field in model.model_fields.items():
        tables = _tables_of(field.annotation)
        if not tables:
            yield f"{prefix}{name}"
        for table in tables:
            yield from _keys(table, f"{prefix}{name}.")
