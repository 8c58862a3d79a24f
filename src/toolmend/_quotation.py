"""Where text is quoted or thought rather than said: code fences, reasoning, examples.

Fences and reasoning are regions with a closer. Inside them only formats with an unmistakable marker are looked at,
and what is found is kept in suspense: when the region closes, it was a quotation; when the reply ends inside the
region, the model had left it without saying so, and the call was real.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from toolmend._blocks import LINE
from toolmend._events import Event, ReasoningDelta, TextDelta

__all__ = ["CODE", "REASONING", "Quotation", "is_quoted"]

_INFO = r"[^\n`<\[{(]{0,120}"  # no character that another opener begins or ends with: it would match before the fence
CODE = rf"{LINE}(?:`{{3,8}}|~{{3,8}}){_INFO}\n(?=\s{{0,64}}\S|\s{{65}})"
"""Opens a code fence. It waits for the first character inside: the fence for calls goes before it, and does so too."""

REASONING = r"<think(?:ing)?>|\[THINK\]|<reasoning>"
"""Opens reasoning."""

_CLOSERS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "[THINK]": r"\[/THINK\]",
    "<reasoning>": "</reasoning>",
}
_EXAMPLE = re.compile(
    r"\b(?:examples?|e\.g|for\sinstance|would\slook|looks?\slike|such\sas|hypothetical|not\scall|don['’]t\scall)\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?]\s")


@dataclass(slots=True)
class Quotation:
    """An open region.

    Attributes:
        kind: ``"code"`` or ``"reasoning"``.
        closer: regular expression of its end.
        suspense: events since the first call found inside; `None` before that.
    """

    kind: str
    closer: str
    suspense: list[Event] | None = field(default=None)

    @classmethod
    def opened_by(cls, opener: str) -> Quotation:
        """The region that an opener begins."""
        if opener in _CLOSERS:
            return cls("reasoning", _CLOSERS[opener])
        fence = opener.lstrip(" \t")
        width = len(fence) - len(fence.lstrip(fence[0]))
        return cls("code", rf"{LINE}{fence[0]}{{{width},16}}[ \t]{{0,16}}(?=\n)")

    def delta(self, raw: str, *, tag: bool = False) -> Event:
        """Text inside the region, or one of its tags."""
        return ReasoningDelta("" if tag else raw, raw) if self.kind == "reasoning" else TextDelta(raw, raw)

    def settle(self, *, quoted: bool) -> list[Event]:
        """The events held in suspense: as plain content if they were quoted, else as they are."""
        events, self.suspense = self.suspense or [], None
        if not quoted or not events:
            return events
        return [self.delta("".join(event.raw for event in events))]


def is_quoted(lead: str) -> bool:
    """Whether what follows is quoted or shown as an example.

    Args:
        lead: the text right before it.
    """
    line = lead[lead.rfind("\n") + 1 :]
    if line.count("`") % 2 or line.lstrip().startswith(">") or line.endswith(('"', "'", "“", "‘")):
        return True
    said = lead.rstrip()
    said = said[said.rfind("\n") + 1 :]
    sentences = _SENTENCE_END.split(said)
    return _EXAMPLE.search(sentences[-1]) is not None
