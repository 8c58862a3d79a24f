"""The tools of one request as a parser sees them: which names count, and what makes a written call acceptable.

A dialect reads `Written` calls, as the model put them. `Toolbox.accept` turns one into a `ToolCall` or says why not:
it finds the tool, fits the arguments to its schema and gathers the repairs. This is the one gate every format passes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from toolmend._coerce import allows, fit
from toolmend._json import UNESCAPED
from toolmend._names import Names
from toolmend._types import ToolCall, ToolSpec

__all__ = ["Description", "NotACall", "Toolbox", "Written"]


class NotACall(ValueError):
    """A region turned out to hold no call that may run; the message is the reason given in `ToolCallFailed`.

    Attributes:
        meant: a call was meant. Otherwise, where the opener also occurs in ordinary text, this is ordinary text.
    """

    def __init__(self, reason: str, *, meant: bool = True) -> None:
        super().__init__(reason)
        self.meant = meant


class Description(NotACall):
    """A region describes a call instead of making one, and what follows directly may well do the same."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, meant=False)


@dataclass(slots=True, kw_only=True)
class Written:
    """A call as written, before it has passed the gate.

    Attributes:
        name: the name as written.
        arguments: name > value.
        text: in place of arguments, a text for the only parameter.
        textual: the values are the texts between two tags, without a type of their own.
        loose: nothing says that these are arguments, so all of them must be parameters, and none may be missing.
        id: the id the model wrote.
        repairs: what the dialect had to mend.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    text: str | None = None
    textual: bool = False
    loose: bool = False
    id: str | None = None
    repairs: tuple[str, ...] = ()


_names_of = lru_cache(maxsize=256)(Names)


class Toolbox:
    """The tools that may be called now."""

    def __init__(self, tools: Sequence[ToolSpec]) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._known = _names_of(tuple(self._tools))
        self.names = self._known.pattern
        """A regular expression that matches any of the names, as models write them."""

    def __eq__(self, other: object) -> bool:
        """Toolboxes that offer the same names open the same blocks."""
        return isinstance(other, Toolbox) and self.names == other.names

    def __hash__(self) -> int:
        return hash(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def get(self, name: str) -> ToolSpec | None:
        """The tool that a written name means."""
        found = self._known.find(name)
        return self._tools[found[0]] if found else None

    def accept(self, written: Written) -> ToolCall:
        """Let a written call through the gate.

        Raises:
            NotACall: no such tool is offered, or it is the tool's definition that is written.
        """
        found = self._known.find(written.name)
        if found is None:
            raise NotACall(f"no tool {written.name!r} is offered")
        tool, mended = self._tools[found[0]], found[1]
        if written.text is not None:
            written = _bound(written, written.text, tool)
        if written.arguments.get("type") == "object" and _is_schema(written.arguments, tool):
            raise Description("a tool's definition, not a call")
        if written.loose and not set(tool.required) <= set(written.arguments) <= set(tool.properties):
            raise NotACall("an object with other keys than the tool's parameters", meant=False)
        if written.repairs:
            _check_mended(written, tool)
        arguments, report = fit(written.arguments, tool, textual=written.textual)
        repairs = (*mended, *written.repairs, *report)
        return ToolCall(name=tool.name, arguments=arguments, id=written.id, repairs=repairs)


def _bound(written: Written, text: str, tool: ToolSpec) -> Written:
    """Give a text to the only parameter.

    Raises:
        NotACall: there are others, or it takes no text.
    """
    keys = list(tool.properties)
    if len(keys) != 1 or not allows("string", tool.properties[keys[0]], tool.parameters):
        raise NotACall("the input is no object, and not the text of the only parameter")
    if re.match(rf"\W*{re.escape(keys[0])}\W*[:=]", text):
        raise NotACall("the input is neither an object nor a mere text")
    return replace(written, text=None, arguments={keys[0]: text})


def _check_mended(written: Written, tool: ToolSpec) -> None:
    """Refuse what may have been mended the wrong way.

    Raises:
        NotACall: so it is.
    """
    lacks = [key for key in tool.required if key not in written.arguments]
    if lacks and any(line.startswith("added a missing") for line in written.repairs):
        raise NotACall(f"its end is missing, and with it {', '.join(lacks)}")
    if UNESCAPED in written.repairs and tool.properties and not written.arguments.keys() <= tool.properties.keys():
        raise NotACall("quotes in it are not escaped, and it has other keys than the tool's parameters")


def _is_schema(arguments: Mapping[str, Any], tool: ToolSpec) -> bool:
    return isinstance(arguments.get("properties"), Mapping) and "properties" not in tool.properties
