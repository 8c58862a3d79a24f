"""LangChain and LangGraph: a chat model around a chat model.

`FallbackToolChatModel` hands each request to the inner model's own `_generate` and `_stream`, never
to its `invoke`: that would open a second run, and every token would be counted twice. Nor does the
inner model see the run manager, since it would report raw text that may turn out to be a call.

What is asked is a `Request`: messages, arguments, and the turn made from the tools among them.
Replies go through `_langchain_reply` and `_langchain_chunks`. If the server cannot take tools, the
same request is asked again as plain text, which `_langchain_history` writes.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, closing
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

try:
    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.language_models import LanguageModelInput
    from langchain_core.language_models.chat_models import BaseChatModel
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.outputs import ChatGenerationChunk, ChatResult
    from langchain_core.runnables import Runnable, RunnableBinding
    from langchain_core.tools import BaseTool
    from pydantic import BaseModel, Field, InstanceOf
except ImportError as error:
    raise ImportError(
        'this adapter needs langchain-core; install it with: pip install "toolmend[langchain]"'
    ) from error

from toolmend._errors import ToolmendError
from toolmend._recovery import OnRecovery, Recovery, tell
from toolmend._refusal import Refusals, Refused
from toolmend._turn import Options, Reader
from toolmend.adapters._langchain_again import SecondTry
from toolmend.adapters._langchain_asking import Asking, Reading
from toolmend.adapters._langchain_request import CHOICE, Request, as_openai
from toolmend.adapters._langchain_wrapper import ChatModelWrapper, with_model
from toolmend.adapters._probe import aask_first, ask_first

if TYPE_CHECKING:
    from toolmend.adapters._langchain_middleware import FallbackToolMiddleware

__all__ = ["FallbackToolChatModel", "FallbackToolMiddleware"]

_Method = TypeVar("_Method", bound=Callable[..., Any])


def _signed(method: _Method) -> _Method:
    """Keep a method's signature: LangChain asks for that of these two with every request, and it is slow to make."""
    vars(method)["__signature__"] = inspect.signature(method)
    return method


class FallbackToolChatModel(ChatModelWrapper):
    """A chat model that calls tools whatever its server makes of them.

    Calls that the inner model writes as text come back in ``tool_calls`` (and in
    ``tool_call_chunks`` while it streams), as if the server had understood them. Use it wherever a
    chat model is wanted: alone, in a LangGraph node, in ``create_agent``.

    Args:
        inner: the chat model that talks to the server.
        mode: ``"auto"`` sends tools the native way and, when the server answers that it cannot take
            them, writes them into the prompt instead, from then on for this model. ``"native"``
            never prompts, ``"prompt"`` always does.
        options: which formats are read and written; see `Options`.
        stream_arguments: send the arguments of a call on while they are written, as ``tool_call_chunks``. The whole
            call is the same.
        preflight: ask the server about the model before the first request with tools, in mode ``"auto"``: whether the
            model gets to see tools at all, and whether replies can be held to a schema. It takes two seconds at most,
            and no answer is no harm.
        on_recovery: called with a `Recovery` for each reply in which calls were recovered, or were meant and could
            not be read.

    Raises:
        ToolmendError: what is to be wrapped is no chat model; or a bound tool has a broken schema, or the tool choice
            names none of the tools; raised before anything is sent. What the inner model raises passes unchanged.

    Example:
        ```python
        model = FallbackToolChatModel(ChatOllama(model="gemma2"))
        agent = create_agent(model, [get_weather])
        ```
    """

    mode: Literal["auto", "native", "prompt"] = "auto"
    options: InstanceOf[Options] | None = None
    stream_arguments: bool = False
    preflight: bool = False
    on_recovery: OnRecovery | None = Field(default=None, exclude=True)

    if TYPE_CHECKING:
        _refusals: Refusals  # no private attribute in pydantic's sense: to ask for one is slow

    def __init__(self, inner: BaseChatModel, **fields: Any) -> None:
        if isinstance(inner, FallbackToolChatModel):
            # Twice wrapped is wrapped once: what is not said anew, the first wrapper says.
            said = {name: getattr(inner, name) for name in inner.model_fields_set - {"profile"}}
            fields = {**said, **fields, "inner": inner.inner}
        elif not isinstance(cast("object", inner), BaseChatModel):
            raise ToolmendError(
                f"inner is a {type(inner).__name__}, but what can be wrapped is a chat model itself; bind_tools, "
                "with_retry, with_fallbacks and the like go around the wrapper"
            )
        else:
            fields = {**fields, "inner": inner}
        super().__init__(**fields)
        self._refusals = inner._refusals if isinstance(inner, FallbackToolChatModel) else Refusals()

    # ---- binding

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: Any = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools to the model.

        Args:
            tools: functions, `BaseTool`s, pydantic classes or tool dicts, as every chat model takes
                them. Tools that the provider runs itself are passed on.
            tool_choice: ``"auto"``, ``"none"``, ``"any"`` or ``"required"``, the name of a tool, or
                a provider's dict. It holds for calls written as text even if the inner model
                ignores it.
            **kwargs: further arguments for the inner model's `bind_tools`.

        Returns:
            The model with the tools bound.

        Raises:
            ToolmendError: a tool's schema is broken, or the choice names none of the tools.
        """
        chosen = {} if tool_choice is None else {"tool_choice": tool_choice}
        binding: object = None
        if not self._only_prompts:
            try:
                binding = self.inner.bind_tools(tools, **chosen, **kwargs)
            except NotImplementedError:
                self._unbindable = True
        if isinstance(binding, RunnableBinding):
            bound = dict(cast("RunnableBinding[Any, Any]", binding).kwargs)
        else:
            bound = {"tools": [as_openai(tool) for tool in tools], **kwargs}
        if chosen and "tool_choice" not in bound:
            bound[CHOICE] = tool_choice
        Request.of([], bound, self.options)  # tells of broken tools here rather than when asked
        return self.bind(**bound)

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """Make the model answer in a schema.

        The methods ``json_schema`` and ``json_mode`` need no tools. What the inner model makes of them
        is sent by this one, since there may be calls in the history. ``function_calling``, and whatever
        is asked of a model that knows no other method, goes through `bind_tools`.

        Args:
            schema: a pydantic class, a `TypedDict`, a JSON Schema or a tool dict.
            include_raw: whether to return the message and the parsing error too.
            **kwargs: ``method``, ``strict`` and what else the inner model takes.

        Returns:
            A runnable that answers with an object of the schema.
        """
        own = type(self.inner).with_structured_output
        parameter = inspect.signature(own).parameters.get("method")
        method = kwargs.get("method", parameter.default if parameter else None)
        knows_methods = own is not BaseChatModel.with_structured_output
        if knows_methods and method in ("json_schema", "json_mode") and not _is_pydantic_1(schema):
            chain = self.inner.with_structured_output(schema, include_raw=include_raw, **kwargs)
            return with_model(chain, self, instead_of=self.inner)
        return super().with_structured_output(schema, include_raw=include_raw, **kwargs)

    # ---- requests

    @cached_property
    def _unbindable(self) -> bool:
        """Whether the inner model has refused to bind tools; that shows only when it is asked to."""
        return False

    @property
    def _only_prompts(self) -> bool:
        """Whether tools never go the native way; a model without `bind_tools` has no such way."""
        if self.mode != "auto":
            return self.mode == "prompt"
        return self._unbindable or type(self.inner).bind_tools is BaseChatModel.bind_tools

    def _is_refused(self, request: Request, asked: tuple[str, str], enforce: str) -> bool:
        """Whether it is known that the server does not take this request natively."""
        refusals = self._refusals
        if asked in refusals:
            return True
        choices: set[Refused] = {request.choice, "choice"} if enforce else {request.choice}
        return request.turn.forced and any(refusals.has(*asked, choice) for choice in choices)

    @property
    def _schema_argument(self) -> str:
        """The argument that holds a reply to a schema; none if there is no such."""
        if self.inner._llm_type == "chat-ollama":
            return "format"
        return "extra_body" if "extra_body" in type(self.inner).model_fields else ""

    def _to_ask_first(self, arguments: dict[str, Any]) -> tuple[Refusals, str, str] | None:
        if not (self.preflight and self.mode == "auto" and arguments.get("tools")):
            return None
        return self._refusals, *self._asked(arguments)

    def _asking(self, messages: list[BaseMessage], stop: list[str] | None, arguments: dict[str, Any]) -> Asking:
        asked, refusals = self._asked(arguments), self._refusals
        request = Request.of(messages, arguments, self.options)
        enforce = self._schema_argument if request.turn.forced and not refusals.has(*asked, "schema") else ""
        flat = refusals.has(*asked, "system")
        if self._only_prompts or (self.mode == "auto" and self._is_refused(request, asked, enforce)):
            request = request.as_text(keep_builtin=self.mode == "prompt", enforce=enforce, flat=flat)
        told = partial(self._told, asked)
        second = SecondTry(
            request,
            may=self.mode == "auto",
            remember=partial(self._remember, asked),
            tell=partial(told, "prompt"),
            enforce=enforce,
            flat=flat,
        )
        reading = Reading(told, blocks=self.output_version == "v1", stream_arguments=self.stream_arguments)
        return Asking(self.inner, request, second, reading, stop=stop)

    def _remember(self, asked: tuple[str, str], why: str, what: Refused = "tools") -> None:
        self._refusals.add(*asked, what)
        if what == "tools":
            self._refusals.tell(*asked, why)

    def _told(self, asked: tuple[str, str], mode: Literal["native", "prompt"], reader: Reader) -> dict[str, Any]:
        """Tell what was done for a reply, and what is to stand in its metadata."""
        if mode == "native" and not reader.found:
            return {}
        server, model = asked
        recovery = Recovery.of([reader], model=model, server=server, mode=mode)
        details = tell(recovery, self.on_recovery)
        return {"toolmend": details} if details else {}

    def _asked(self, arguments: dict[str, Any]) -> tuple[str, str]:
        """The server and the model that are asked: a request may name another one than the inner model does."""
        return self.server, str(arguments.get("model") or self.model_name)

    # ---- replies

    @_signed
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        if question := self._to_ask_first(kwargs):
            ask_first(*question)
        return self._asking(messages, stop, kwargs).result()

    @_signed
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        if question := self._to_ask_first(kwargs):
            await aask_first(*question)
        return await self._asking(messages, stop, kwargs).aresult()

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        if question := self._to_ask_first(kwargs):
            ask_first(*question)
        with closing(self._asking(messages, stop, kwargs).chunks()) as chunks:
            for chunk in chunks:
                if run_manager:  # given only where the base class does not report chunks itself
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        if question := self._to_ask_first(kwargs):
            await aask_first(*question)
        async with aclosing(self._asking(messages, stop, kwargs).achunks()) as chunks:
            async for chunk in chunks:
                if run_manager:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    # ---- what the model says about itself

    @property
    def _identifying_params(self) -> dict[str, Any]:
        params: dict[str, Any] = {"model": self.model_name, "server": self.server, "mode": self.mode}
        if self.options is not None:
            params["dialects"] = [dialect.name for dialect in self.options.dialects]
            params["prompt_dialect"] = self.options.prompt_dialect
        return params

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        return [*super().__repr_args__(), ("mode", self.mode)]

    def _resolve_model_profile(self) -> Any:
        profile = super()._resolve_model_profile()
        # Agents would ask for an enforced answer format, in which no call can be written as text.
        return {**profile, "structured_output": False} if self._only_prompts else profile


def _is_pydantic_1(schema: dict[str, Any] | type) -> bool:
    """Whether this is a class of pydantic 1, for which integrations turn from schemas to native calls."""
    return isinstance(schema, type) and BaseModel not in schema.__mro__ and hasattr(schema, "__fields__")


def __getattr__(name: str) -> Any:
    # The middleware needs langchain, which the model does without.
    if name == "FallbackToolMiddleware":
        from toolmend.adapters._langchain_middleware import FallbackToolMiddleware  # noqa: PLC0415 - see above

        return FallbackToolMiddleware
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
