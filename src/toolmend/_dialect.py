"""What a text format must say about itself: how its regions open, what they mean, and how it is written.

A format is one class in one file of `parsers/`. It reads and it writes, and the corpus holds both to each other. The
defaults here serve every format that has no wording of its own for results and for the offer of tools.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from toolmend._blocks import Block
from toolmend._deltas import JsonDeltas
from toolmend._element_deltas import ElementDeltas
from toolmend._frozen import frozen, thawed
from toolmend._toolbox import NotACall, Toolbox, Written
from toolmend._types import ToolCall, ToolResult, ToolSpec

__all__ = ["Dialect", "Region", "offer"]


@dataclass(slots=True)
class Region:
    """A stretch of the reply that a block has cut out.

    Attributes:
        text: all of it, opener included.
        lead: up to 256 characters before it.
        tools: the tools that may be called.
        value: see `Body.value`.
    """

    text: str
    lead: str
    tools: Toolbox
    value: tuple[str, object] | None = None


class Dialect:
    """A format in which models write calls.

    Attributes:
        name: vLLM's ``--tool-call-parser`` name where there is one.
        aliases: what vLLM, SGLang and Ollama call it besides, with ``_`` for ``-``.
        models: patterns (``fnmatch``, lower case) of the model names that write it by themselves.
        sample: a call as the model writes it.
    """

    name: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    models: ClassVar[tuple[str, ...]] = ()
    sample: ClassVar[str]

    def blocks(self, tools: Toolbox) -> Sequence[Block]:
        """How regions open, in order of precedence; `tools` holds at least one tool."""
        raise NotImplementedError

    def parse(self, region: Region) -> Sequence[Written | NotACall]:
        """Read the calls of a region, and why others in it cannot be read.

        Raises:
            ValueError: there is none; the message is the reason.
        """
        raise NotImplementedError

    def deltas(self, block: Block, opener: str, tools: Toolbox) -> JsonDeltas | ElementDeltas | None:
        """What follows the arguments of a region while it is written; `None` if they cannot be shown before its end.

        Args:
            block: the block that opened.
            opener: the opener as found.
            tools: the tools that may be called.
        """
        return JsonDeltas(tools) if block.json else None

    def render_calls(self, calls: Sequence[ToolCall]) -> str:
        """Write calls as a model would.

        Raises:
            RenderError: the format cannot express a value.
        """
        raise NotImplementedError

    def render_results(self, results: Sequence[ToolResult]) -> str:
        """Write results for the model to read, as one user message; a result cannot forge another one."""
        rendered: list[str] = []
        for result in results:
            content = result.content.replace("</tool_result", "<\\/tool_result")
            error = " error" if result.is_error else ""
            rendered.append(f'<tool_result name="{result.name}"{error}>\n{content}\n</tool_result>')
        return "\n".join(rendered)

    def render_tools(self, tools: Sequence[ToolSpec]) -> str:
        """Offer tools in the system text and say how to call them, in this format."""
        offers = "\n".join(json.dumps(tool.to_openai()["function"], ensure_ascii=False) for tool in tools)
        example = self.render_calls([ToolCall(name="tool_name", arguments={"argument": "value"})])
        return (
            "You can call tools. These are the tools, each with the JSON Schema of its parameters:\n\n"
            f"{offers}\n\n"
            "To call a tool, write the call in exactly this form, with the tool's own name and arguments:\n\n"
            f"{example}\n\n"
            "For several calls write several of them, one after another. After a call, stop: the result comes in "
            "the next message. When no tool is needed, or the results suffice, answer in plain text."
        )


def offer(dialect: Dialect, tools: Sequence[ToolSpec]) -> str:
    """The tools in the words of a dialect; the same ones come with every request."""
    held = frozen([(tool.name, tool.description, tool.parameters) for tool in tools])
    return dialect.render_tools(tools) if held is None else _known_offer(dialect, held)


@lru_cache(maxsize=64)
def _known_offer(dialect: Dialect, tools: bytes) -> str:
    fields = ("name", "description", "parameters")
    return dialect.render_tools([ToolSpec(**dict(zip(fields, tool, strict=True))) for tool in thawed(tools)])
