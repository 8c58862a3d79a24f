"""LangChain agents: the wrapper as middleware, and a second chance for calls that cannot be read.

The middleware stands around each request of the model. It puts the wrapper in the model's place, and what the wrapper
notes on a reply tells it whether a call was written that cannot run. Such a reply would end the agent's loop, and so
would a native call with broken arguments: the model is told what is wrong and asked again. The history keeps only the
last of these replies.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

try:
    from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
    from langchain.agents.structured_output import ToolStrategy
except ImportError as error:
    raise ImportError("the middleware needs langchain; install it with: pip install langchain") from error
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage

from toolmend._errors import ToolmendError
from toolmend._turn import Turn
from toolmend.adapters._complaint import complaint_about
from toolmend.adapters._langchain_request import as_openai
from toolmend.adapters.langchain import FallbackToolChatModel

__all__ = ["FallbackToolMiddleware"]

_MODELS = 8  # wrappers that are kept: an agent has few models


class FallbackToolMiddleware(AgentMiddleware[Any, Any, Any]):
    """Makes the model of an agent call tools whatever its server makes of them.

    Every request goes to a `FallbackToolChatModel` around the agent's model, and around the model that another
    middleware has chosen, if this one stands behind it in the list.

    Args:
        reask: how often at most the model is asked again within one step when it wrote a call that cannot be read, or
            that names no tool, and no other call. 0 leaves such a reply as the text that it is.
        **fields: what the wrapper is to know: ``mode``, ``options`` and so on.

    Raises:
        ToolmendError: `reask` is negative.

    Example:
        ```python
        agent = create_agent("ollama:gemma2", [get_weather], middleware=[FallbackToolMiddleware(reask=1)])
        ```
    """

    def __init__(self, *, reask: int = 0, **fields: Any) -> None:
        super().__init__()
        if reask < 0:
            raise ToolmendError(f"reask is {reask}; it says how often to ask again, so it is 0 or more")
        self.reask = reask
        self._fields = fields
        self._wrappers: tuple[FallbackToolChatModel, ...] = ()

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Ask the wrapped model, and again where its call cannot run."""
        request = request.override(model=self._wrapped(request.model))
        response = handler(request)
        for _ in range(self.reask):
            again = _asked_again(request, response)
            if again is None:
                break
            request, response = again, handler(again)
        return response

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        """Ask the wrapped model, and again where its call cannot run."""
        request = request.override(model=self._wrapped(request.model))
        response = await handler(request)
        for _ in range(self.reask):
            again = _asked_again(request, response)
            if again is None:
                break
            request, response = again, await handler(again)
        return response

    def _wrapped(self, model: BaseChatModel) -> FallbackToolChatModel:
        """The wrapper of this model, the same each time: it remembers what the server refused."""
        if isinstance(model, FallbackToolChatModel):
            return model
        known = next((wrapper for wrapper in self._wrappers if wrapper.inner is model), None)
        if known is None:
            known = FallbackToolChatModel(model, **self._fields)
            self._wrappers = (*self._wrappers[1 - _MODELS :], known)
        return known


def _asked_again(request: ModelRequest[Any], response: ModelResponse[Any]) -> ModelRequest[Any] | None:
    """The request with the reply and what is wrong with it, if that is a call that cannot run."""
    reply = response.result[-1] if response.result else None
    if not isinstance(reply, AIMessage) or reply.tool_calls:
        return None
    offered = _offered(request)
    failures = [f"the arguments of {call['name']!r} are not whole JSON" for call in reply.invalid_tool_calls]
    failures = failures or reply.response_metadata.get("toolmend", {}).get("failures") or []
    complaint = complaint_about(reply.text, failures, offered)
    if not complaint:
        return None
    answers: list[AnyMessage] = [
        ToolMessage(complaint, name=call["name"] or "unknown", tool_call_id=call["id"] or "", status="error")
        for call in reply.invalid_tool_calls
    ]
    return request.override(messages=[*request.messages, reply, *(answers or [HumanMessage(complaint)])])


def _offered(request: ModelRequest[Any]) -> list[str]:
    """The names of the tools in a request, those that take the answer among them."""
    turn = Turn(tool for tool in map(as_openai, request.tools) if "function" in tool)
    wanted = request.response_format
    answers = wanted.schema_specs if isinstance(wanted, ToolStrategy) else ()
    return [*(tool.name for tool in turn.tools), *(answer.name for answer in answers)]
