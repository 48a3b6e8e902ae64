"""Access control: only listed paths, only requests from the page itself, only under the host name that is served.

Gradio answers on about eighty paths: it serves and accepts files, runs functions and forwards requests. The page needs
only Gradio's scripts and styles. Any path that is not listed here is refused before Gradio sees it, always with the
same answer, so that an answer does not reveal which files exist.
"""

import logging
import re
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.serve.origin import asked_host, same_origin, served_under

log = logging.getLogger(__name__)

FILE = r"[\w-][\w.-]*"
"""Part of a path; it never begins with a dot"""
OPEN = {
    "GET": re.compile(
        rf"/|/theme\.css|/gradio_api/theme\.css|/favicon\.ico|/(?:assets|static)(?:/{FILE})+|/recordings(?:/{FILE})?",
        re.ASCII,
    ),
    "POST": re.compile(rf"/clip|/live|/live/[\w-]+(?:/end)?|/recordings/{FILE}", re.ASCII),
}
"""Method -> paths that are answered"""
LONGEST_PATH = 200
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'self'; frame-ancestors 'none'; form-action 'none'"
)
"""With this the browser itself refuses to load anything from another host or send anything there"""


class Door:
    """ASGI middleware, the outermost.

    Args:
        names: the hosts that the page answers to, as in a Host header without the port; `("*",)`: any.
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
                    headers["Connection"] = "close"  # otherwise the server waits for the rest of a refused body
            await send(message)

        refused = self._refusal(scope)
        if refused:
            await refused(scope, receive, send_with_policy)
            return
        if scope["path"] != "/clip":
            scope = {**scope, "query_string": b""}  # Gradio would read a stored page named in a query
        try:
            await self._app(scope, receive, send_with_policy)
        except ClientDisconnect:  # there is nobody to answer
            log.info("a browser disconnected while it was sending")

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        host = asked_host(headers)
        if not served_under(host, self._names):
            return _refused("this page is not served under that name", 400)
        method, path = scope["method"], scope["path"]
        known = OPEN.get("GET" if method == "HEAD" else method)
        if known is None or len(path) > LONGEST_PATH or not known.fullmatch(path):
            return _refused("there is nothing here", 404)
        if path != "/" and not same_origin(headers, host):  # other sites may link to the page, but not send requests
            return _refused("this page accepts no requests from other sites", 403)
        return None


def _refused(message: str, code: int) -> JSONResponse:
    return JSONResponse({"error": message}, status_code=code)
