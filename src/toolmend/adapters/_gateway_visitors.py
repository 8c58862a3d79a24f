"""Who may call a gateway: programs that mean this host, and the web pages that were asked in.

Without a check any page that somebody looks at could reach loopback, directly or through a name of its own. Pages that
were asked in also need to be told so by the headers of CORS, of which those of the upstream do not count.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request

from toolmend._errors import ToolmendError
from toolmend.adapters._gateway_upstream import GatewayError

__all__ = ["Visitors"]

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#]+", re.IGNORECASE)


class Visitors:
    """Tells who may call.

    Args:
        hosts: names of this host, besides ``localhost`` and addresses in numbers.
        origins: where web pages come from that may call; ``"*"`` for all.

    Attributes:
        middleware: answers the questions of browsers, for the application.

    Raises:
        ToolmendError: an origin is none.
    """

    def __init__(self, hosts: Sequence[str], origins: Sequence[str]) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)
        self._origins = frozenset(map(_origin, origins))
        self.middleware = Middleware(
            CORSMiddleware,
            allow_origins=sorted(self._origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
            allow_private_network=True,
        )

    def check(self, request: Request) -> None:
        """Turn others away.

        Raises:
            GatewayError: this one may not call.
        """
        host, origin = request.headers.get("host"), request.headers.get("origin")
        if host is not None and not self._is_known(f"//{host}"):
            raise _forbidden("host", host)
        if origin is not None and self._origins.isdisjoint((origin, "*")) and not self._is_known(origin):
            raise _forbidden("origin", origin)

    def _is_known(self, address: str) -> bool:
        try:
            name = urlsplit(address).hostname or ""
        except ValueError:
            return False
        if name == "localhost" or name in self._hosts or ("*" in self._hosts and address.startswith("//")):
            return True
        try:
            number = ipaddress.ip_address(name)
        except ValueError:
            return False
        return number.is_loopback or address.startswith("//")  # a page from elsewhere names its own origin


def _forbidden(what: str, value: str) -> GatewayError:
    message = f"the {what} {value[:100]!r} is not allowed here; serve with --allow-{what} to allow it"
    return GatewayError(403, message, "permission_error")


def _origin(value: str) -> str:
    if value != "*" and not _ORIGIN.fullmatch(value):
        raise ToolmendError(f"{value!r} is no origin of web pages; write for example https://chat.example.org")
    return value.lower()
