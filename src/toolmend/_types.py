"""What goes in and what comes out: tools, calls and results, free of any framework.

`ToolSpec.of` is the one gate for tools that callers hand in. It refuses a broken schema there, before any request
is made, because a tool that cannot be described cannot be typed either.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

from toolmend._errors import ToolmendError
from toolmend._frozen import frozen, thawed
from toolmend._record import record

__all__ = ["Schema", "Tool", "ToolCall", "ToolResult", "ToolSpec", "resolve", "specs_of"]

Schema = Mapping[str, Any]

_DATA = frozenset({"const", "default", "enum", "example", "examples"})  # keywords whose values are no schemas
"""A JSON Schema, or a part of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """A tool the model may call.

    Attributes:
        name: the name the model writes.
        description: what the tool does, for the prompt.
        parameters: JSON Schema of the arguments, an object schema (OpenAI's word for it).

    Raises:
        ToolmendError: the name is empty, or the schema is broken or describes no object.
    """

    name: str
    description: str = ""
    parameters: Schema = field(default_factory=lambda: {"type": "object", "properties": {}})

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:  # pyright: ignore[reportUnnecessaryIsInstance] - callers
            raise ToolmendError(f"a tool needs a name, got {self.name!r}")
        problem = _schema_problem(self.parameters)
        if problem:
            raise ToolmendError(
                f"tool {self.name!r}: {problem}; `parameters` must be a JSON Schema like "
                '{"type": "object", "properties": {...}, "required": [...]}'
            )

    @classmethod
    def of(cls, tool: Tool) -> ToolSpec:
        """Read a tool: a `ToolSpec`, an OpenAI tool dict, or its bare `function` part.

        `parameters` may be missing (a tool without arguments) or be called `input_schema`.

        Raises:
            ToolmendError: the object is no function tool, or its schema is broken.
        """
        if isinstance(tool, ToolSpec):
            return tool
        if not isinstance(tool, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - callers
            raise ToolmendError(f"a tool must be a ToolSpec or an OpenAI tool dict, not {type(tool).__name__}")
        function: Any = tool.get("function", tool)
        if not isinstance(function, Mapping) or "name" not in function:
            raise ToolmendError(
                f"not a function tool: {_short(tool)}; expected "
                '{"type": "function", "function": {"name": ..., "parameters": {...}}}'
            )
        function = cast("Mapping[str, Any]", function)
        parameters = function.get("parameters", function.get("input_schema"))
        return cls(
            name=function["name"],
            description=function.get("description") or "",
            parameters={"type": "object", "properties": {}} if parameters is None else parameters,
        )

    def to_openai(self) -> dict[str, Any]:
        """The tool as an OpenAI tool dict."""
        function = {
            "name": self.name,
            "description": self.description,
            "parameters": dict(self.parameters),
        }
        return {"type": "function", "function": function}

    @property
    def properties(self) -> Mapping[str, Any]:
        """The declared arguments: name > schema."""
        return self.parameters.get("properties") or {}

    @property
    def required(self) -> tuple[str, ...]:
        """The names of the arguments that every call must give."""
        return tuple(self.parameters.get("required") or ())


Tool = ToolSpec | Mapping[str, Any]
"""What callers may hand in where a tool is wanted."""


@record(kw_only=True)
class ToolCall:
    """A call the model made.

    Attributes:
        name: a name as offered.
        arguments: the arguments, typed by the tool's schema where it says how.
        id: the id the model wrote, if its format has one; `Turn` gives every call a fresh one.
        repairs: what had to be mended to read the call, a short line each; empty for a clean call.
    """

    name: str
    arguments: dict[str, Any]
    id: str | None = None
    repairs: tuple[str, ...] = ()


@record(kw_only=True)
class ToolResult:
    """What a tool answered, to be written into the history as text.

    Attributes:
        name: the tool's name.
        content: its answer as text.
        call_id: the id of the call it answers.
        is_error: whether the tool failed.
    """

    name: str
    content: str
    call_id: str | None = None
    is_error: bool = False


def specs_of(tools: Iterable[Tool]) -> tuple[ToolSpec, ...]:
    """Read several tools.

    Raises:
        ToolmendError: as `ToolSpec.of`, or a name is given twice.
    """
    specs = tuple([tool if type(tool) is ToolSpec else ToolSpec.of(tool) for tool in tools])
    names = [spec.name for spec in specs]
    if len(names) > 1 and len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ToolmendError(f"tool {twice!r} is given twice; names must be unique")
    return specs


def _schema_problem(parameters: object) -> str | None:
    held = frozen(parameters)
    return _problem_in(parameters) if held is None else _known_problem(held)


@lru_cache(maxsize=512)
def _known_problem(parameters: bytes) -> str | None:
    """The same tools come with every request."""
    return _problem_in(thawed(parameters))


def _problem_in(parameters: object) -> str | None:
    if not isinstance(parameters, Mapping):
        return f"its schema is {_short(parameters)}, not an object"
    schema = cast("Schema", parameters)
    declared: Any = schema.get("type", "object")
    kinds = cast("list[object]", declared) if isinstance(declared, list) else [declared]
    if "object" not in kinds:
        return f"its schema has type {_short(kinds if len(kinds) > 1 else kinds[0])}"
    properties: object = schema.get("properties") or {}
    if not isinstance(properties, Mapping):
        return "`properties` is not an object"
    required: object = schema.get("required") or []
    if not isinstance(required, (list, tuple)) or not all(
        isinstance(key, str) for key in cast("list[object]", required)
    ):
        return "`required` is not a list of names"
    for key, value in cast("Mapping[str, object]", properties).items():
        if not isinstance(value, (Mapping, bool)):
            return f"the schema of argument {key!r} is {_short(value)}, not an object"
    return _reference_problem(schema)


def _reference_problem(schema: Schema) -> str | None:
    """A `$ref` into the schema itself must lead somewhere; what lies outside of it is not ours to judge."""
    try:
        json.dumps(schema)
    except (TypeError, ValueError) as error:
        return f"its schema cannot be written as JSON ({error})"
    pending: list[object] = [schema]
    while pending:
        node = pending.pop()
        if isinstance(node, Mapping):
            node = cast("Schema", node)
            reference = node.get("$ref")
            if isinstance(reference, str) and resolve(reference, schema) is None:
                return f"`$ref` {reference!r} leads nowhere"
            pending.extend(value for key, value in node.items() if key not in _DATA)
        elif isinstance(node, list):
            pending.extend(cast("list[object]", node))
    return None


def resolve(reference: str, root: Schema) -> object:
    """What a `$ref` such as ``#/$defs/City`` points to; `None` if it leads nowhere, `{}` if it is not local."""
    if reference != "#" and not reference.startswith("#/"):  # another document, or an anchor
        return {}
    node: object = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        if not step:
            continue
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(node, Mapping):
            node = cast("Schema", node).get(key)
        elif isinstance(node, list) and key.isdigit() and int(key) < len(cast("list[object]", node)):
            node = cast("list[object]", node)[int(key)]
        else:
            return None
    return node


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
