"""Fits the arguments of a call to the tool's parameter schema; never raises, never guesses, reports what it changed.

Text values (from XML-like formats) get their type from here; values that came as JSON are only touched where they
do not fit. The rule: resolve ``$ref``, collect the types a value may have, and then

- keep a string wherever a string is allowed; a text value only if it is not an enum's member or a constant of another
  type, nor a container or ``null`` where the schema allows that;
- otherwise read it strictly as JSON, then as a Python literal; take the reading only if its type is allowed;
- what fits nothing stays as it was, byte for byte.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from toolmend._json import NotJSON, Reader, strict
from toolmend._types import Schema, ToolSpec, resolve

__all__ = ["allows", "fit", "only_text", "part"]

_MAX_DEPTH = 12  # schemas that refer to themselves end here
_TYPES = frozenset({"string", "integer", "number", "boolean", "null", "array", "object"})
_PLAIN = frozenset({"type", "title", "description", "default"})
_TEXTUAL = frozenset({"string", "null"})
_ALIASES = {
    "str": "string", "text": "string", "int": "integer", "float": "number", "double": "number", "bool": "boolean",
    "list": "array", "dict": "object", "none": "null",
}  # fmt: skip


def fit(
    arguments: Mapping[str, Any], tool: ToolSpec, *, textual: bool = False
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Fit arguments to a tool's schema.

    Args:
        arguments: name > value.
        tool: whose `parameters` say which types are wanted.
        textual: every text is one between two tags, so giving it a type is reading, not repair.

    Returns:
        The fitted arguments and a line for every value that was changed or does not fit.
    """
    report: list[str] = []
    fitted: dict[str, Any] = {}
    declared = tool.properties
    for key, value in arguments.items():
        schema = declared.get(key)
        if schema is None:
            fitted[key] = value
            if declared and not tool.parameters.get("additionalProperties"):
                report.append(f"{key}: not declared, kept as written")
            continue
        if not textual and type(value) is str and _is_text(schema):
            fitted[key] = value
            continue
        fitted[key] = _fit(value, schema, tool.parameters, key, report, textual=textual)
    return fitted, tuple(report)


def _is_text(schema: Schema | bool) -> bool:
    """Whether a schema allows any string, and says so plainly."""
    if schema is True or schema is False:
        return False
    return schema.get("type") == "string" and _PLAIN.issuperset(schema)


def allows(kind: str, schema: object, root: Schema) -> bool:
    """Whether a schema allows values of a JSON type, such as ``"string"``."""
    kinds = _kinds(schema, root)
    return not kinds or kind in kinds or (kind == "integer" and "number" in kinds)


def only_text(schema: object, root: Schema) -> bool:
    """Whether a schema allows texts and nothing else."""
    return _kinds(schema, root) == frozenset({"string"})


def part(schema: object, root: Schema, key: str | None = None) -> object:
    """The schema of an object's member, or of a list's elements where no key is given."""
    if key is None:
        return _keyword("items", schema, root)
    properties = _keyword("properties", schema, root)
    declared: Mapping[str, object] = cast("Schema", properties) if isinstance(properties, Mapping) else {}
    return declared.get(key, _keyword("additionalProperties", schema, root))


def _fit(value: Any, schema: object, root: Schema, path: str, report: list[str], *, textual: bool) -> Any:
    kinds = _kinds(schema, root)
    textual_inside = textual and not isinstance(value, str)  # what a text holds is JSON
    if isinstance(value, str) and kinds:
        fitted = _from_text(value, kinds, schema, root, textual=textual)
        if fitted is not value:
            if not textual:
                report.append(f"{path}: string > {_kind(fitted)}")
            value = fitted
        elif "string" not in kinds and value not in _members(schema, root):
            report.append(f"{path}: {_short(value)} is no {' or '.join(sorted(kinds))}, kept as written")
    elif kinds and not _admits(_kind(value), kinds):
        return _from_value(value, kinds, path, report)
    if isinstance(value, dict):
        return _fit_members(cast("dict[str, Any]", value), schema, root, path, report, textual=textual_inside)
    if isinstance(value, list):
        each = part(schema, root)
        elements = cast("list[Any]", value)
        return [_fit(e, each, root, f"{path}[{n}]", report, textual=textual_inside) for n, e in enumerate(elements)]
    return value  # pyright: ignore[reportUnknownVariableType] - any JSON value


def _fit_members(
    value: dict[str, Any], schema: object, root: Schema, path: str, report: list[str], *, textual: bool
) -> dict[str, Any]:
    return {
        key: _fit(item, part(schema, root, key), root, f"{path}.{key}", report, textual=textual)
        for key, item in value.items()
    }


def _from_text(text: str, kinds: frozenset[str], schema: object, root: Schema, *, textual: bool) -> Any:
    """The value that a text stands for, or the same text object where it stands for itself."""
    members = _members(schema, root)
    if text in members or ("string" in kinds and not members and not textual):
        return text
    for member in members:
        if not isinstance(member, str) and json.dumps(member) == text.strip():
            return member
    if "null" in kinds and text.strip() == "null":
        return None
    if "string" in kinds:
        containers = kinds & {"array", "object"}
        if not containers or not text.lstrip().startswith(("{", "[")):
            return text
        kinds = containers
    value = _literal(text)
    if value is _NOTHING:
        return text
    if isinstance(value, float) and value.is_integer() and "integer" in kinds and "number" not in kinds:
        return int(value)
    return value if _admits(_kind(value), kinds) else text


def _from_value(value: Any, kinds: frozenset[str], path: str, report: list[str]) -> Any:
    """A JSON value of the wrong type: only changes that lose nothing are made."""
    if "integer" in kinds and "number" not in kinds and isinstance(value, float) and value.is_integer():
        report.append(f"{path}: {value} > {int(value)}")
        return int(value)
    if "string" in kinds and kinds <= _TEXTUAL and isinstance(value, (int, float)) and not isinstance(value, bool):
        report.append(f"{path}: {_kind(value)} > string")
        return json.dumps(value)
    report.append(f"{path}: {_short(value)} is no {' or '.join(sorted(kinds))}, kept as written")
    return value


_NOTHING = object()


def _literal(text: str) -> Any:
    """A text that is wholly one JSON value or Python literal, else `_NOTHING`."""
    text = text.strip()
    try:
        return strict(text)
    except (ValueError, RecursionError):
        pass
    reader = Reader(text, python=True)
    try:
        value = reader.value()
    except NotJSON:
        return _NOTHING
    return value if reader.at == len(text) and not reader.repairs else _NOTHING


def _kinds(schema: object, root: Schema, depth: int = 0) -> frozenset[str]:
    """The JSON types a schema allows; empty where it does not say."""
    if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
        return frozenset()
    schema = cast("Schema", schema)
    declared = schema.get("type")
    if isinstance(declared, str):
        declared = [declared]
    if isinstance(declared, Sequence):
        names = (
            _ALIASES.get(name.lower(), name.lower())
            for name in cast("Sequence[object]", declared)
            if isinstance(name, str)
        )
        kinds = frozenset(names) & _TYPES
        return kinds | {"null"} if kinds and schema.get("nullable") is True else kinds
    if "enum" in schema or "const" in schema:
        return frozenset(_kind(member) for member in _members(schema, root))
    if isinstance(schema.get("$ref"), str):
        return _kinds(resolve(schema["$ref"], root), root, depth + 1)
    for union in ("anyOf", "oneOf"):
        branches = schema.get(union)
        if isinstance(branches, Sequence):
            sets = [_kinds(branch, root, depth + 1) for branch in cast("Sequence[object]", branches)]
            return frozenset[str]().union(*sets) if all(sets) else frozenset()
    if isinstance(schema.get("allOf"), Sequence):
        sets = [kinds for part in schema["allOf"] if (kinds := _kinds(part, root, depth + 1))]
        return sets[0].intersection(*sets) if sets else frozenset()
    if "properties" in schema:
        return frozenset({"object"})
    return frozenset({"array"}) if "items" in schema else frozenset()


def _branches(schema: object, root: Schema) -> list[Schema]:
    """The schema itself and all that it refers to or is combined of, each once."""
    found: dict[int, Schema] = {}
    pending = [schema]
    while pending:
        node = pending.pop(0)
        if not isinstance(node, Mapping) or id(cast("object", node)) in found:
            continue
        node = cast("Schema", node)
        found[id(node)] = node
        if isinstance(node.get("$ref"), str):
            pending.append(resolve(node["$ref"], root))
        for combination in ("anyOf", "oneOf", "allOf"):
            branches = node.get(combination)
            if isinstance(branches, Sequence):
                pending.extend(cast("Sequence[object]", branches))
    return list(found.values())


def _keyword(keyword: str, schema: object, root: Schema) -> object:
    """The one value of a keyword over all branches; `None` where there is none or the branches differ."""
    values = [branch[keyword] for branch in _branches(schema, root) if keyword in branch]
    return values[0] if values and all(value == values[0] for value in values) else None


def _members(schema: object, root: Schema) -> list[Any]:
    """The members of enums and constants."""
    members: list[Any] = []
    for branch in _branches(schema, root):
        enum = branch.get("enum")
        if isinstance(enum, Sequence):
            members.extend(cast("Sequence[Any]", enum))
        if "const" in branch:
            members.append(branch["const"])
    return members


def _kind(value: object) -> str:
    """The JSON type of a value."""
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case None:
            return "null"
        case list():
            return "array"
        case _:
            return "object"


def _admits(kind: str, kinds: frozenset[str]) -> bool:
    return kind in kinds or (kind == "integer" and "number" in kinds)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
