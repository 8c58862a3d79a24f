"""What was done for one PydanticAI reply: told once it is over, and noted in the response.

It stands under ``toolmend`` in the provider details, beside what the provider says.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from pydantic_ai.exceptions import ModelRetry
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models import ModelRequestParameters

from toolmend._recovery import OnRecovery, Recovery, current_span, tell
from toolmend._turn import Reader, Turn
from toolmend.adapters._complaint import complaint_about
from toolmend.adapters._pydantic_ai_request import offered_tools

__all__ = ["Report", "check_calls"]

Mode = Literal["native", "prompt"]


class Report:
    """Of one reply.

    Args:
        server: its address and the name of the model.
        mode: how the tools go out first.
        on_recovery: see `tell`.
    """

    def __init__(self, server: tuple[str, str], mode: Mode, on_recovery: OnRecovery | None) -> None:
        self._server = server
        self._mode: Mode = mode
        self._on_recovery = on_recovery
        self._span = current_span()  # at the end of a stream it may be another
        self._readers: list[Reader] = []
        self._details: dict[str, Any] | None = None

    def reader(self, turn: Turn, *, stream_arguments: bool = False) -> Reader:
        """A reader of which it will tell."""
        self._readers.append(turn.reader(stream_arguments=stream_arguments))
        return self._readers[-1]

    def begin_again(self) -> None:
        """The request is asked once more, as text: the first reply does not count."""
        self._mode = "prompt"
        self._readers.clear()

    def close(self) -> None:
        """The reply is over: tell, if that has not happened yet."""
        if self._details is None:
            if self._mode == "native" and not any(reader.found for reader in self._readers):
                self._details = {}
                return
            server, model = self._server
            recovery = Recovery.of(self._readers, model=model, server=server, mode=self._mode)
            self._details = recovery.details
            tell(recovery, self._on_recovery, span=self._span)

    def noted_in(self, response: ModelResponse) -> ModelResponse:
        """The response with what was done; the same object if it is not over or nothing was done."""
        if not self._details:
            return response
        return replace(response, provider_details={**(response.provider_details or {}), "toolmend": self._details})

    def told(self, response: ModelResponse, turn: Turn) -> ModelResponse:
        """Tell of a whole response, already searched, and note it there."""
        if not turn.active or response.state == "suspended":
            return response
        self.close()
        return self.noted_in(response)


def check_calls(response: ModelResponse, params: ModelRequestParameters) -> None:
    """Look for a call that was written and cannot run, in a response without any that does.

    Raises:
        ModelRetry: there is one; the framework then tells the model what is wrong.
    """
    if response.state != "complete" or any(isinstance(part, ToolCallPart) for part in response.parts):
        return
    text = "\n".join(part.content for part in response.parts if isinstance(part, TextPart))
    failures = (response.provider_details or {}).get("toolmend", {}).get("failures", [])
    complaint = complaint_about(text, failures, [tool.name for tool in offered_tools(params)])
    if complaint:
        raise ModelRetry(complaint)
