"""What to send for one chat request, given what is known of the server: natively, or as text once it has refused.

Sans-IO: a transport or a gateway sends what `Negotiation.sent` says and shows it what comes of that, an error or a
reply; as long as it says so, it sends again what `sent` says then. Each time is for another reason, so that ends soon.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from toolmend._errors import ToolmendError
from toolmend._flat import refuses_system
from toolmend._forced import refuses_schema
from toolmend._recovery import OnRecovery, Recovery, tell
from toolmend._refusal import Refusals, Refused, refuses_choice, refuses_tools
from toolmend._swallowed import swallowed
from toolmend._turn import Options
from toolmend.adapters._exchange import Exchange, Mode, NotReadable
from toolmend.adapters._ollama_chat import OllamaExchange
from toolmend.adapters._openai_chat import ChatExchange
from toolmend.adapters._openai_functions import FunctionsExchange, has_functions
from toolmend.adapters._sse import json_of
from toolmend.adapters._wire_lost import lost_in

__all__ = ["Negotiation", "Settings", "exchange_class"]

_PATHS: tuple[tuple[str, type[Exchange]], ...] = (("/chat/completions", ChatExchange), ("/api/chat", OllamaExchange))
_STREAMS = ("text/event-stream", "application/x-ndjson")


def exchange_class(method: str, path: str) -> type[Exchange] | None:
    """Who reads requests to a path; `None` where no chat happens."""
    path = path.rstrip("/")
    return next((kind for end, kind in _PATHS if method == "POST" and path.endswith(end)), None)


@dataclass(frozen=True, slots=True)
class Settings:
    """How requests are treated.

    Attributes:
        mode: see `Mode`.
        options: see `Options`.
        refusals: who has refused tools.
        on_recovery: called for each reply in which calls were recovered, or were meant and could not be read.
    """

    mode: Mode = "auto"
    options: Options | None = None
    refusals: Refusals = field(default_factory=Refusals)
    on_recovery: OnRecovery | None = None

    def __post_init__(self) -> None:
        if self.mode not in ("auto", "native", "prompt"):
            raise ToolmendError(f"mode {self.mode!r} is not known; use 'auto', 'native' or 'prompt'")

    def open(self, method: str, path: str, raw: bytes, server: str) -> Negotiation | None:
        """Begin with a request; `None` if there is nothing to do, so that it should pass as it is.

        Args:
            method: of HTTP.
            path: of the address.
            raw: the body.
            server: whom it goes to.

        Raises:
            NotReadable: it is no chat request.
            ToolmendError: a tool's schema is broken, or the choice names none of the tools.
        """
        kind = exchange_class(method, path)
        if kind is None:
            return None
        try:
            body: object = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise NotReadable(f"the request is not JSON: {error}") from error
        if kind is ChatExchange and has_functions(body):
            exchange = FunctionsExchange(body, options=self.options)
            return Negotiation(exchange, json_of(exchange.body), server, self)
        exchange = kind(body, options=self.options)
        return Negotiation(exchange, raw, server, self) if exchange.has_tools else None


class Negotiation:
    """One request on its way.

    Attributes:
        exchange: the request and what becomes of its reply.
        written: whether its tools are in the prompt.
    """

    def __init__(self, exchange: Exchange, raw: bytes, server: str, settings: Settings) -> None:
        self.exchange = exchange
        self._raw = raw
        self._asked = (server, exchange.model)
        self._settings = settings
        self._told = False
        self._lost = self._missing = False
        self._flat = self._has("system")
        self._enforced = settings.mode != "native" and exchange.enforceable and not self._has("schema")
        self.written = settings.mode == "prompt"
        if settings.mode == "auto":
            forced = exchange.turn.forced and self._has(exchange.choice)
            self.written = self._has("tools") or forced or (self._enforced and self._has("choice"))
            exchange.insists = self._enforced and not self.written

    @property
    def sent(self) -> bytes:
        """The body to send."""
        if not self.written:
            return self._raw
        return json_of(self.exchange.as_text(enforced=self._enforced, flat=self._flat))

    def refused(self, status: int, body: bytes) -> bool:
        """Whether an error is a reason to send again, now what `sent` says then.

        The server cannot take the tools, has lost a call, or objects to something in the request as text.
        """
        said = body.decode(errors="replace")
        if self.written:
            return self._adapted(status, said)
        if self._settings.mode != "auto":
            return False
        if refuses_tools(status, said):
            self._ask_as_text()
            self._remember("refuses tools")
            if refuses_system(status, said, surely=True):
                self._takes_no_system()
        elif self.exchange.turn.forced and refuses_choice(status, said):
            self._ask_as_text()
            self._settings.refusals.add(*self._asked, self.exchange.choice)
        elif self.exchange.turn.active and (lost := lost_in(status, said)):
            if lost.lasting or self.exchange.has_calls:  # else it is about a history without calls
                self._ask_as_text()
            self._lost = lost.lasting
        return self.written

    def quoted(self, status: int, body: bytes) -> tuple[str, bytes] | None:
        """The reply that an error quotes, as the server should have sent it: its content type and itself."""
        text = self.exchange.quoted(status, body.decode(errors="replace"))
        kind = self.exchange.streamed_type if self.exchange.streams else "application/json"
        return (kind, self.exchange.spoken(text)) if text else None

    def lost(self, error: Exception | None = None) -> bool:
        """Whether a call was lost on the way to the reply; then `sent` is to be sent again, at most once.

        Args:
            error: what has ended the connection, if it did not end well.
        """
        if self.written or self._settings.mode != "auto" or not self.exchange.turn.active:
            return False
        if error is not None and swallowed(error) is None:
            return False
        watched = self.exchange.watched
        self._lost = watched.lost if watched else error is not None
        self._missing = not self._lost and bool(watched and watched.missing)
        if self._lost or self._missing:
            self._ask_as_text()
        return self.written

    def _ask_as_text(self) -> None:
        self.written = True
        self.exchange.insists = False  # there is no other way to ask

    def _adapted(self, status: int, said: str) -> bool:
        """Whether the request as text goes out again without what the server objects to."""
        if self._enforced and refuses_schema(status, said):
            self._enforced = False
            self._settings.refusals.add(*self._asked, "schema")
        elif not self._flat and refuses_system(status, said):
            self._takes_no_system()
        else:
            return False
        return True

    def _takes_no_system(self) -> None:
        self._flat = True
        self._settings.refusals.add(*self._asked, "system")

    def _has(self, what: Refused) -> bool:
        return self._settings.refusals.has(*self._asked, what)

    def _remember(self, why: str) -> None:
        self._settings.refusals.add(*self._asked)
        self._settings.refusals.tell(*self._asked, why)

    def streams(self, content_type: str) -> bool:
        """Whether a reply comes as a stream."""
        kind = content_type.partition(";")[0].strip().lower()
        return kind in _STREAMS or (self.exchange.streams and kind != "application/json")

    def reply(self, raw: bytes) -> bytes:
        """A whole reply as the client gets it."""
        try:
            body: Any = json.loads(raw)
            rewritten = self.exchange.reply(body)
            return raw if rewritten == body else json_of(rewritten)
        except (ValueError, RecursionError):
            return raw

    def done(self) -> None:
        """The reply is complete, or nobody wants more of it; told once."""
        if self._told:
            return
        self._told = True
        mode = "prompt" if self.written else "native"
        server, model = self._asked
        recovery = Recovery.of(self.exchange.readers, model=model, server=server, mode=mode)
        if self._lost and recovery.calls:
            self._remember("loses calls")
        elif self._missing and recovery.calls:
            self._settings.refusals.add(*self._asked, "choice")
        tell(recovery, self._settings.on_recovery)
