"""Who may speak to the page: browsers on this machine, at this address, that know its token."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST = 1 << 20
"""Bytes of a request's body."""

SAFE = ("GET", "HEAD")

HEADERS: Mapping[str, str] = {
    "content-security-policy": "default-src 'none'; img-src 'self'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""Nothing is loaded from elsewhere, nobody embeds the page, and its address (with the token) is told to nobody."""


class Guard:
    """Refuses what does not come from the page itself.

    `Host` must be the loopback address with the port: a name that a foreign site points here (DNS rebinding) is not.
    `Origin` must be the page's own where a browser sends it, and be there for whatever changes something. The path
    begins with the token.
    """

    def __init__(self, app: ASGIApp, *, port: int, token: str) -> None:
        self._app, self._token = app, token
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope) if scope["type"] == "http" else "only HTTP is spoken here"
        if refusal is not None:
            await PlainTextResponse(f"{refusal}\n", 403, dict(HEADERS))(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self._app(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if host not in self._hosts:
            return f"this page is not {host!r}: open the address that bench annotate printed"
        if origin is None and scope["method"] not in SAFE:
            return "a request that changes something must say its Origin"
        if origin is not None and origin not in {f"http://{known}" for known in self._hosts}:
            return f"requests from {origin!r} are refused"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return "requests from other sites are refused"
        given = f"{scope['path']}/".split("/")[1]
        if not secrets.compare_digest(given.encode(), self._token.encode()):
            return "the token in the address is wrong: open the address that bench annotate printed last"
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > LARGEST or "transfer-encoding" in headers:
            return f"expected a body of at most {LARGEST} bytes that says its length"
        return None
