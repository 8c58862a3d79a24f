"""One request out, one reply back: what every adapter needs, and all of it.

An adapter makes a `Turn` for each request from the tools and the tool choice of that request. If the turn is not
`active`, the request and the reply pass through untouched. Otherwise the reply's text goes through `read` or, while
it streams, through a `Reader`. When the server cannot take tools the adapter also writes `instructions` into the
system text and `render_calls` / `render_results` into the history; images and all else it leaves alone.

A turn holds no state of the wrapper: it is safe in threads and across concurrent requests.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from toolmend._dialect import Dialect, offer
from toolmend._errors import ToolmendError
from toolmend._events import Event, ReasoningDelta, Reply, TextDelta, ToolCallDelta, ToolCallFailed, ToolCallParsed
from toolmend._forced import EXAMPLE, schema_of_calls
from toolmend._foreign import Foreign, has_markers, neutral, restored
from toolmend._stream import StreamParser
from toolmend._types import Tool, ToolCall, ToolResult, ToolSpec, specs_of
from toolmend.parsers import DIALECTS, get_dialect

__all__ = ["ArgumentsDelta", "Item", "Options", "Reader", "ToolChoice", "Turn"]

ToolChoice = Literal["auto", "none", "required"] | Sequence[str]
"""What the caller allows: any tool, none, at least one, or only the tools named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What may be set, for every adapter alike.

    Attributes:
        dialects: the formats that are read, in order of precedence.
        prompt_dialect: the format that prompt mode asks the model to write. A fenced JSON object passes every known
            server untouched; ``<tool_call>`` markup is eaten by the parsers of mlx-lm and transformers.
        prompt: the dialect that this names.
    """

    dialects: tuple[Dialect, ...] = DIALECTS
    prompt_dialect: str = "fenced_json"
    prompt: Dialect = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "prompt", get_dialect(self.prompt_dialect, self.dialects))


_DEFAULTS = Options()


@dataclass(frozen=True, slots=True)
class ArgumentsDelta:
    """A piece of the arguments of a call that is still being written.

    Attributes:
        id: which call it is; the whole `ToolCall` that follows carries the same id.
        name: the tool's name.
        arguments: the next piece of JSON text. `None` says that the call turned out broken: what was shown of it
            must not run, and no `ToolCall` follows; its text comes as text.
    """

    id: str
    name: str
    arguments: str | None


Item = str | ToolCall | ArgumentsDelta
"""Text to show, a call to run, or a piece of a call that is still being written."""


class Turn:
    """One request and its reply.

    Args:
        tools: the tools offered in this request, as `ToolSpec`s or OpenAI tool dicts.
        tool_choice: ``"auto"``, ``"none"``, ``"required"`` or the names that may be called.
        options: see `Options`.
        echoes: texts that are not the model's own (tool results in the history, or a `Foreign`): a call that the
            model merely copies out of them is not run.

    Raises:
        ToolmendError: a tool's schema is broken, or the choice names a tool that is not offered.
    """

    def __init__(
        self,
        tools: Iterable[Tool],
        *,
        tool_choice: ToolChoice = "auto",
        options: Options | None = None,
        echoes: Iterable[str] | Foreign = (),
    ) -> None:
        self.options = options or _DEFAULTS
        self.tools = specs_of(tools)
        self.tool_choice = tool_choice
        self.foreign = Foreign.of(echoes)
        self._mark = ""
        self._enforced = False
        self.callable = self._allowed()
        self.names = tuple([tool.name for tool in self.callable])

    @property
    def active(self) -> bool:
        """Whether calls may be recovered at all: there are tools, and the choice is not ``"none"``."""
        return bool(self.callable)

    @property
    def instructions(self) -> str:
        """The system text that offers the tools; empty when the turn is not active."""
        if not self.active:
            return ""
        text = offer(self.options.prompt, self.callable)
        if not self.forced:
            return text
        names = list(self.names)
        which = "at least one tool" if len(names) > 1 else f"the tool {names[0]!r}"
        form = f" This time write nothing but a JSON list of calls: {EXAMPLE}" if self._enforced else ""
        return f"{text}\n\nYou must call {which} now; do not answer without a call.{form}"

    @property
    def forced(self) -> bool:
        """Whether the reply has to be a call."""
        return self.active and self.tool_choice != "auto"

    def enforce(self, enforced: bool = True, *, parallel: bool = True) -> dict[str, Any]:
        """Ask for a list of calls that the server holds the reply to, rather than for the format of the prompt.

        Args:
            enforced: whether to ask for it; a server may turn out not to take a schema.
            parallel: whether there may be several calls.

        Returns:
            The JSON Schema to send along; empty if it is not asked for.
        """
        self._enforced = enforced
        return schema_of_calls(self.callable, parallel=parallel) if enforced else {}

    def render_calls(self, calls: Sequence[ToolCall]) -> str:
        """Calls of an earlier turn as the text the model would have written."""
        return self.options.prompt.render_calls(calls)

    def render_results(self, results: Sequence[ToolResult]) -> str:
        """Results of tools as user text, with the markers in them broken.

        A model that copies them writes them broken too, so that nothing opens; what is read from then on is mended.
        """
        names = self.names
        broken = [has_markers(result.content, names) for result in results] if self.active else ()
        if any(broken):
            self._mark = self.foreign.mark
            results = [replace(result, content=neutral(result.content, self._mark, names)) for result in results]
        return self.options.prompt.render_results(results)

    @property
    def mark(self) -> str:
        """The character that `render_results` has broken markers with; empty as long as there were none."""
        return self._mark

    def marks_with(self, mark: str) -> bool:
        """Go on with the mark of an earlier request, whose results are shown again; `False` if it will not do."""
        if mark and mark != self.foreign.mark:
            return False
        self._mark = self._mark or mark
        return True

    def mended(self, value: Any) -> Any:
        """What the model wrote, text or arguments, without what `render_results` has broken markers with."""
        return restored(value, self._mark) if self._mark else value

    def reader(self, *, stream_arguments: bool = False) -> Reader:
        """A reader for one reply that arrives in pieces.

        Args:
            stream_arguments: give out `ArgumentsDelta`s ahead of a call, while it is being written.
        """
        return Reader(self, stream_arguments=stream_arguments)

    def read(self, text: str, *, truncated: bool = False) -> list[str | ToolCall]:
        """Read a whole reply; the same as a `Reader` fed once.

        Args:
            text: the reply.
            truncated: the reply was cut by its length limit.

        Returns:
            Texts to show and calls to run, in order; neighbouring texts are joined. Without a call in it the list
            is the text as it was.
        """
        return self.reader().read(text, truncated=truncated)

    def parser(self, *, stream_arguments: bool = False) -> StreamParser:
        """The parser behind `reader`, for callers who want events."""
        dialects = self.options.dialects
        if self._enforced and get_dialect("json") not in dialects:
            dialects = (*dialects, get_dialect("json"))
        return StreamParser(self.callable, dialects=dialects, echoes=self.foreign, stream_arguments=stream_arguments)

    def _allowed(self) -> tuple[ToolSpec, ...]:
        choice = self.tool_choice
        if choice == "none":
            return ()
        if choice in ("auto", "required"):
            return self.tools
        if isinstance(choice, str):
            raise ToolmendError(
                f"tool_choice {choice!r} is not known; use 'auto', 'none', 'required' or a list of tool names"
            )
        offered = {tool.name: tool for tool in self.tools}
        for name in choice:
            if name not in offered:
                raise ToolmendError(f"tool_choice names {name!r}, but the tools offered are {sorted(offered)}")
        return tuple(tool for tool in self.tools if tool.name in choice)


class Reader:
    """Reads one reply as it arrives, for an adapter: texts to show, calls to run.

    White space around calls is dropped, because a part that holds nothing else ends a run early in some frameworks
    and no native model writes it. In a reply without calls every character stays. Reasoning tags that reach us
    inside the text stay in it: splitting them off is the framework's own business.

    Attributes:
        calls: all calls given out so far.
        events: all that the parser has told, but for deltas of arguments.
    """

    def __init__(self, turn: Turn, *, stream_arguments: bool = False) -> None:
        self._turn = turn
        self._parser = turn.parser(stream_arguments=stream_arguments)
        self._begun: dict[int, ArgumentsDelta] = {}  # calls being written, by their index
        self.calls: list[ToolCall] = []
        self.events: list[Event] = []
        self._space: list[str] = []
        self._after_call = False

    def feed(self, delta: str) -> list[Item]:
        """Take the next piece of the reply.

        Returns:
            Texts to show and calls to run, in order. Every call is complete and carries a fresh id. With
            ``stream_arguments`` the pieces of a call come before it; either the call follows or the word that it is
            broken, with nothing else in between.

        Raises:
            RuntimeError: the reader is closed.
        """
        return self._items(self._parser.feed(delta))

    def close(self, *, truncated: bool = False) -> list[Item]:
        """Take the end of the reply.

        Args:
            truncated: the reply was cut by its length limit, so an unfinished call must not run.

        Returns:
            What was still held back, as in `feed`.
        """
        items = self._items(self._parser.close(truncated=truncated))
        items.extend(self._space)
        self._space.clear()
        return items

    def read(self, text: str, *, truncated: bool = False) -> list[str | ToolCall]:
        """Take a whole reply; see `Turn.read`."""
        items: list[str | ToolCall] = []
        for item in [*self.feed(text), *self.close(truncated=truncated)]:
            if items and isinstance(item, str) and isinstance(items[-1], str):
                items[-1] += item
            elif not isinstance(item, ArgumentsDelta):
                items.append(item)
        return items

    @property
    def held(self) -> str:
        """What was fed but not yet shown: an adapter shows it when a stream is given up half way."""
        held = "".join(self._space) + self._parser.held
        return self._turn.mended(held.lstrip() if self._after_call else held)

    @property
    def found(self) -> bool:
        """Whether there were calls, or what was meant as one."""
        return bool(self.calls) or any(isinstance(event, ToolCallFailed) for event in self.events)

    @property
    def reply(self) -> Reply:
        """All that was read so far."""
        return Reply.of(self.events)

    def _items(self, events: Iterable[Event]) -> list[Item]:
        items: list[Item] = []
        for event in events:
            if isinstance(event, TextDelta):
                self._text(event.text, items)
            elif isinstance(event, ToolCallDelta):
                self._piece(event, items)  # not kept: the whole call follows
                continue
            elif isinstance(event, ReasoningDelta):
                self._text(event.raw, items)
            elif isinstance(event, ToolCallFailed):
                items.extend(replace(begun, arguments=None) for begun in self._begun.values())
                self._begun.clear()
                self._text(event.raw, items)
            elif isinstance(event, ToolCallParsed):  # pyright: ignore[reportUnnecessaryIsInstance] - kinds to come
                ids = [begun.id for _, begun in sorted(self._begun.items())] if self._begun else []
                ids += [_fresh_id() for _ in event.calls[len(ids) :]]
                calls = list(map(self._call, event.calls, ids))
                self.calls.extend(calls)
                items.extend(calls)
                self._begun.clear()
                self._space.clear()
                self._after_call = True
            self.events.append(event)
        return items

    def _piece(self, delta: ToolCallDelta, items: list[Item]) -> None:
        begun, written = self._begun.get(delta.index), self._turn.mended(delta.arguments)
        if begun is None or written:
            call_id = begun.id if begun else _fresh_id()
            self._begun[delta.index] = ArgumentsDelta(call_id, delta.name, written)
            items.append(self._begun[delta.index])

    def _call(self, call: ToolCall, call_id: str) -> ToolCall:
        return ToolCall(name=call.name, arguments=self._turn.mended(call.arguments), id=call_id, repairs=call.repairs)

    def _text(self, text: str, items: list[Item]) -> None:
        """Show text, but keep its trailing white space until it is known whether a call follows."""
        text = self._turn.mended(text)
        if self._after_call:
            text = text.lstrip()
        shown = text.rstrip()
        if shown:
            items.append("".join(self._space) + shown)
            self._space.clear()
            self._after_call = False
        if not self._after_call and len(shown) < len(text):
            self._space.append(text[len(shown) :])


def _fresh_id() -> str:
    return f"call_{os.urandom(12).hex()}"
