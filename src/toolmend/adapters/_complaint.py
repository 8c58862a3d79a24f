"""What to tell a model whose call cannot run, where it is to be asked again.

Only a reply without any call that runs is asked for again. What was copied out of a tool's answer is left alone: nobody
wants that call. A fence that names no tool of ours is no call to the parser, since examples look like that; here it is
taken for one if the reply ends with it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from toolmend._turn import Turn
from toolmend._types import ToolCall, ToolSpec

__all__ = ["complaint_about"]

_NAME = re.compile(r"""["'](?:name|tool|tool_name|function|action)["']\s*:\s*["']([\w.:/-]{1,64})["']""")


def complaint_about(text: str, failures: Iterable[str], offered: Collection[str]) -> str:
    """What is wrong with the call in a reply; empty if there is nothing to complain of.

    Args:
        text: of the reply.
        failures: why what was meant as a call in it is none.
        offered: the names of the tools.
    """
    wrong = [failure for failure in failures if not failure.startswith("copied from")] or _names_no_tool(text, offered)
    if not (wrong and offered):
        return ""
    return (
        f"Your tool call could not be run: {'; '.join(wrong)}. Nothing was done. "
        f"Write the call again, correctly and whole. The tools are: {', '.join(offered)}."
    )


def _names_no_tool(text: str, offered: Collection[str]) -> list[str]:
    """What to say of a reply that ends with a call of something that is no tool."""
    names = dict.fromkeys(_NAME.findall(text)).keys() - set(offered)
    if not names:
        return []
    items = Turn(ToolSpec(name=name) for name in sorted(names)).read(text)
    last = items[-1] if items else ""
    return [f"no tool {last.name!r} is offered"] if isinstance(last, ToolCall) else []
