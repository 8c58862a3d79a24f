"""Chat templates to serve the tiny model with.

The weights stay the same; the template decides what a server does with tools, because llama.cpp and
mlx-lm both work out from its text how calls are written. A template that never mentions tools is
how most servers come to drop them without a word.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

PLAIN: Final = """\
{%- for message in messages -%}
    {{- '<|im_start|>' ~ message.role ~ '\\n' ~ (message.content or '') ~ '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""
"""Prints every message and knows nothing of tools."""

STRICT: Final = """\
{%- for message in messages -%}
    {%- if message.role not in ('system', 'user', 'assistant') -%}
        {{- raise_exception('Only user, assistant and system roles are supported!') -}}
    {%- endif -%}
    {{- '<|im_start|>' ~ message.role ~ '\\n' ~ (message.content or '') ~ '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""
"""Refuses the role `tool`, as templates of Gemma and the first Mistral models do."""

TURNS: Final = """\
{%- if messages[0].role == 'system' -%}
    {{- raise_exception('System role not supported') -}}
{%- endif -%}
{%- for message in messages -%}
    {%- if (message.role == 'user') != (loop.index0 % 2 == 0) -%}
        {{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') -}}
    {%- endif -%}
    {{- '<|im_start|>' ~ message.role ~ '\\n' ~ (message.content or '') ~ '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""
"""Knows users and assistants alone, strictly in turn, as the first templates of Gemma and Mistral do."""

_FRAME = """\
{%- set ns = namespace(system='You are a helpful assistant.') -%}
{%- if messages and messages[0].role == 'system' -%}
    {%- set ns.system = messages[0].content -%}
{%- endif -%}
{{- '<|im_start|>system\\n' ~ ns.system -}}
{%- if tools -%}
@tools@
{%- endif -%}
{{- '<|im_end|>\\n' -}}
{%- for message in messages -%}
    {%- if message.role == 'tool' -%}
        {%- if loop.first or messages[loop.index0 - 1].role != 'tool' -%}
            {{- '<|im_start|>user' -}}
        {%- endif -%}
        {{- '\\n<tool_response>\\n' ~ message.content ~ '\\n</tool_response>' -}}
        {%- if loop.last or messages[loop.index0 + 1].role != 'tool' -%}
            {{- '<|im_end|>\\n' -}}
        {%- endif -%}
    {%- elif message.role == 'assistant' and message.tool_calls -%}
        {{- '<|im_start|>assistant' -}}
        {%- if message.content -%}
            {{- '\\n' ~ message.content -}}
        {%- endif -%}
        {%- for call in message.tool_calls -%}
            {%- set tool_call = call.function if call.function else call -%}
@call@
        {%- endfor -%}
        {{- '<|im_end|>\\n' -}}
    {%- elif message.role != 'system' or not loop.first -%}
        {{- '<|im_start|>' ~ message.role ~ '\\n' ~ (message.content or '') ~ '<|im_end|>\\n' -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""


def _shows_tools(tools: str, call: str) -> str:
    """A template that shows tools, from how it lists them and how it writes `tool_call`."""
    return _FRAME.replace("@tools@\n", tools).replace("@call@\n", call)


HERMES: Final = _shows_tools(
    tools="""\
    {{- '\\n\\n# Tools\\n\\nThese functions may be called. Their signatures:\\n<tools>' -}}
    {%- for tool in tools -%}
        {{- '\\n' ~ (tool | tojson) -}}
    {%- endfor -%}
    {{- '\\n</tools>\\n\\nTo call one, write its name and arguments as JSON between tags:\\n' -}}
    {{- '<tool_call>\\n{"name": "the name", "arguments": {}}\\n</tool_call>' -}}
""",
    call="""\
            {{- '\\n<tool_call>\\n{"name": "' ~ tool_call.name ~ '", "arguments": ' -}}
            {{- (tool_call.arguments | tojson) ~ '}\\n</tool_call>' -}}
""",
)
"""Shows the tools and writes calls as JSON between `<tool_call>` tags, as Hermes and Qwen2.5 do."""

CODER: Final = _shows_tools(
    tools="""\
    {{- '\\n\\n# Tools\\n\\nThese functions may be called:\\n\\n<tools>' -}}
    {%- for tool in tools -%}
        {%- set function = tool.function if tool.function else tool -%}
        {{- '\\n<function>\\n<name>' ~ function.name ~ '</name>' -}}
        {{- '\\n<description>' ~ (function.description or '') ~ '</description>' -}}
        {{- '\\n<parameters>' ~ (function.parameters | tojson) ~ '</parameters>\\n</function>' -}}
    {%- endfor -%}
    {{- '\\n</tools>\\n\\nTo call one, write:\\n\\n' -}}
    {{- '<tool_call>\\n<function=the_name>\\n<parameter=its_parameter>\\nvalue\\n' -}}
    {{- '</parameter>\\n</function>\\n</tool_call>' -}}
""",
    call="""\
            {{- '\\n<tool_call>\\n<function=' ~ tool_call.name ~ '>\\n' -}}
            {%- for name, value in tool_call.arguments | items -%}
                {%- set text = value if value is string else value | tojson -%}
                {{- '<parameter=' ~ name ~ '>\\n' ~ text ~ '\\n</parameter>\\n' -}}
            {%- endfor -%}
            {{- '</function>\\n</tool_call>' -}}
""",
)
"""Shows the tools and writes calls as tagged parameters, as Qwen3-Coder does."""

TEMPLATES: Final[Mapping[str, str]] = MappingProxyType(
    {"plain": PLAIN, "strict": STRICT, "turns": TURNS, "hermes": HERMES, "coder": CODER}
)
"""The templates by name."""
