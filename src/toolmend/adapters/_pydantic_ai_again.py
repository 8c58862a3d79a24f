"""A PydanticAI request that is asked once more, as text: the server refuses tools, or has swallowed a call.

`SecondTry` only decides, for whole responses and for streams alike. It takes a server's memory down only once asking
again has helped: after a refusal when there is a response at all, after a lost call when there is a call in it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast

from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError, UnexpectedModelBehavior
from pydantic_ai.messages import (
    ModelResponse,
    ModelResponsePart,
    ModelResponseStreamEvent,
    TextPart,
    ThinkingPart,
    ToolCallPart,
)
from pydantic_ai.models import ModelRequestParameters, StreamedResponse

from toolmend._flat import refuses_system
from toolmend._forced import refuses_schema
from toolmend._refusal import message_of, refuses_choice, refuses_tools
from toolmend._swallowed import comes_to_nothing, swallowed
from toolmend.adapters._pydantic_ai_history import mentions_tools
from toolmend.adapters._pydantic_ai_reply import recovered
from toolmend.adapters._pydantic_ai_request import Outgoing

__all__ = ["FAILURES", "SecondTry"]

FAILURES = (ModelAPIError, UnexpectedModelBehavior, ExceptionGroup)
"""What a model raises when its server refuses tools, or fails over a call."""


@dataclass
class SaidStream(StreamedResponse):
    """A stream that says a text at once.

    Args:
        model_request_parameters: what the framework asked for.
        said: the response with the text.
    """

    said: ModelResponse

    async def _get_event_iterator(self) -> AsyncIterator[ModelResponseStreamEvent]:
        self.finish_reason = self.said.finish_reason
        for part in cast("list[TextPart]", self.said.parts):
            for event in self._parts_manager.handle_text_delta(vendor_part_id=0, content=part.content):
                yield event

    @property
    def model_name(self) -> str:
        """The name in the response."""
        return self.said.model_name or ""

    @property
    def provider_name(self) -> str | None:
        """Unknown: there was an error in place of a response."""
        return None

    @property
    def provider_url(self) -> str | None:
        """Unknown, too."""
        return None

    @property
    def timestamp(self) -> datetime:
        """When the error came."""
        return self.said.timestamp


class SecondTry:
    """What becomes of one request after the first try.

    Args:
        outgoing: the request.
        may: whether it may be asked as text, and was not.
        remember: takes down why this server is to be asked as text from now on (the rest of a sentence that
            begins with the model), or else what it refuses.

    Attributes:
        quoted: the response with its text as it was, if the error holds it and there is a call in it.
        asked: whether the request was asked again.
    """

    def __init__(self, outgoing: Outgoing, *, may: bool, remember: Callable[..., None]) -> None:
        self.quoted: ModelResponse | None = None
        self.asked = False
        self._outgoing = outgoing
        self._turn = outgoing.turn
        self._may = may and outgoing.rewritable
        self._remember = remember
        self._refused = self._choice = False
        self._lasting = self._missing = False
        self._why = ""

    @property
    def allowed(self) -> bool:
        """Whether a lost call may be asked for again."""
        return self._may and self._turn.active and not self.asked

    def quoted_stream(self, params: ModelRequestParameters) -> StreamedResponse | None:
        """`quoted` as a stream that says it at once."""
        return SaidStream(params, self.quoted) if self.quoted else None

    def solves(self, error: Exception, *, shown: bool = False) -> bool:
        """Whether an error is no reason to give up: the request is asked again, or the error quotes the response.

        Args:
            error: what the wrapped model raised.
            shown: whether part of the reply has gone out already.
        """
        refusals = list(_refusals_in(error))
        self._why = f"cannot take tools ({_message_of(error)})"
        if any(refusals) and not shown:
            self._refused = all(refusals)
            if isinstance(error, ModelHTTPError) and refuses_system(error.status_code, error.body, surely=True):
                self._takes_no_system()
            return self._may and not self.asked
        if self._turn.forced and isinstance(error, ModelHTTPError) and refuses_choice(error.status_code, error.body):
            self._choice = True
            return self._may and not self.asked
        lost = swallowed(error) if self._turn.active else None
        if lost is None or (shown and not lost.in_words):
            return False
        if not lost.lasting and not mentions_tools(self._outgoing.native[0]):
            return False  # it is about a call in the history, but there is none
        self._lasting = lost.lasting
        self._why = f"has a server that fails over calls ({_message_of(error)})"
        if lost.text:
            name = getattr(error, "model_name", None)
            said = ModelResponse(parts=[TextPart(lost.text)], model_name=name, finish_reason="stop")
            if _calls_in(recovered(said, self._turn).parts):
                self.quoted = said
                return True
        return self._may and not self.asked

    def is_lost(self, response: ModelResponse, *, ended: bool = True) -> bool:
        """Whether a call was lost on the way to this response, already searched, so that it is asked for again.

        Args:
            response: as far as it is there.
            ended: whether the server has said that this is all.
        """
        if not self.allowed or response.state == "suspended" or _calls_in(response.parts):
            return False
        if _holds_nothing(response, ended=ended):
            self._lasting, self._why = True, "has a server that loses calls"
        elif self._outgoing.enforces and response.finish_reason not in ("content_filter", "error"):
            self._missing = True  # there had to be a call
        return self._lasting or self._missing

    def adapts(self, error: ModelHTTPError) -> bool:
        """Whether the request as text is asked again without what the server objects to."""
        outgoing, said = self._outgoing, (error.status_code, error.body)
        if outgoing.enforces and refuses_schema(*said):
            outgoing.enforces = False
            self._remember("takes no schema", "schema")
        elif not outgoing.flat and outgoing.rewritable and refuses_system(*said):
            self._takes_no_system()
        else:
            return False
        return True

    def _takes_no_system(self) -> None:
        self._outgoing.flat = True
        self._remember("takes no system message", "system")

    def settled(self, first: ModelResponse | None, response: ModelResponse) -> ModelResponse:
        """The second response, searched, with what the first one has cost."""
        self.helped(called=_calls_in(response.parts))
        return replace(response, usage=first.usage + response.usage) if first else response

    def helped(self, *, called: bool) -> None:
        """There is a second response."""
        # Not if only some candidates of a `FallbackModel` refused tools: those that were down may take them.
        if self._refused or (called and self._lasting):
            self._remember(self._why)
        elif self._choice:
            self._remember("refuses this choice", self._outgoing.choice)
        elif called and self._missing:
            self._remember("ignores a choice that is forced", "choice")


def _holds_nothing(response: ModelResponse, *, ended: bool) -> bool:
    """Whether a response, already searched, ended as if it had held a call."""
    parts = response.parts
    if any(not isinstance(part, (TextPart, ThinkingPart)) for part in parts):
        return False
    text = "".join(part.content for part in parts if isinstance(part, TextPart))
    reasons = any(isinstance(part, ThinkingPart) for part in parts)
    tokens = response.usage.output_tokens
    return comes_to_nothing(response.finish_reason, text, reasons=reasons, tokens=tokens, ended=ended)


def _calls_in(parts: Iterable[ModelResponsePart]) -> bool:
    return any(isinstance(part, ToolCallPart) for part in parts)


def _refusals_in(error: Exception) -> list[bool]:
    """For each error, of several if they come as a group: whether a server refuses tools."""
    if isinstance(error, ExceptionGroup):
        group = cast("ExceptionGroup[Exception]", error)
        return [refused for inner in group.exceptions for refused in _refusals_in(inner)]
    return [isinstance(error, ModelHTTPError) and refuses_tools(error.status_code, error.body)]


def _message_of(error: BaseException) -> str:
    """What the server said, the first one if there are several."""
    if isinstance(error, BaseExceptionGroup):
        return _message_of(cast("BaseExceptionGroup[BaseException]", error).exceptions[0])
    return message_of(error.body) if isinstance(error, ModelHTTPError) else str(error)
