"""Formats that write the name of the tool, then keys and values in turn, each in tags of its own.

Where a key has lost its opening tag it stands at the name; it is taken off if name and key are then declared. A call
whose arguments may have got lost with their tags does not run.
"""

from __future__ import annotations

from dataclasses import replace

from toolmend._dialect import Region
from toolmend._element_tags import Tags
from toolmend._elements import FoundCall
from toolmend._toolbox import NotACall, Toolbox, Written
from toolmend.parsers._element_dialect import ElementDialect
from toolmend.parsers._element_forms import SPACE

__all__ = ["BLANK", "KeyValues"]

_BLANK = r"(?:[ \t\r\n]|\\n)"  # some write line feeds as two characters
BLANK = f"{_BLANK}{{0,64}}"
"""What may stand between two tags."""


class KeyValues(ElementDialect):
    """Name, keys and values."""

    complete = True

    @staticmethod
    def tags_with(prefix: str = "", suffix: str = "") -> Tags:
        """The tags.

        Args:
            prefix: regular expression of what stands before the names of all of them.
            suffix: regular expression of what stands behind.
        """
        call, key, value = (f"{prefix}{name}{suffix}" for name in ("tool_call", "arg_key", "arg_value"))
        return Tags(
            call=rf"(?:<{call}>{BLANK}){{1,2}}(?P<name>[\w.-]{{1,128}}){SPACE}(?=[<{{\\])",
            end=f"</{call}>",
            value=rf"<{key}>{SPACE}(?P<key>[^<>\n]{{1,200}}?){SPACE}</{key}>",
            stop=f"</{value}>",
            opens=f"<{value}>",
            key_end=f"</{key}>",
            tail="</assistant>",
            blank=_BLANK,
            clear=True,
        )

    def read(self, call: FoundCall, region: Region) -> Written:
        """One call; its first key is taken off its name if it stands there."""
        if call.values and not call.values[0].key:
            call = _parted(call, region.tools)
        return super().read(call, region)


def _parted(call: FoundCall, tools: Toolbox) -> FoundCall:
    """A call whose name ends with the key of its first argument."""
    found: list[tuple[str, str]] = []
    for at in range(1, len(call.name)):
        name, key = call.name[:at], call.name[at:]
        tool = tools.get(name)
        if tool and tool.name == name and key in tool.properties:
            found.append((name, key))
    if len(found) != 1:
        raise NotACall(f"the tag between name and key is lost in {call.name}")
    [(name, key)] = found
    values = [replace(call.values[0], key=key), *call.values[1:]]
    return replace(call, name=name, values=values, repairs=[*call.repairs, f"{key}: added a missing opening tag"])
