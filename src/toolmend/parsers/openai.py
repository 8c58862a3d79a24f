"""Harmony: messages with a header that names a channel and a recipient, then JSON; gpt-oss.

The recipient stands behind the channel or before it, where others write the role. Calls go to the channel
``commentary``, sometimes to ``analysis``; what has no recipient is reasoning (``analysis``) or text, whose header is
taken away. Where a server has dropped the tokens, the words of the header are left, for declared names.
Source: OpenAI's harmony response format and the chat template of openai/gpt-oss-20b.
"""

from __future__ import annotations

from collections.abc import Sequence

from toolmend._blocks import LINE, Block
from toolmend._toolbox import Toolbox
from toolmend._types import ToolCall
from toolmend.parsers._named_json import ALONE, Form, NamedJson

__all__ = ["OpenAI"]

_CHANNEL = r"<\|channel\|>\s{0,4}(?:analysis|commentary|final)"
_TYPE = r"\s{0,4}<\|constrain\|>\s{0,4}\w{1,16}"
_ITEM = rf"(?:\s{{0,4}}{_CHANNEL}|{_TYPE}|\s{{1,4}}(?:json|code))"
_TO = r"to\s?=\s?(?!(?:self|user)<)(?:functions\.)?"  # those two are no tools but Muse's channels
_ROLE = r"<\|start\|>\s{0,4}assistant"
_STRIPPED = r"(?:commentary|analysis)?"
_MESSAGE = (
    rf"(?:{_ROLE}\s{{0,4}})?<\|channel\|>(?<!to\s?=[^<]{{1,140}}<\|channel\|>)\s{{0,4}}(?:final|commentary)"
    rf"(?:{_TYPE})?\s{{0,4}}<\|message\|>"
)
_FINAL = r"(?<![\s\S])assistantfinal"


class OpenAI(NamedJson):
    """``<|channel|>commentary to=functions.name <|constrain|>json<|message|>{…}<|call|>``."""

    name = "openai"
    aliases = ("gpt_oss", "harmony")
    models = ("*gpt-oss*",)
    sample = (
        "<|channel|>commentary to=functions.find_book <|constrain|>json<|message|>"
        '{"title": "Dune", "max_hits": 3}<|call|>'
    )
    forms = (
        Form(
            rf"(?:{_ROLE}{_ITEM}{{0,3}}|{_CHANNEL}{_ITEM}{{0,2}})\s{{0,4}}{_TO}",
            rf"{_ITEM}{{0,4}}\s{{0,4}}(?:<\|message\|>)?\s{{0,64}}",
        ),
        Form(rf"{LINE}{_TO}", rf"{_ITEM}{{0,4}}\s{{0,4}}<\|message\|>\s{{0,64}}"),
        Form(
            rf"(?:{LINE}|assistant){_STRIPPED}\s{{0,2}}to=(?:functions\.)?",
            rf"\s{{0,4}}{_STRIPPED}(?:\s{{1,4}}(?:json|code))?\s{{0,4}}",
            ahead=ALONE,
            names="declared",
            kind="plain",
        ),
    )
    closers = r"<\|call\|>|<\|end\|>|<\|return\|>"
    again = r"<\|start\|>"
    around = ("", "<|start|>assistant", "")

    def blocks(self, tools: Toolbox) -> Sequence[Block]:
        """The calls, and the headers of messages to the user."""
        return [*super().blocks(tools), Block.markup(rf"{_MESSAGE}|{_ROLE}\s{{0,4}}<\|message\|>|{_FINAL}")]

    def render_call(self, call: ToolCall, number: int) -> str:
        """One message; its role stands in the prompt or behind the message before."""
        header = f"<|channel|>commentary to=functions.{call.name} <|constrain|>json<|message|>"
        return f"{header}{self.render_arguments(call)}<|call|>"
