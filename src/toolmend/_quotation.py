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

__all__ = ["CODE", "REASONING", "Quotation", "is_quoted", "is_shown", "is_step", "last_sentence"]

_INFO = r"[^\n`<\[{(]{0,120}"  # no character that another opener begins or ends with: it would match before the fence
CODE = rf"{LINE}(?:`{{3,8}}|~{{3,8}}){_INFO}\n"
"""Opens a code fence, whether it holds calls or code."""

# harmony's, unless the header names a recipient: that is a call
_MESSAGE = r"(?:<\|start\|>\s{0,4}assistant\s{0,4})?<\|channel\|>(?<!to\s?=[^<]{1,140}<\|channel\|>)\s{0,4}"
_STRIPPED = r"(?<![\s\S])analysis(?=[A-Z\"“])"  # harmony's without its tokens: the reply begins with the channel's name
REASONING = (
    r"<think(?:ing)?>|\[THINK\]|<reasoning>|<seed:think>|<mm:think>|<\|START_THINKING\|>|<\|channel>thought|"
    r"(?:<\|start\|>assistant[ ]?)?to=self<\|message\|>|<\|open\|>think<\|sep\|>|"
    rf"{_MESSAGE}analysis\s{{0,4}}<\|message\|>|{_STRIPPED}"
)
"""Opens reasoning."""

_CLOSERS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "[THINK]": r"\[/THINK\]",
    "<reasoning>": "</reasoning>",
    "<seed:think>": "</seed:think>",
    "<mm:think>": "</mm:think>",
    "<|START_THINKING|>": r"<\|END_THINKING\|>",
    "<|channel>thought": r"<channel\|>",
    "to=self<|message|>": r"<\|eom\|>|<\|eot\|>|(?=<\|start\|>)",
    "<|open|>think<|sep|>": r"<\|close\|>think<\|sep\|>",
    "<|message|>": r"<\|end\|>|<\|return\|>|(?=<\|(?:start|channel)\|>)",
    "analysis": r"assistant(?:final|commentary(?=\S))|(?=assistant(?:commentary|analysis)?\s{0,2}to=)",
}
"""How reasoning ends, by the end of what opened it."""

# What is said right before a call tells whether it is shown or made. A sentence that ends with "here is an example" or
# "it looks like this" shows; others do so only if they lead up to the call, unfinished; a mere mention of examples or
# formats counts only where the sentence does not tell what the model is about to do; and so does advice to the reader,
# but for formats without a marker of their own: nobody is advised to write markup.
_SHOWS = re.compile(
    r"\b(?:(?:here|this|that|these|below|following)(?:['’]s| is| are)?(?: \w+){0,4} (?:examples?|samples?)"
    r"(?: of[^.!?]{0,60}\b(?:calls?|tools?|usage|formats?|functions?))?"
    r"|looks? like (?:this|so|that|the following)|examples? (?:\w+ )?(?:follows?|below))[*_]*[.!:,]?\Z",
    re.IGNORECASE,
)
_NOT_INSTEAD = r"(?![^\n]*(?:[,;]|\b(?:so|but|without|unless|until|yet|by|myself|directly)\b))"
_LEADS = re.compile(
    r"(?:例如|比如|譬如|例えば|たとえば|예를 들어)|"
    r"\b(?:for (?:example|instance)|e\.g|hypothetical(?:ly)?"
    r"|zum beispiel|beispielsweise|par exemple|por ejemplo|por exemplo|ad esempio|например|bijvoorbeeld|na przykład"
    r"|(?:show|give|tell|explain|demonstrate|illustrate|provide)\b[^.!?]{0,60}\b"
    r"(?:examples?|sample calls?|how (?!many|much|long|old|far|often|big))"
    r"|(?:would|could|might|may) (?:\w+ )?(?:look|be|read)"
    r"|(?:(?:do|would|will|should|must) (?:not|never)|(?:do|would|wo|should|must)n['’]t|never) (?:\w+ly |ever )?"
    r"(?:call|run|use|invoke|execute|send|write)"
    # what is refused, unless the sentence goes on to what is done instead
    rf"|(?:(?:(?:do|would|will|should|must) (?:not|never)|(?:do|would|wo|should|must)n['’]t|never|not|refuse|decline)"
    rf" (?:to |be |\w+ly |ever ){{0,3}}(?:do(?:ne)?|ma[dk]e|perform(?:ed)?|called|used|executed|run|sen[dt]|written)"
    rf"|\A[\s*_>-]*(?:please )?avoid|(?:confirm|approve|agree|permission)\b[^.!?]{{0,40}} before I){_NOT_INSTEAD})\b",
    re.IGNORECASE,
)
_MENTIONS = re.compile(
    r"\b(?:examples?|such as|looks? like|format|syntax|samples?(?= calls?| code|[\s:*_]*+\Z)|templates?|usage|signature"
    r"|placeholders?|available (?:functions?|tools?)(?=[\s:,*_]*+\Z)"
    r"|(?:it|models?|assistant|user|page|files?|text|document|transcript|e?mail|message|results?|output|response)"
    r" (?:\w+ ){0,4}(?:wrote|writes|said|says|contain(?:s|ed)|quote[sd])(?=[\s:,*_]*+\Z)"
    r"|(?:earlier|previously|yesterday|last time)\b[^.!?]{0,40}\b(?:called|ran|used|executed|sent|made|wrote)"
    r"|you (?:\w+ )?(?:called|ran|executed|sent|invoked)(?=[\s:,*_]*+\Z)"
    r"|(?:dangerous|harmful|malicious|forbidden|wrong|incorrect|bad) (?:\w+ )?(?:calls?|requests?|commands?)"
    r"|(?:logs?|transcript|trace) (?:\w+ )?(?:shows?|says?|contains?|reads?))\b",
    re.IGNORECASE,
)
_ADVISES = re.compile(r"\b(?:(?:you|one|we) (?:can|could|may|might|would|should)|used? (?:it )?like)\b", re.IGNORECASE)
_ACTS = re.compile(
    r"\b(?:I['’](?:ll|m)|I (?:will|am|need to|must|now)|let (?:me|us)|let['’]s|now"
    r"|here(?:['’]s| is| are) the (?:function|tool) calls?(?! (?:format|syntax|template|signature)))\b",
    re.IGNORECASE,
)
# which call answers the question at hand is said in the conditional, too
_ANSWERS = re.compile(
    r"\bthe (?:\w+ ){0,3}(?:function|tool) calls?\b[^.!?]{0,160}\b(?:would|should) (?:be|look like(?: this)?)[\s:*_]*+"
    r"\Z",
    re.IGNORECASE,
)
_AT_HAND = re.compile(
    r"\b(?:based on|given|for|answer|to) (?:the|your|this) (?:\w+ )?(?:questions?|request|query)\b|\bin this case\b",
    re.IGNORECASE,
)
_STEP = re.compile(
    r"(?:(?:\*\*)?(?:step )?\d{1,2}[.):]|(?:then|next|second|third|finally|lastly)(?:ly)?\b"
    r"|for the (?:second|third|fourth|next|other|last)\b)[^\n]*:[*_]*\Z",
    re.IGNORECASE,
)
_LINE_END = r"(?=\n)"
_CLOSING = "*_)\"'”’"  # what may stand between the end of a sentence and the space behind it
_STOP = rf"[.!?。！？](?<!\be\.g[.!?])(?<!\bi\.e[.!?])[{_CLOSING}]*"
_SENTENCE_END = re.compile(rf"{_STOP}(?:\s+|(?<=[。！？]))", re.IGNORECASE)
_FINISHED = re.compile(rf"{_STOP}\Z", re.IGNORECASE)
# a tag and perhaps a name, a fence, a bracket or a label: an example has parts, and one introduction may have several
_AFTER_ANOTHER = re.compile(
    r"(?:<[^<>\n]{1,80}>[\w.-]{0,64}|`{3}\w{0,16}|~~~|[\[\]{}],?|(?i:^[ \t*]*action[ \t*]*:)|^\s*[\w.-]+\(.*\))\Z"
)


# ends reasoning that began in the prompt: what was shown in it was not said
_THOUGHT = ("</think>", "</thinking>", "</reasoning>", "</seed:think>", "</mm:think>", "[/THINK]", "<|END_THINKING|>")
_BEFORE_QUOTED = ('"', "'", "“", "‘", "<!--", "<!-- ")


@dataclass(slots=True)
class Quotation:
    """An open region.

    Attributes:
        kind: ``"code"`` or ``"reasoning"``.
        closer: regular expression of its end.
        shown: what it holds was introduced as an example.
        suspense: events since the first call found inside; `None` before that.
    """

    kind: str
    closer: str
    shown: bool = False
    suspense: list[Event] | None = field(default=None)

    @classmethod
    def opened_by(cls, opener: str) -> Quotation:
        """The region that an opener begins."""
        for end, closer in _CLOSERS.items():
            if opener.endswith(end):
                return cls("reasoning", closer)
        fence = opener.lstrip(" \t")
        width = len(fence) - len(fence.lstrip(fence[0]))
        return cls("code", rf"{LINE}{fence[0]}{{{width},16}}[ \t]{{0,16}}{_LINE_END}")

    def delta(self, raw: str, *, tag: bool = False) -> Event:
        """Text inside the region, or one of its tags."""
        return ReasoningDelta("" if tag else raw, raw) if self.kind == "reasoning" else TextDelta(raw, raw)

    def closed_by(self, text: str, at: int) -> re.Match[str] | None:
        """The closer that the end of the reply completes: nothing may follow the end of a fence on its line."""
        return re.compile(self.closer.replace(_LINE_END, r"\Z")).search(text, at) if self.kind == "code" else None

    def settle(self, *, quoted: bool) -> list[Event]:
        """The events held in suspense: as plain content if they were quoted, else as they are."""
        events, self.suspense = self.suspense or [], None
        if not (quoted or self.shown) or not events:
            return events
        return [self.delta("".join(event.raw for event in events))]


def is_quoted(lead: str) -> bool:
    """Whether what follows stands in inline code, in quotation marks, in a block quote or in a comment.

    Args:
        lead: the text right before it.
    """
    line = lead[lead.rfind("\n") + 1 :]
    return line != "" and (line.count("`") % 2 == 1 or line.lstrip().startswith(">") or line.endswith(_BEFORE_QUOTED))


def is_shown(lead: str, before: bool, *, marked: bool) -> bool:
    """Whether what follows is shown as an example rather than said.

    Args:
        lead: the text right before it.
        before: whether what came before it was shown: one introduction may have several examples.
        marked: what follows begins with a marker that means a call.
    """
    said = lead.rstrip()
    if not said or said.endswith(_THOUGHT):
        return False
    line = said[said.rfind("\n") + 1 :]
    if before and _AFTER_ANOTHER.search(line):
        return True
    folded = line.casefold()
    may_show = "ample" in folded or " like " in folded  # to search costs more than all the rest
    finished = _FINISHED.match(line, len(line.rstrip(_CLOSING)) - 1)
    if finished and not may_show:
        return False
    above = said[: -len(line) - 1].rstrip()
    if not marked and above.endswith(":") and not lead.endswith("\n") and is_shown(above, False, marked=False):
        return True  # within a line of its own, below the one that introduces it
    sentence = last_sentence(line)
    if "call" in folded and _ANSWERS.search(sentence) and _AT_HAND.search(said):
        return False
    if may_show and _SHOWS.search(sentence):
        return True
    if finished:
        return False
    mentions = _MENTIONS.search(sentence) or (_ADVISES.search(sentence) and not marked)
    return bool(_LEADS.search(sentence) or (mentions and not _ACTS.search(sentence)))


def is_step(lead: str) -> bool:
    """Whether the line before what follows announces it as one step of several.

    Args:
        lead: the text right before it.
    """
    said = lead.rstrip().rstrip("`").rstrip()
    return _STEP.match(said[said.rfind("\n") + 1 :].lstrip()) is not None


def last_sentence(text: str) -> str:
    """The last sentence of the last line."""
    return _SENTENCE_END.split(text[text.rfind("\n") + 1 :])[-1]
