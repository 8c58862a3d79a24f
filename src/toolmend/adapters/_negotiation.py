"""What to send for one chat request, given what is known of the server: natively, or as text once it has refused.

Sans-IO: a transport or a gateway sends what `Negotiation.sent` says, shows it the answer's head and, if the server
refuses tools, sends again what it says then.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from toolmend._errors import ToolmendError
from toolmend._recovery import OnRecovery, Recovery, tell
from toolmend._refusal import Refusals, refuses_tools
from toolmend._swallowed import swallowed
from toolmend._turn import Options
from toolmend.adapters._exchange import Exchange, Mode, NotReadable
from toolmend.adapters._ollama_chat import OllamaExchange
from toolmend.adapters._openai_chat import ChatExchange
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
        self._server = server
        self._settings = settings
        refused = (server, exchange.model) in settings.refusals
        self.written = settings.mode == "prompt" or (settings.mode == "auto" and refused)
        self._told = False
        self._lost = False

    @property
    def sent(self) -> bytes:
        """The body to send."""
        return json_of(self.exchange.as_text()) if self.written else self._raw

    def may_change(self, status: int) -> bool:
        """Whether the body of an error has to be seen by `refused`."""
        return status >= 400 and not self.written and self._settings.mode == "auto"

    def refused(self, status: int, body: bytes) -> bool:
        """Whether an error means that the server cannot take tools or has lost a call; then send `sent` again."""
        if not self.may_change(status):
            return False
        said = body.decode(errors="replace")
        if refuses_tools(status, said):
            self.written = True
            self._remember("refuses tools")
        elif self.exchange.turn.active and (lost := lost_in(status, said)):
            self.written = lost.lasting or self.exchange.has_calls  # else it is about a history without calls
            self._lost = lost.lasting
        return self.written

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
        self.written = self._lost = watched.lost if watched else error is not None
        return self.written

    def _remember(self, why: str) -> None:
        self._settings.refusals.add(self._server, self.exchange.model)
        self._settings.refusals.tell(self._server, self.exchange.model, why)

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
        recovery = Recovery.of(self.exchange.readers, model=self.exchange.model, server=self._server, mode=mode)
        if self._lost and recovery.calls:
            self._remember("loses calls")
        tell(recovery, self._settings.on_recovery)
