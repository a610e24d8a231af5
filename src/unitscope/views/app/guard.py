"""What every request must pass before it is looked at, and what every answer carries."""

import ipaddress
import json
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("localhost", "127.0.0.1", "::1")
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


class Guard:
    """Lets through what the page itself asks for.

    A request must name this server as its host: a name that an attacker's DNS turns to this machine is
    none of its names, while an address in numbers cannot be turned (DNS rebinding). What another site
    makes a browser send is refused by its `Origin` and `Sec-Fetch-Site`; only the page may be visited from
    elsewhere. All answers forbid inline code, frames and sniffing.
    """

    def __init__(self, app: ASGIApp, host: str = LOOPBACK[1]) -> None:
        self.app, self.open = app, host not in LOOPBACK
        self.names = {*LOOPBACK, host.lower(), *([socket.gethostname().lower()] if self.open else [])}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 421 for another host and 403 for another site's request; hands on the others."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", ()), *added]}
            await send(message)

        status, reason = self._judge(scope)
        if status:
            refusal = Response(json.dumps({"error": reason}), status, media_type="application/json")
            return await refusal(scope, receive, answer)
        return await self.app(scope, receive, answer)

    def _judge(self, scope: Scope) -> tuple[int, str]:
        sent: Iterable[tuple[bytes, bytes]] = scope["headers"]
        headers: dict[str, list[str]] = {}
        for name, value in sent:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        hosts = headers.get("host", [])
        if len(hosts) != 1 or not self._knows(hosts[0]):
            return 421, "this server does not go by that name; open the address that it printed"
        visiting = scope["method"] == "GET" and scope["path"] == "/"
        origins, sites = headers.get("origin", []), headers.get("sec-fetch-site", [])
        foreign = [o for o in origins if urlsplit(o).netloc.lower() != hosts[0].lower() or "://" not in o]
        if not visiting and (foreign or any(site not in ("same-origin", "none") for site in sites)):
            return 403, "another site may not ask this server for anything"
        return 0, ""

    def _knows(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
            return name in self.names or (self.open and bool(ipaddress.ip_address(name)))
        except ValueError:
            return False
