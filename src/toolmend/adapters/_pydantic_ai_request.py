"""A PydanticAI request as it goes out: with the tools beside it, or with all about them as text.

Parameters arrive authored. What they mean for a model is found by preparing them, but only an
edited copy of the authored ones goes down: the innermost model prepares what it gets, and done
twice that doubles instructions and rewrites schemas. As text a request has one system text, no
tools and no forced response format, and its history is plain (`_pydantic_ai_history`).
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any, cast

from pydantic_ai.messages import InstructionPart, ModelMessage
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.profiles import DEFAULT_PROMPTED_OUTPUT_TEMPLATE
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from toolmend._forced import response_format
from toolmend._frozen import frozen, thawed
from toolmend._refusal import Refused
from toolmend._turn import Options, Turn
from toolmend._types import ToolSpec
from toolmend.adapters._pydantic_ai_history import (
    foreign_texts,
    history_as_text,
    is_suspended,
    mentions_tools,
    recorded_instructions,
    without_system,
)

try:
    from pydantic_ai.models._tool_choice import resolve_tool_choice
except ImportError:  # pragma: no cover - it is private; without it only its complaints are missed
    resolve_tool_choice = None

__all__ = ["Outgoing", "RequestArguments", "offered_tools"]

RequestArguments = tuple[list[ModelMessage], ModelSettings | None, ModelRequestParameters]
"""What `Model.request` takes: messages, settings, parameters."""

_TOOL_SETTINGS = ("tool_choice", "parallel_tool_calls")
# Fields that name tools, as far as the installed version has them.
_TOOL_FIELDS = ("tool_visibility", "revealed_tool_names", "introduced_tool_names", "deferred_capability_ids")


class Outgoing:
    """One request and the turn it makes.

    Args:
        native: the request as the framework hands it over.
        settings: its settings as the model would use them, its own defaults merged in.
        params: its parameters as the model would use them, with the output mode settled.
        defaults: the model's own settings.
        options: for the turn.

    Attributes:
        native: the request as it came, to be sent untouched.
        params: the settled parameters; they describe the reply that the framework is to see.
        turn: offers the tools and reads the reply.
        rewritable: there are tools, calls or results in the request, so that `as_text` differs.
        flat: `as_text` says in the first user message what the system message would say.
        enforces: `as_text` sends a schema along that the reply, which must be a call, has to fit.

    Raises:
        ToolmendError: a tool's schema is broken.
    """

    def __init__(
        self,
        native: RequestArguments,
        settings: ModelSettings | None,
        params: ModelRequestParameters,
        *,
        defaults: ModelSettings | None,
        options: Options | None,
    ) -> None:
        self.native = native
        self.params = params
        self.enforces = self.flat = False
        self._settings = settings
        self._defaults = defaults
        messages = native[0]
        # The server goes on with a suspended response by itself: nothing about it may change.
        suspended = is_suspended(messages)
        specs = [] if suspended else offered_tools(params)
        self.rewritable = not suspended and (bool(specs) or mentions_tools(messages))
        names, required = _permitted(settings, params, {spec.name for spec in specs})
        specs = [spec for spec in specs if spec.name in names]
        self.turn = Turn(
            specs,
            tool_choice=[spec.name for spec in specs] if required else "auto",
            options=options,
            echoes=foreign_texts(messages, params),
        )

    def as_text(self) -> RequestArguments:
        """The request with its tools in the system text, its calls and results in the history.

        Raises:
            UserError: the tool choice wants what is not offered; no server could say so any more.
        """
        messages, _, params = self.native
        if resolve_tool_choice is not None:
            resolve_tool_choice(self._settings, self.params)
        parts = list(self.params.instruction_parts or ())
        if params.instruction_parts is None:
            parts = [*recorded_instructions(messages), *parts]
        if self.turn.active:
            self._schema = self.turn.enforce(self.enforces, parallel=self._parallel)
            # All in one part: many chat templates allow one system message and no more.
            system, messages = without_system(messages)
            schema = _schema_text(self.params)
            texts = [*system, *(part.content for part in parts), *schema, self.turn.instructions]
            dynamic = any(part.dynamic for part in parts)
            parts = [InstructionPart(content="\n\n".join(texts), dynamic=dynamic)]
        opening = "\n\n".join(part.content for part in parts) if self.flat else None
        history = history_as_text(messages, self.turn, first=self.native[0][0], opening=opening)
        params = self._params_as_text([] if self.flat else parts)
        return history, self._settings_as_text(), replace(params, instruction_parts=[]) if self.flat else params

    def _params_as_text(self, parts: list[InstructionPart]) -> ModelRequestParameters:
        params = self.native[2]
        without = type(params)()
        changes: dict[str, Any] = {name: getattr(without, name) for name in _TOOL_FIELDS if hasattr(without, name)}
        if self.turn.active and self.params.output_mode != "image":
            # A forced response format would forbid the model to write a call.
            changes.update(output_mode="text", allow_text_output=True)
        return replace(
            params,
            function_tools=[],
            output_tools=[],
            # Settled: where a function tool stands in for a native one, one of them is gone.
            native_tools=self.params.native_tools,
            instruction_parts=parts or params.instruction_parts,
            **changes,
        )

    @property
    def choice(self) -> Refused:
        """How the framework asks for a forced choice: a list of one tool goes out as an object that names it."""
        wanted: Any = (self._settings or {}).get("tool_choice")
        return "named" if isinstance(wanted, list) and len(cast("list[str]", wanted)) == 1 else "required"

    @property
    def _parallel(self) -> bool:
        return (self._settings or {}).get("parallel_tool_calls") is not False

    def _settings_as_text(self) -> ModelSettings | None:
        settings = self.native[1] or {}
        kept: dict[str, Any] = {k: v for k, v in settings.items() if k not in _TOOL_SETTINGS}
        if "tool_choice" in (self._defaults or {}):
            kept["tool_choice"] = "auto"  # the model's own would be merged in again
        if self.enforces:
            extra: object = kept.get("extra_body", (self._defaults or {}).get("extra_body"))
            others = cast("dict[str, Any]", extra) if isinstance(extra, dict) else {}
            kept["extra_body"] = {**others, "response_format": response_format(self._schema)}
        return cast("ModelSettings", kept) if kept else None


def offered_tools(params: ModelRequestParameters) -> list[ToolSpec]:
    """The tools a model may know of: those it has yet to search for are withheld."""
    visibility = getattr(params, "visibility_of", None)  # not in the first versions
    return [
        _spec(tool) for tool in params.tool_defs.values() if visibility is None or visibility(tool.name) != "withheld"
    ]


def _spec(tool: ToolDefinition) -> ToolSpec:
    schema = tool.parameters_json_schema
    held = frozen(schema)
    if held is None:
        return ToolSpec(name=tool.name, description=tool.description or "", parameters=schema)
    return _known_spec(tool.name, tool.description or "", held)


@lru_cache(maxsize=512)
def _known_spec(name: str, description: str, schema: bytes) -> ToolSpec:
    """The same tools come with every request; what is known of them is known of these objects."""
    return ToolSpec(name=name, description=description, parameters=thawed(schema))


def _permitted(
    settings: ModelSettings | None, params: ModelRequestParameters, offered: set[str]
) -> tuple[set[str], bool]:
    """Which tools may be called and whether one must be: the framework's rules for `tool_choice`.

    It never complains: a request that goes out natively is judged by the model it goes to.
    """
    outputs = {tool.name for tool in params.output_tools}
    must = not (params.allow_text_output or params.allow_image_output)
    choice: Any = (settings or {}).get("tool_choice")
    if choice in ("none", []):
        return outputs, must
    if choice == "required":
        return offered, True
    if isinstance(choice, list):
        return offered & set(cast("list[str]", choice)), True
    functions: list[str] | None = getattr(choice, "function_tools", None)
    if functions is not None:  # ToolOrOutput
        return offered & set(functions) | outputs, must
    return offered, must


def _schema_text(params: ModelRequestParameters) -> list[str]:
    """What tells the model about its output where a response format would have done so."""
    if params.output_mode != "native" or params.prompted_output_instructions:
        return []  # prompted: it is among the instructions already
    template = params.prompted_output_template or DEFAULT_PROMPTED_OUTPUT_TEMPLATE
    described = replace(params, prompted_output_template=template)
    return [described.prompted_output_instructions or ""]
