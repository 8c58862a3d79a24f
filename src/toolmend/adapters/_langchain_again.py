"""A LangChain request that is asked once more, as text: the server refuses tools, or has swallowed a call.

`SecondTry` only decides; whether the model is called or awaited is its owner's business. A stream is judged when it
ends: until then the chunks that end it are held back, since two ends would be added up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import add_usage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from toolmend._flat import refuses_system
from toolmend._refusal import refuses_choice
from toolmend._swallowed import comes_to_nothing, swallowed
from toolmend.adapters._langchain_content import content_of
from toolmend.adapters._langchain_history import mentions_tools
from toolmend.adapters._langchain_reply import FINISH, Tell, says_why_it_ended, searched
from toolmend.adapters._langchain_request import Request, refuses, words_of

__all__ = ["SecondTry"]


class SecondTry:
    """What becomes of one request after the first try.

    Args:
        first: the request as it is asked first.
        may: whether it may be asked as text.
        remember: takes down why this server is to be asked as text from now on, or else what it refuses.
        tell: called with the reader of a second reply when it is through.
        flat: see `Request.as_text`.
        enforce: the same; a reply that must be a call and is none is then asked for again.

    Attributes:
        quoted: the reply with its text as it was, if an error holds it and there is a call in it.
    """

    def __init__(
        self,
        first: Request,
        *,
        may: bool,
        remember: Callable[..., None],
        tell: Tell,
        enforce: str = "",
        flat: bool = False,
    ) -> None:
        self.quoted: ChatResult | None = None
        self._first = first
        self._may = may and first.has_tools
        self._remember = remember
        self._tell = tell
        self._enforce = enforce
        self._flat = flat
        self._lasting = self._missing = False
        self._asked = False
        self._seen = _Seen()
        self._ending: list[ChatGenerationChunk] = []

    @property
    def request(self) -> Request:
        """The request as text."""
        self._asked = True
        seen, self._seen = self._seen, _Seen()
        self._seen.id = seen.id
        return self._first.as_text(enforce=self._enforce, flat=self._flat)

    def adapted(self, request: Request, error: Exception) -> Request | None:
        """The request as text without what the server objects to, if it is that which it objects to."""
        found = request.adapted(error, self._enforce)
        if found is None:
            return None
        self._remember("is particular", found[1])
        self._flat = self._flat or found[0].flat
        return found[0]

    @property
    def written(self) -> bool:
        """Whether the second reply answers a request as text."""
        return self.quoted is None or self._first.written

    def solves(self, error: Exception) -> bool:
        """Whether an error is no reason to give up: the request is asked again, or the error quotes the reply."""
        may = self._may and not self._asked
        if may and not self._seen.anything and refuses(error):
            self._remember(f"cannot take tools ({words_of(error)})")
            if refuses(error, partial(refuses_system, surely=True)):
                self._flat = True
                self._remember("takes no system message", "system")
            return True
        if may and self._first.turn.forced and refuses(error, refuses_choice):
            self._remember("refuses this choice", self._first.choice)
            return True
        lost = swallowed(error) if self._first.turn.active else None
        if lost is None or (self._seen.anything and not lost.in_words):
            return False
        if not lost.lasting and not mentions_tools(self._first.messages):
            return False  # it is about a call in the history, but there is none
        self._lasting = lost.lasting
        said = ChatResult(generations=[ChatGeneration(message=AIMessage(lost.text))])
        if lost.text and _message_of(searched(said, self._first.turn)).tool_calls:
            self.quoted = said
        return may or self.quoted is not None

    def is_lost(self, result: ChatResult) -> bool:
        """Whether a call was lost on the way to this reply, already searched, so that it is asked for again."""
        if not (self._may and result.generations and self._first.turn.active):
            return False
        message = _message_of(result)
        if message.tool_calls:
            return False
        self._seen.take(message, result.generations[0].generation_info)
        return self._is_lost(ended=True)

    def settled(self, first: ChatResult | None, second: ChatResult) -> ChatResult:
        """The second reply, searched, with what the first one has cost."""
        result = searched(second, self._first.turn, self._tell)
        if not result.generations:
            return result
        message, info = _message_of(result), result.generations[0].generation_info
        self._helped(called=bool(message.tool_calls))
        if first is None:
            return result
        usage = add_usage(_message_of(first).usage_metadata, message.usage_metadata)
        message = message.model_copy(update={"usage_metadata": usage})
        return ChatResult(
            generations=[ChatGeneration(message=message, generation_info=info)], llm_output=result.llm_output
        )

    # ---- streams

    def passing(self, chunk: ChatGenerationChunk) -> Iterator[ChatGenerationChunk]:
        """Take the next chunk, already searched, and let it pass unless it belongs to the end of a first reply."""
        message, info = chunk.message, chunk.generation_info
        self._seen.take(message, info)
        if self._asked:
            if self._seen.id and message.id != self._seen.id:  # a reply has one id
                chunk = chunk.model_copy(update={"message": message.model_copy(update={"id": self._seen.id})})
            yield chunk
        elif self._ending or says_why_it_ended(info, message.response_metadata):
            self._ending.append(chunk)
        else:
            yield chunk

    def ended(self) -> Iterator[ChatGenerationChunk]:
        """The stream is over: give out its end; of a reply that is asked for again only what it has cost.

        LangChain adds the ends of a stream up, reasons and all.
        """
        ending, self._ending = self._ending, []
        if not self.asks_again:
            yield from ending
            return
        for chunk in ending:
            usage = getattr(chunk.message, "usage_metadata", None)
            if usage:
                yield ChatGenerationChunk(message=AIMessageChunk(content="", id=chunk.message.id, usage_metadata=usage))

    @property
    def asks_again(self) -> bool:
        """Whether a stream that is over has lost a call, so that it is asked for again."""
        if self._asked or not (self._may and self._first.turn.active):
            return False
        return self._is_lost(ended=self._seen.reason is not None)

    def _is_lost(self, *, ended: bool) -> bool:
        if self._seen.called:
            return False
        if self._seen.holds_nothing(ended=ended):
            self._lasting = True
        elif self._enforce and self._seen.reason != "content_filter":
            self._missing = True  # there had to be a call
        return self._lasting or self._missing

    def over(self) -> None:
        """The stream that counts is over."""
        if self._asked:
            self._helped(called=self._seen.called)

    def _helped(self, *, called: bool) -> None:
        if called and self._lasting:
            self._remember("loses calls")
        elif called and self._missing:
            self._remember("ignores a choice that is forced", "choice")


class _Seen:
    """What was seen of a reply: whether it holds anything, why it ended, what it has cost."""

    id: str | None = None
    reason: str | None = None
    called = anything = _reasons = False
    _tokens = 0

    def take(self, message: BaseMessage, info: dict[str, Any] | None) -> None:
        """Take a message, or the next piece of it."""
        self.id = self.id or message.id
        if isinstance(message, AIMessage):
            chunks = message.tool_call_chunks if isinstance(message, AIMessageChunk) else []
            self.called = self.called or bool(message.tool_calls or message.invalid_tool_calls or chunks)
            self._tokens += (message.usage_metadata or {}).get("output_tokens", 0)
        self.anything = self.anything or self.called or bool(message.text.strip())
        self._reasons = self._reasons or bool(message.additional_kwargs.get("reasoning_content"))
        content = content_of(message)
        if not isinstance(content, str):
            kinds = {part.get("type") for part in content if isinstance(part, dict)}
            self._reasons = self._reasons or bool(kinds - {"text", None})
        for data in filter(None, (info, message.response_metadata)):
            self.reason = next((data[key] for key in FINISH if data.get(key)), self.reason)

    def holds_nothing(self, *, ended: bool) -> bool:
        """Whether the reply ended as if it had held a call."""
        text = "text" if self.anything else ""
        return not self.called and comes_to_nothing(
            self.reason, text, reasons=self._reasons, tokens=self._tokens, ended=ended
        )


def _message_of(result: ChatResult) -> AIMessage:
    message = result.generations[0].message
    return message if isinstance(message, AIMessage) else AIMessage("")
