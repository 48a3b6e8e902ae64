"""The page as a web application: Gradio's part, the routes of the microphone and of corrections, and what keeps them at
home."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import gradio as gr
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crnn.config import InputError, require
from edge.bundle import Bundle
from edge.page.clip import MIB, Limits
from edge.page.corrections import Corrections
from edge.page.layout import build_page
from edge.page.live import MAX_CHUNK_SECONDS, LiveSessions
from edge.sources import MAX_RATE

log = logging.getLogger(__name__)

HERE = Path(__file__).parent
FONT = ("system-ui", "sans-serif")
SCRIPTS = ("page.js", "corrections.js")
MAX_BODY = round(4 * MAX_RATE * MAX_CHUNK_SECONDS)
"""Bytes of a request of the microphone"""
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'self'; frame-ancestors 'none'"
)
"""The browser itself refuses whatever would come from, or go, elsewhere"""


def build_app(
    bundles: Mapping[str, Bundle],
    runtime: str | None,
    gate: str,
    limits: Limits,
    names: Sequence[str],
    corrections: Corrections | None = None,
) -> FastAPI:
    """Everything under one address. `names`: the hosts it answers to ("*": any)."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    _add_live(app, LiveSessions(bundles, runtime, gate, limits.max_sessions))
    if corrections is not None:
        _add_corrections(app, corrections)
    app.add_middleware(_AtHome)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(names))  # a stranger's DNS may point anywhere
    theme = gr.themes.Soft(font=list(FONT), font_mono=["monospace"])
    return gr.mount_gradio_app(
        app,
        build_page(bundles, runtime, gate, limits, corrections is not None),
        path="/",
        footer_links=[],
        run_history=False,
        show_error=False,
        max_file_size=round(limits.max_megabytes * MIB),
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=theme,
        css=(HERE / "page.css").read_text(encoding="utf-8"),
        head="".join(f"<script>{(HERE / name).read_text(encoding='utf-8')}</script>" for name in SCRIPTS),
    )


def _add_live(app: FastAPI, sessions: LiveSessions) -> None:
    @app.exception_handler(InputError)
    async def one_line(request: Request, error: InputError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status_code=400)

    @app.post("/live")
    async def open_session(request: Request) -> dict:
        bundle, rate = _asked(await _body(request))
        key, session = await run_in_threadpool(sessions.open, bundle, rate)
        return {"id": key, "csv_header": session.csv_header}

    @app.post("/live/{key}")
    async def hear(key: str, request: Request) -> dict:
        session = sessions.get(key)
        missing = _seconds(request.headers.get("x-missing-seconds", "0"))
        return await run_in_threadpool(session.hear, await _body(request), missing)

    @app.post("/live/{key}/end")
    async def end(key: str) -> dict:
        return await run_in_threadpool(sessions.close, key)


def _add_corrections(app: FastAPI, corrections: Corrections) -> None:
    @app.exception_handler(OSError)
    async def disk(request: Request, error: OSError) -> JSONResponse:
        log.warning("the folder of corrections: %s", error)
        return JSONResponse({"error": f"the folder cannot be read or written ({error.strerror})"}, status_code=500)

    @app.get("/kept")
    async def listing() -> dict:
        return await run_in_threadpool(corrections.listing)

    @app.get("/kept/{name}")
    async def sound(name: str) -> Response:
        data = await run_in_threadpool(corrections.sound, name)
        return Response(data, media_type="audio/wav", headers={"Cache-Control": "no-store"})

    @app.post("/kept/{name}")
    async def correct(name: str, request: Request) -> dict:
        return await run_in_threadpool(corrections.act, name, await _body(request))


async def _body(request: Request) -> bytes:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        require(len(data) <= MAX_BODY, f"a request of more than {MAX_BODY} bytes")
    return bytes(data)


def _asked(body: bytes) -> tuple[str, int]:
    """What a page asks for when it opens a session: a model's name and Hz."""
    try:
        values = json.loads(body)
        return str(values["bundle"]), int(values["rate"])
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise InputError("a session needs the name of a model and a sample rate; reload the page") from error


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError("the seconds that are missing must be a number") from error


class _AtHome:
    """Middleware: nobody's web site may use the page in its visitor's name, and the page may use nobody's."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        site = Headers(scope=scope).get("sec-fetch-site", "same-origin")
        asked = scope["method"] == "POST" or scope["path"].startswith("/kept")
        if asked and site not in ("same-origin", "none"):
            await PlainTextResponse("this page takes no orders from other sites", status_code=403)(scope, receive, send)
            return

        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = POLICY
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
            await send(message)

        try:
            await self._app(scope, receive, send_with_policy)
        except ClientDisconnect:  # nobody is left to be answered
            log.info("a browser left while it was sending")
