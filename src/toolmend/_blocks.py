"""How a region of a reply opens and how its end is found, while the text arrives in pieces.

A `Block` names an opener: a regular expression for the marker and the first characters of the body, so that a marker
in prose opens nothing and an opener shared by several formats is settled at once. The engine searches all openers as
one expression, with partial matches, which tell what could still become an opener.

Once a block is open, its `Body` reads the region, opener included, and every character once. It says where the
region ends or raises `NotHere`. It carries a few characters from one piece to the next, never the region itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, cast

__all__ = ["LEFTOVER", "LINE", "Block", "Body", "NotHere"]

LINE = r"(?<![^\n])[ \t]{0,32}"
"""The start of a line, indentation included. Only `\\n` starts one: `^` would also match where a buffer begins."""

LEFTOVER = (
    r"<\|im_(?:end|start)\|>|<\|(?:start|end)_header_id\|>|<\|endoftext\|>|<\|eot_id\|>|<\|eom_id\|>|<\|end\|>|<\|eom\|>|<\|eot\|>|"
    r"<\|return\|>|<\|call\|>|<end_of_turn>|<turn\|>|</s>|<｜end▁of▁sentence｜>|<\|end_of_text\|>|<\|assistant_end\|>|"
    r"<\|END_(?:OF_TURN_TOKEN|RESPONSE|TEXT)\|>|<\|end_message\|>|<seed:[be]os>|<\|content_model_end_sampling\|>"
)
"""Chat tokens that servers leave at the end of a reply."""


class NotHere(Exception):
    """The region is not what its opener promised.

    Attributes:
        text: how many of its characters are surely text; the rest is searched again.
    """

    def __init__(self, text: int = 1) -> None:
        super().__init__(text)
        self.text = text


class Body(Protocol):
    """Finds the end of one region. Offsets count from the region's start, the opener included.

    Attributes:
        whole: after `close`, whether the region holds all that was meant even if the reply was cut by its length.
        value: a JSON value of the region that had to be read to find its end: its text and what that means.
    """

    whole: bool

    @property
    def value(self) -> tuple[str, object] | None:
        """See above."""
        ...

    def feed(self, text: str) -> int | None:
        """Take the next piece; return the offset of the region's end once it is known.

        Raises:
            NotHere: this is no such region.
        """
        ...

    def close(self) -> int:
        """The reply is over; return the offset of the region's end.

        Raises:
            NotHere: this is no such region.
        """
        ...


@dataclass(frozen=True, slots=True)
class Block:
    """How regions of one kind open.

    Attributes:
        opener: regular expression of the marker and the first characters behind it. Every repetition in it is
            bounded, for it is searched anew with each piece of text.
        body: makes the `Body` of a region from the opener as found and the text before it (up to 256 characters);
            may raise `NotHere`.
        kind: ``"marked"``, the opener means a call wherever it stands; ``"plain"``, the opener also occurs in
            ordinary text, so that anything around it counts; ``"fence"``, a code fence, whose text is code if it
            holds no call; ``"markup"``, no call at all but what the format puts around text, to be taken away;
            ``"bar"``, no call either but what shows that those behind it are not made.
        json: the region's body is JSON call objects, so that their arguments can be shown while they are written.
    """

    opener: str
    body: Callable[[str, str], Body]
    kind: Literal["marked", "plain", "fence", "markup", "bar"] = "marked"
    json: bool = False

    @classmethod
    def markup(cls, opener: str) -> Block:
        """What the format puts around text."""
        return cls(opener, cast("Callable[[str, str], Body]", None), "markup")  # it is taken away, not read

    @classmethod
    def bar(cls, opener: str) -> Block:
        """What shows that calls without a marker behind it are not made in this format.

        Those of the tool whose name it ends with, or all of them.
        """
        return cls(opener, cast("Callable[[str, str], Body]", None), "bar")  # it stays text
