"""Who is answered: by the host name asked for, the web page that asks, the rate of the address, and the token."""

import hmac
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from crnn.errors import require
from crnn.files.secret import read_secret
from edge.serve.closing import POLICY_VIOLATION, TRY_AGAIN_LATER, close_with
from edge.serve.limits import RateLimit
from edge.serve.metrics import Metrics
from edge.serve.origin import asked_host, same_origin, served_under

TOKEN_VARIABLE = "SER_SERVE_TOKEN"  # noqa: S105 - the name of the variable, not the token
SHORTEST_TOKEN = 16
"""Characters"""
PUBLIC = "/healthz"
"""Answered without a token and at any rate: a supervisor asks there"""
ROUTES = ("/recognize", "/stream", "/metrics", "/docs", "/openapi.json", PUBLIC)
"""Paths that the metrics name; any other is "other", so that clients cannot make names"""


def read_token(file: Path | None) -> str | None:
    """The token from the first line of a file, else from SER_SERVE_TOKEN; None without either.

    Raises InputError for one that is short or not ASCII, without naming it.
    """
    token = os.environ.get(TOKEN_VARIABLE) or None if file is None else read_secret(file, "token")
    require(
        token is None or (len(token) >= SHORTEST_TOKEN and token.isascii() and token.isprintable()),
        f"{file or TOKEN_VARIABLE}: the token must have {SHORTEST_TOKEN} or more ASCII characters; make one: "
        "openssl rand -hex 32",
    )
    return token


@dataclass(frozen=True)
class Refusal:
    """One line, as a status of HTTP and as a close code of a WebSocket."""

    line: str
    status: int
    code: int = POLICY_VIOLATION
    headers: dict[str, str] = field(default_factory=dict)


class Access:
    """ASGI middleware, the outermost.

    Args:
        names: the hosts that the service answers to, as in a Host header without the port; `("*",)`: any.
        token: that a client has to show as `Authorization: Bearer TOKEN`; None: none.
    """

    def __init__(
        self, app: ASGIApp, names: Sequence[str], token: str | None, rate: RateLimit, metrics: Metrics
    ) -> None:
        self._app, self._names = app, {name.lower() for name in names}
        self._token, self._rate, self._metrics = token, rate, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if scope["type"] == "http":
            await self._http(refusal, scope, receive, send)
        elif refusal is None:
            await self._app(scope, receive, send)
        else:
            self._metrics.streams.labels("refused").inc()
            stream = WebSocket(scope, receive, send)
            await stream.accept()
            await close_with(stream, refusal.code, refusal.line)

    async def _http(self, refusal: Refusal | None, scope: Scope, receive: Receive, send: Send) -> None:
        route = scope["path"] if scope["path"] in ROUTES else "other"
        end = "gone"

        async def send_noted(message: Message) -> None:
            nonlocal end
            if message["type"] == "http.response.start":
                end = str(message["status"])
                headers = MutableHeaders(scope=message)
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Cache-Control"] = "no-store"
                if message["status"] >= 400:
                    headers["Connection"] = "close"  # otherwise the server waits for the rest of a refused body
            await send(message)

        if refusal is not None:
            answer = JSONResponse({"error": refusal.line}, refusal.status, refusal.headers)
            await answer(scope, receive, send_noted)
            self._metrics.requests.labels(route, end).inc()
            return
        try:
            await self._app(scope, receive, send_noted)
        except ClientDisconnect:  # there is nobody to answer; the framework has tried to, with a 500
            end = "gone"
        finally:
            self._metrics.requests.labels(route, end).inc()

    def _refusal(self, scope: Scope) -> Refusal | None:
        headers = Headers(scope=scope)
        host = asked_host(headers)
        if not served_under(host, self._names):
            return Refusal("this service is not served under that name", 400)
        if not same_origin(headers, host):
            return Refusal("this service accepts no requests from web pages of other sites", 403)
        if scope["path"] == PUBLIC:
            return None
        waits = self._rate.wait(scope["client"][0] if scope.get("client") else "")
        if waits:
            seconds = math.ceil(waits)
            line = f"too many requests from this address; try again in {seconds} s"
            return Refusal(line, 429, TRY_AGAIN_LATER, {"Retry-After": str(seconds)})
        if self._token is not None and not _shows(headers, self._token):
            line = "this service needs its token: send the header Authorization: Bearer TOKEN"
            return Refusal(line, 401, headers={"WWW-Authenticate": "Bearer"})
        return None


def _shows(headers: Headers, token: str) -> bool:
    """Whether the token is there; the time that this takes does not depend on how much of it is right."""
    scheme, _, shown = headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(shown.strip().encode("latin-1"), token.encode())
