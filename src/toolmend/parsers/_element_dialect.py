"""Formats whose calls are elements, with an element for each argument: all they share is here, the tags are theirs.

The values are text, so their types come from the schema, and they are verbatim: only the line feeds that the format
puts around them are taken off.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from toolmend._blocks import Block, Body
from toolmend._dialect import Dialect, Region
from toolmend._element_body import ElementBody
from toolmend._element_deltas import ElementDeltas, Framed, Reading
from toolmend._element_tags import Tags
from toolmend._elements import FoundCall, FoundValue, read_elements
from toolmend._errors import RenderError
from toolmend._toolbox import NotACall, Toolbox, Written
from toolmend._types import ToolCall, ToolSpec
from toolmend.parsers._element_arguments import declared_by, held, read_object
from toolmend.parsers._element_forms import Form

__all__ = ["ElementDialect"]


class ElementDialect(Dialect):
    """A format whose calls are elements.

    Attributes:
        tags: its tags.
        form: how it is written.
        openers: regular expressions of the openers; ``NAMES`` in them stands for the declared names.
        typed: the tags of the arguments say what type they have.
        complete: without all required arguments it is no call, even if nothing else is wrong with it.
        repeats: an argument may be given several times, where the schema has a list.
        kind: see `Block`.
    """

    tags: ClassVar[Tags]
    form: ClassVar[Form]
    openers: ClassVar[tuple[str, ...]]
    typed: ClassVar[bool] = False
    complete: ClassVar[bool] = False
    repeats: ClassVar[bool] = False
    kind: ClassVar[Literal["marked", "plain"]] = "marked"

    def blocks(self, tools: Toolbox) -> Sequence[Block]:
        """A block for each of the openers."""
        names = f"(?:{tools.names})"
        return [Block(opener.replace("NAMES", names), self.body, self.kind) for opener in self.openers]

    def deltas(self, block: Block, opener: str, tools: Toolbox) -> ElementDeltas | None:
        """See `Dialect.deltas`."""
        reading = Reading(self.certain, self.text, textual=not self.typed, repeats=self.repeats)
        return ElementDeltas(self.tags_of(opener), reading, tools)

    def text(self, value: FoundValue) -> Framed | None:
        """What follows the text of an argument while it is written; see `Reading`."""
        return Framed(self.form.framing)

    def certain(self, values: Sequence[tuple[FoundValue, str]], tool: ToolSpec) -> dict[str, Any]:
        """The arguments while others are still being written; see `Reading`."""
        return self._collected(values, tool)

    def body(self, opener: str, lead: str) -> Body:
        """The body of a region; see `Block`."""
        return ElementBody(self.tags_of(opener))

    def tags_of(self, region: str) -> Tags:
        """The tags of a region, by its beginning."""
        return self.tags

    def parse(self, region: Region) -> Sequence[Written | NotACall]:
        """The calls with their arguments, up to the first that cannot be read."""
        found: list[Written | NotACall] = []
        for call in read_elements(region.text, self.tags_of(region.text), declared_by(region.tools)):
            try:
                found.append(self.read(call, region))
            except NotACall as error:
                return [*found, NotACall(str(error), meant=self.kind == "marked")]
        return found

    def render_calls(self, calls: Sequence[ToolCall]) -> str:
        """The calls; values that are no text are written as JSON.

        Raises:
            RenderError: a value holds what would end it.
        """
        form, texts = self.form, [self._render(call, number) for number, call in enumerate(calls, 1)]
        if form.together:
            return form.wrapper + "".join(texts) + form.unwrap
        return "\n".join(form.wrapper + text + form.unwrap for text in texts)

    def read(self, call: FoundCall, region: Region) -> Written:
        """One call of a region.

        Raises:
            NotACall: it cannot be read, or has more than one reading.
        """
        if call.error:
            raise NotACall(call.error)
        tool, repairs = region.tools.get(call.name), list(call.repairs)
        if call.bare:
            arguments, mended = read_object(call, region.text[call.start : call.end])
            repairs.extend(mended)
        else:
            texts = (region.text[value.start : value.end] for value in call.values)
            arguments = self._collected(list(zip(call.values, texts, strict=True)), tool)
            repairs.extend(f"{value.key}: added a missing opening tag" for value in call.values if not value.opened)
        unpacked = held(arguments, tool)
        if unpacked is not None:
            repairs.append("took an object for the arguments")
        given = arguments if unpacked is None else unpacked
        missing = [key for key in (tool.required if tool else ()) if key not in given]
        if missing and (self.complete or repairs or not call.closed):
            raise NotACall(f"the call of {call.name} lacks {', '.join(missing)}")
        textual = not self.typed and not call.bare and unpacked is None
        return Written(name=call.name, arguments=given, textual=textual, repairs=tuple(repairs))

    def _collected(self, values: Sequence[tuple[FoundValue, str]], tool: ToolSpec | None) -> dict[str, Any]:
        return self.collect([self.pair(value, self.form.unframed(text)) for value, text in values], tool)

    def pair(self, value: FoundValue, text: str) -> tuple[str, Any]:
        """The name and the value of an argument.

        Args:
            value: where it was found.
            text: its text, without framing.
        """
        return value.key, text if value.opened else text.removeprefix("\n")

    def collect(self, pairs: Sequence[tuple[str, Any]], tool: ToolSpec | None) -> dict[str, Any]:
        """The arguments by their names.

        Raises:
            NotACall: one is given twice.
        """
        arguments: dict[str, Any] = {}
        for key, value in pairs:
            if key in arguments:
                raise NotACall(f"{key} is given twice")
            arguments[key] = value
        return arguments

    def written(self, value: Any) -> tuple[str, str]:
        """How a value is written, and what its tag says of its type."""
        return (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)), ""

    def escaped(self, name: str) -> str:
        """How a name is written in a tag."""
        return name

    def _render(self, call: ToolCall, number: int) -> str:
        form, name = self.form, self.escaped(call.name)
        values = [(self.escaped(key), *self.written(value)) for key, value in call.arguments.items()]
        text = form.write(name, number, values)
        whole = form.wrapper + text + form.unwrap
        found = read_elements(whole, self.tags_of(whole), lambda _, __: True)
        back = [(value.key, form.unframed(whole[value.start : value.end])) for one in found for value in one.values]
        clean = [(one.name, one.error, one.closed) for one in found] == [(name, "", True)]
        if not clean or back != [(key, value) for key, value, _ in values]:
            raise RenderError(f"a call of {call.name!r} holds markup that would end it; choose a JSON format")
        return text
