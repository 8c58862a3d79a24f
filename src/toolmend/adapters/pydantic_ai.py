"""PydanticAI: a model around any other that recovers the tool calls written as text.

A request without tools passes through untouched. With tools it is sent as it came, and calls that
come back in the text are taken out of it (`_pydantic_ai_reply`). Where the server cannot take tools
at all, the request goes out as text instead (`_pydantic_ai_request`), at once if that is known
before, else after the server has said so; the refusal comes before the first event, so a stream
is asked for again just like a whole response.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

try:
    from pydantic_ai.capabilities import AbstractCapability
except ModuleNotFoundError as error:
    if error.name not in ("pydantic_ai", "pydantic_ai.capabilities"):
        raise
    raise ImportError(
        'this adapter needs pydantic-ai 2 or newer; install it with: pip install "toolmend[pydantic-ai]"'
    ) from error

from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import KnownModelName, Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.profiles import ModelProfile, merge_profile
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import RunContext
from pydantic_ai.usage import RequestUsage

from toolmend._errors import ToolmendError
from toolmend._recovery import OnRecovery, Recovery
from toolmend._refusal import Refusals, Refused
from toolmend._turn import Options
from toolmend.adapters._probe import aask_first
from toolmend.adapters._pydantic_ai_again import SecondTry
from toolmend.adapters._pydantic_ai_asking import Asking
from toolmend.adapters._pydantic_ai_reply import recovered
from toolmend.adapters._pydantic_ai_report import Report, check_calls
from toolmend.adapters._pydantic_ai_request import Outgoing, RequestArguments

try:
    from pydantic_ai._unsupported_settings import suppress_warnings as _quietly
except ImportError:  # not in the first versions, which did not warn either
    _quietly = nullcontext

if TYPE_CHECKING:
    from pydantic_ai.models.batch import BatchRequest, BatchResult, EncodedBatchRequest

__all__ = ["FallbackToolModel", "FallbackTools", "Mode", "Recovery", "Refusals"]

Mode = Literal["auto", "native", "prompt"]
"""Whether tools go out beside the request, in its text, or as text only where they must."""


@dataclass(init=False)
class FallbackToolModel(WrapperModel):
    """Makes any model call tools, whatever its server does with them.

    Args:
        wrapped: the model, or its name.
        mode: ``"auto"`` sends the tools to the server and recovers the calls that come back as
            text; when the server answers that it cannot take tools, it asks again with the tools
            in the prompt, and from then on at once. ``"native"`` never prompts, it only recovers;
            ``"prompt"`` always prompts.
        options: the formats; see `Options`.
        hold_text: what a stream does with text while it is not known whether a call follows.
            `agent.run_stream` takes the first text for the final answer, so with ``True`` text is
            shown only when the reply has ended without a call; in a reply with a call it goes into
            the history, not into the stream.
        stream_arguments: show a recovered call in a stream while it is still being written, as the
            start of a `ToolCallPart` and deltas of its arguments, where its format has a JSON body.
            The call that runs is the same. If it turns out broken, a second start under the same
            index makes its part the text that it is.
        preflight: ask the server about the model before the first request with tools, in mode
            ``"auto"``: whether the model gets to see tools at all, and whether replies can be held
            to a schema. It takes two seconds at most, and no answer is no harm.
        refusals: the memory of servers that cannot take tools. One of its own by default; give
            wrappers that are made again and again one to share.
        on_recovery: called with a `Recovery` for each reply in which calls were recovered, or were
            meant and could not be read; what it raises passes. The same stands in the response
            under ``provider_details["toolmend"]``.

    Raises:
        ToolmendError: the mode is unknown; or, on a request and before anything is sent, a tool's
            schema is broken. What the wrapped model raises passes unchanged.

    A wrapper around a wrapper does no work twice: calls that the inner one recovered are native
    for the outer one, and what the outer one writes into the prompt holds no tools for the inner.
    Put instrumentation outside. Around a `FallbackModel` recovering works as well, but wrap its
    candidates rather than the whole: each then gets tools the way its own server wants them.

    Example:
        ```python
        from pydantic_ai import Agent
        from pydantic_ai.models.ollama import OllamaModel
        from toolmend.adapters.pydantic_ai import FallbackToolModel

        agent = Agent(FallbackToolModel(OllamaModel("gemma3:4b")), tools=[get_weather])
        ```
    """

    # The base class then mends special tokens in the arguments of recovered calls too.
    _answers_requests_itself: ClassVar[bool] = True

    mode: Mode
    options: Options | None = field(repr=False)
    hold_text: bool
    stream_arguments: bool
    preflight: bool
    refusals: Refusals = field(compare=False, repr=False)
    on_recovery: OnRecovery | None = field(compare=False, repr=False)

    def __init__(  # noqa: PLR0913 - options, all of them keywords
        self,
        wrapped: Model | KnownModelName | str,
        *,
        mode: Mode = "auto",
        options: Options | None = None,
        hold_text: bool = False,
        stream_arguments: bool = False,
        preflight: bool = False,
        refusals: Refusals | None = None,
        on_recovery: OnRecovery | None = None,
    ) -> None:
        _check(mode)
        super().__init__(wrapped)
        self.mode = mode
        self.options = options
        self.hold_text = hold_text
        self.stream_arguments = stream_arguments
        self.preflight = preflight
        self.refusals = Refusals() if refusals is None else refusals
        self.on_recovery = on_recovery

    @property
    def profile(self) -> ModelProfile:
        """The wrapped model's, but with tools wherever they can be written into the prompt."""
        profile = self.wrapped.profile
        if self.mode == "native" or profile.get("supports_tools", True):
            return profile
        return merge_profile(profile, ModelProfile(supports_tools=True))

    def prepare_request(
        self,
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> tuple[ModelSettings | None, ModelRequestParameters]:
        """What a request means for this model: only to look at, since sending prepares it again."""
        if self._prompts:
            # A forced response format would keep the model from calling its other tools, and not
            # every server has one: what is to come out is offered as a tool.
            model_request_parameters = model_request_parameters.with_default_output_mode("tool")
        if self.mode == "native" or self._wrapped_supports_tools:
            return self.wrapped.prepare_request(model_settings, model_request_parameters)
        # Not the wrapped model's: it would refuse for the tools that it does not get.
        return Model.prepare_request(self, model_settings, model_request_parameters)

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Send a request and recover the calls in the response."""
        await self._ask_first(model_request_parameters)
        outgoing = self._outgoing(messages, model_settings, model_request_parameters)
        return await self._asking(outgoing).response()

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """Send a request and recover the calls in the response while it arrives."""
        await self._ask_first(model_request_parameters)
        outgoing = self._outgoing(messages, model_settings, model_request_parameters)
        stream = self._asking(outgoing).stream(
            run_context, hold_text=self.hold_text, stream_arguments=self.stream_arguments
        )
        async with stream as response:
            yield response

    async def count_tokens(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> RequestUsage:
        """Count the tokens of the request in the form in which it would be sent."""
        outgoing = self._outgoing(messages, model_settings, model_request_parameters)
        return await self.wrapped.count_tokens(*self._arguments(outgoing))

    async def batch_encode(self, request: BatchRequest) -> EncodedBatchRequest:
        """Encode a request in the form in which it would be sent."""
        return await self.wrapped.batch_encode(self._batched(request)[0])

    def batch_decode(self, result: BatchResult, request: BatchRequest) -> ModelResponse:
        """Decode a result and recover the calls in it."""
        sent, outgoing = self._batched(request)
        report = self._report(as_text=self._goes_as_text(outgoing))
        return report.told(recovered(self.wrapped.batch_decode(result, sent), outgoing.turn, report), outgoing.turn)

    async def _ask_first(self, params: ModelRequestParameters) -> None:
        if self.preflight and self.mode == "auto" and (params.function_tools or params.output_tools):
            await aask_first(self.refusals, *self._server)

    @property
    def _wrapped_supports_tools(self) -> bool:
        try:
            return self.wrapped.profile.get("supports_tools", True)
        except NotImplementedError:  # a `FallbackModel` has no profile of its own
            return True

    @property
    def _server(self) -> tuple[str, str]:
        return self.wrapped.base_url or self.wrapped.system, self.wrapped.model_name

    @property
    def _prompts(self) -> bool:
        """Whether it is known already that tools go into the prompt."""
        if self.mode != "auto":
            return self.mode == "prompt"
        return not self._wrapped_supports_tools or self._server in self.refusals

    def _outgoing(
        self,
        messages: list[ModelMessage],
        settings: ModelSettings | None,
        params: ModelRequestParameters,
    ) -> Outgoing:
        native = (messages, settings, params)
        if params.function_tools or params.output_tools:
            with _quietly():  # the model that sends the request complains about its settings
                settings, params = self.prepare_request(settings, params)
            params = params.with_default_output_mode("tool")  # a `FallbackModel` leaves it open
        outgoing = Outgoing(native, settings, params, defaults=self.settings, options=self.options)
        outgoing.flat = self.refusals.has(*self._server, "system")
        if outgoing.turn.forced and self.mode != "native":
            # Only where there is a server, and it has not refused.
            outgoing.enforces = self.wrapped.base_url is not None and not self.refusals.has(*self._server, "schema")
        return outgoing

    def _goes_as_text(self, outgoing: Outgoing) -> bool:
        refused = self.mode == "auto" and outgoing.turn.forced and self._refuses_choice(outgoing)
        return outgoing.rewritable and (self._prompts or refused)

    def _refuses_choice(self, outgoing: Outgoing) -> bool:
        ignores = outgoing.enforces and self.refusals.has(*self._server, "choice")
        return ignores or self.refusals.has(*self._server, outgoing.choice)

    def _arguments(self, outgoing: Outgoing) -> RequestArguments:
        return outgoing.as_text() if self._goes_as_text(outgoing) else outgoing.native

    def _batched(self, request: BatchRequest) -> tuple[BatchRequest, Outgoing]:
        outgoing = self._outgoing(request.messages, request.model_settings, request.model_request_parameters)
        messages, settings, params = self._arguments(outgoing)
        sent = replace(request, messages=messages, model_settings=settings, model_request_parameters=params)
        return sent, outgoing

    def _asking(self, outgoing: Outgoing) -> Asking:
        as_text = self._goes_as_text(outgoing)
        second = SecondTry(outgoing, may=self.mode == "auto" and not as_text, remember=self._remember)
        return Asking(self.wrapped, outgoing, second, self._report(as_text=as_text), as_text=as_text)

    def _remember(self, why: str, what: Refused = "tools") -> None:
        self.refusals.add(*self._server, what)
        if what == "tools":
            self.refusals.tell(*self._server, why)

    def _report(self, *, as_text: bool) -> Report:
        if as_text and self.mode == "auto" and not self._wrapped_supports_tools:
            self.refusals.tell(*self._server, "takes no tools, says its profile")
        return Report(self._server, "prompt" if as_text else "native", self.on_recovery)


@dataclass(kw_only=True)
class FallbackTools(AbstractCapability[Any]):
    """Wraps whatever model serves an agent's requests in a `FallbackToolModel`; pydantic-ai 2.62 or newer.

    The attributes are the arguments of `FallbackToolModel`, and `reask`. The framework wants a new
    wrapper for each request; the memory of servers that cannot take tools lives here.

    Args:
        reask: ask the model again, as often as the agent's retries for output allow, when it wrote a call
            that cannot be read, or that names no tool, and no other; else such a reply is text. Not for
            `run_stream`: it cannot ask again, and says so with an error.

    Raises:
        ToolmendError: the mode is unknown; or, when it is imported, pydantic-ai is too old.
    """

    mode: Mode = "auto"
    options: Options | None = field(default=None, repr=False)
    hold_text: bool = False
    stream_arguments: bool = False
    preflight: bool = False
    refusals: Refusals = field(default_factory=Refusals, compare=False, repr=False)
    on_recovery: OnRecovery | None = field(default=None, compare=False, repr=False)
    reask: bool = False

    def __post_init__(self) -> None:
        _check(self.mode)

    @classmethod
    def from_spec(
        cls,
        *,
        mode: Mode = "auto",
        hold_text: bool = False,
        stream_arguments: bool = False,
        preflight: bool = False,
        reask: bool = False,
    ) -> Any:
        """Build it from an agent spec."""
        return cls(mode=mode, hold_text=hold_text, stream_arguments=stream_arguments, preflight=preflight, reask=reask)

    def get_wrapper_model(self, model: Model) -> Model | None:
        """The model wrapped, unless it is already."""
        if isinstance(model, FallbackToolModel):
            return None
        names = ("mode", "options", "hold_text", "stream_arguments", "preflight", "refusals", "on_recovery")
        return FallbackToolModel(model, **{name: getattr(self, name) for name in names})

    async def after_model_request(self, ctx: Any, *, request_context: Any, response: ModelResponse) -> ModelResponse:
        """Ask again where a call was written that cannot run, if that is wanted."""
        if self.reask:
            check_calls(response, request_context.model_request_parameters)
        return response


if not hasattr(AbstractCapability, "get_wrapper_model"):
    del FallbackTools
    __all__.remove("FallbackTools")

    def __getattr__(name: str) -> Any:
        if name == "FallbackTools":
            raise ToolmendError("FallbackTools needs pydantic-ai 2.62 or newer; wrap the model in FallbackToolModel")
        raise AttributeError(name)


def _check(mode: str) -> None:
    if mode not in ("auto", "native", "prompt"):
        raise ToolmendError(f"mode {mode!r} is not known; use 'auto', 'native' or 'prompt'")
