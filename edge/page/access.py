"""What may reach the page at all: known addresses, asked for by the page itself, under the name it is served by.

Gradio answers on about eighty addresses: it serves and takes files, runs functions, forwards requests. The page needs
none of that, only Gradio's scripts and styles. So whatever is not listed here is refused before Gradio sees it, always
with the same answer: nobody learns from it what exists.
"""

import logging
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

FILE = r"[\w-][\w.-]*"
"""Of an address: never begins with a dot"""
OPEN = {
    "GET": re.compile(
        rf"/|/theme\.css|/gradio_api/theme\.css|/favicon\.ico|/(?:assets|static)(?:/{FILE})+|/recordings(?:/{FILE})?",
        re.ASCII,
    ),
    "POST": re.compile(rf"/clip|/live|/live/[\w-]+(?:/end)?|/recordings/{FILE}", re.ASCII),
}
"""Method -> the paths that are answered"""
LONGEST_PATH = 200
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'self'; frame-ancestors 'none'; form-action 'none'"
)
"""The browser itself refuses whatever would come from elsewhere or go there"""


class Door:
    """ASGI middleware, the outermost.

    Args:
        names: the hosts that the page answers to, as a Host header has them without the port; `("*",)`: any.
    """

    def __init__(self, app: ASGIApp, names: Sequence[str]) -> None:
        self._app, self._names = app, {name.lower() for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = POLICY
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                if message["status"] >= 400:
                    headers["Connection"] = "close"  # or the rest of a refused body would be waited for
            await send(message)

        refused = self._refusal(scope)
        if refused:
            await refused(scope, receive, send_with_policy)
            return
        if scope["path"] != "/clip":
            scope = scope | {"query_string": b""}  # Gradio would read a stored page that a query names
        try:
            await self._app(scope, receive, send_with_policy)
        except ClientDisconnect:  # nobody is left to be answered
            log.info("a browser left while it was sending")

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower()
        if "*" not in self._names and re.sub(r":\d+$", "", host) not in self._names:
            return _refused("this page is not served under that name", 400)
        method, path = scope["method"], scope["path"]
        known = OPEN.get("GET" if method == "HEAD" else method)
        if known is None or len(path) > LONGEST_PATH or not known.fullmatch(path):
            return _refused("there is nothing here", 404)
        if path != "/" and not _same_origin(headers, host):  # anybody may link to the page, nobody use it for a visitor
            return _refused("this page takes no orders from other sites", 403)
        return None


def _same_origin(headers: Headers, host: str) -> bool:
    """Whether a page of this server asks, as far as a browser says; a program that is no browser may ask as well."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")  # all that older browsers send
    try:
        return origin is None or urlsplit(origin).netloc.lower() == host
    except ValueError:
        return False


def _refused(message: str, code: int) -> JSONResponse:
    return JSONResponse({"error": message}, status_code=code)
