"""How formats whose calls are elements are written, and their tags in all the ways in which models write them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from toolmend._element_deltas import Framing
from toolmend._element_tags import Tags

__all__ = ["SPACE", "Form", "closing", "function_tags", "invoke_tags", "quoted"]

SPACE = r"[ \t\r\n]{0,64}"
"""What may stand between two tags."""

_IS = r"[ \t]{1,4}name[ \t]{0,4}="
_OTHERS = r"(?:[ \t]{1,4}[a-z_]{1,32}=[\"'][^\"'<>\n]{0,64}[\"']){0,2}[ \t]{0,4}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How a format is written.

    Attributes:
        call: what opens a call, with ``{name}``, perhaps ``{number}``.
        value: an argument, with ``{key}`` and ``{value}``, perhaps ``{type}``.
        end: what closes a call, perhaps with ``{name}``.
        wrapper: what opens a group of calls.
        unwrap: what closes it.
        together: all calls stand in one group.
        framing: which line feeds around a value do not belong to it: one on each side (``"sides"``), one on both
            sides or none (``"pair"``), none. Only those of ``"sides"`` are written, as part of `value`.
    """

    call: str
    value: str
    end: str
    wrapper: str = ""
    unwrap: str = ""
    together: bool = False
    framing: Framing = "none"

    def write(self, name: str, number: int, values: Iterable[tuple[str, str, str]]) -> str:
        """A call, without what is around it.

        Args:
            name: the name.
            number: which of the calls it is, from 1.
            values: key, text and type of each argument.
        """
        parts = [self.call.format(name=name, number=number)]
        for key, text, kind in values:
            framed = f"\n{text}\n" if self.framing == "pair" and self.unframed(text) != text else text
            parts.append(self.value.format(key=key, value=framed, type=kind))
        return "".join((*parts, self.end.format(name=name)))

    def unframed(self, text: str) -> str:
        """A value without the line feeds that are not its own."""
        if self.framing == "none" or (self.framing == "pair" and not (len(text) > 1 and text[0] == text[-1] == "\n")):
            return text
        return text.removeprefix("\n").removesuffix("\n")


def quoted(group: str, debris: str = "") -> str:
    """The value of an attribute with its blanks, in quotes or not.

    Args:
        group: the group of the value.
        debris: regular expression of what may end the value and does not belong to it.
    """
    return rf"[ \t]{{0,4}}[\"']?(?P<{group}>[^<>\"'\n]{{1,200}}?){debris}[\"']?[ \t]{{0,4}}"


def closing(name: str) -> str:
    """A closing tag; models put blanks into it."""
    return rf"</[ \t]{{0,2}}{name}[ \t]{{0,2}}>"


def function_tags(wrapper: str) -> Tags:
    """``<function=name>`` and ``<parameter=key>``, or name and key as attributes.

    Args:
        wrapper: regular expression of the name of the tag around them.
    """
    also = r"(?:[_=:][\w.:-]{1,128})?"  # a name that has no place in a closing tag
    return Tags(
        wrapper=f"<{wrapper}>",
        unwrap=closing(wrapper),
        call=rf"(?:<?function(?:{_IS}|[ \t]{{0,4}}=)|<invoke{_IS}){quoted('name')}>",
        end=closing(f"(?:functions?{also}|invoke)"),
        value=rf"<parameter(?:{_IS}|[ \t]{{0,4}}=){quoted('key')}>",
        stop=closing(f"parameter{also}"),
    )


def invoke_tags(wrapper: str, prefix: str = "", debris: str = "", *, clear: bool = False) -> Tags:
    """``<invoke name="…">`` and ``<parameter name="…">``.

    Args:
        wrapper: regular expression of the name of the tag around them.
        prefix: regular expression of what stands before the names of all tags.
        debris: see `quoted`, for the name.
        clear: see `Tags`.
    """
    return Tags(
        wrapper=f"<{prefix}{wrapper}>",
        unwrap=closing(f"{prefix}{wrapper}"),
        call=rf"<{prefix}invoke{_IS}{quoted('name', debris)}{_OTHERS}>",
        end=closing(f"{prefix}invoke"),
        value=rf"<{prefix}parameter{_IS}{quoted('key')}{_OTHERS}>",
        stop=closing(f"{prefix}parameter"),
        clear=clear,
    )
