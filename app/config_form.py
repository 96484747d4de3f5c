"""The form of a run's config, made from pydantic's schema: groups of fields, each explained.

A group is a table of the config, such as `schedule`. Where a table can be of several kinds
(dataset source, host, method), each kind is a variant with its own fields. Nothing is written
here by hand, so a new field of a config is in the form as soon as it has a type and a docstring.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Literal

from lab.config import RunConfig

Schema = Mapping[str, Any]
Kind = Literal["int", "float", "text", "choice", "switch", "numbers", "lines", "json"]

RUN_GROUP = {
    "key": "",
    "title": "Run",
    "help": "What people call it, and the seed of everything that is drawn.",
}
TITLES = {"host": "Host network", "record": "Recording", "view": "Views of an image"}
HELP = {
    "dataset": "Which images a run learns from and is judged on.",
    "host": "The network that finds objects.",
    "method": "How images without masks teach; every default is the paper's.",
}
LIMITS = {
    "minimum": "min",
    "maximum": "max",
    "exclusiveMinimum": "above",
    "exclusiveMaximum": "below",
    "multipleOf": "step",
}


@cache
def config_form() -> list[dict[str, Any]]:
    """The groups in the order of the config; `fields` with dotted keys, see `_field`."""
    schema = RunConfig.model_json_schema()
    defs = schema["$defs"]
    plain = {key: one for key, one in schema["properties"].items() if "type" in one}
    alone = {"name": "", "help": "", "parts": [_part("", RUN_GROUP["help"], plain)]}
    groups: list[dict[str, Any]] = [RUN_GROUP | {"tag": None, "variants": [alone]}]
    for key, one in schema["properties"].items():
        if key not in plain:
            groups.append(_group(key, one, defs))
    return groups


@cache
def table_keys() -> frozenset[str]:
    """Dotted keys whose values are tables of anybody's making, such as sentences per class."""
    return frozenset(field["key"] for field in fields() if field["kind"] == "json")


def fields() -> Iterator[dict[str, Any]]:
    """All fields of all variants."""
    for group in config_form():
        for variant in group["variants"]:
            for part in variant["parts"]:
                yield from part["fields"]


def _group(key: str, schema: Schema, defs: Schema) -> dict[str, Any]:
    kinds = schema.get("discriminator")
    named = {"": schema["$ref"]} if kinds is None else kinds["mapping"]
    variants = [_variant(key, name, defs[_last(path)], defs) for name, path in named.items()]
    tag = None if kinds is None else kinds["propertyName"]
    standard = schema["default"].get(tag, "") if tag else ""
    variants.sort(key=lambda one: one["name"] != standard)
    return {
        "key": key,
        "title": TITLES.get(key, key.capitalize()),
        "help": HELP.get(key, variants[0]["help"]),
        "tag": tag,
        "variants": variants,
    }


def _variant(key: str, name: str, schema: Schema, defs: Schema) -> dict[str, Any]:
    parts = list(_parts(f"{key}.", schema, defs))
    return {"name": name, "help": schema.get("description", ""), "parts": parts}


def _parts(prefix: str, schema: Schema, defs: Schema, help: str = "") -> Iterator[dict[str, Any]]:
    """The fields of a table, then those of each table inside it."""
    inner = {key: one for key, one in schema["properties"].items() if "$ref" in one}
    own = {key: one for key, one in schema["properties"].items() if key not in inner}
    yield _part(prefix, help, own)
    for key, one in inner.items():
        table = defs[_last(one["$ref"])]
        told = one.get("description") or table.get("description", "")
        yield from _parts(f"{prefix}{key}.", table, defs, told)


def _part(prefix: str, help: str, properties: Schema) -> dict[str, Any]:
    fields = [_field(prefix, name, one) for name, one in properties.items() if "const" not in one]
    return {"key": prefix.rstrip("."), "help": help, "fields": fields}


def _field(prefix: str, name: str, schema: Schema) -> dict[str, Any]:
    """One field: its key, what it is for, and what may be written into it."""
    options = schema.get("anyOf", [schema])
    is_optional = any(one.get("type") == "null" for one in options)
    shape = next(one for one in options if one.get("type") != "null")
    return {
        "key": f"{prefix}{name}",
        "title": name.replace("_", " "),
        "help": schema.get("description", "").replace("\n", " "),
        "kind": _kind(shape),
        "choices": shape.get("enum", []),
        "limits": {ours: shape[theirs] for theirs, ours in LIMITS.items() if theirs in shape},
        "optional": is_optional,
        "required": "default" not in schema,
        "default": schema.get("default"),
        "live": bool(schema.get("live")),
    }


def _kind(shape: Schema) -> Kind:
    if "enum" in shape:
        return "choice"
    match shape["type"]:
        case "boolean":
            return "switch"
        case "integer":
            return "int"
        case "number":
            return "float"
        case "array":
            return "numbers" if _item_type(shape) in ("integer", "number") else "lines"
        case "object":
            return "json"
    return "text"


def _item_type(shape: Schema) -> str:
    items: Any = shape.get("items") or shape["prefixItems"][0]
    return str(items.get("type"))


def _last(path: str) -> str:
    """ "#/$defs/ViewConfig" -> "ViewConfig"."""
    return path.rpartition("/")[2]
