"""The page as a web application: Gradio, and the routes for clips, the microphone and corrections."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

from crnn.errors import InputError, require
from edge.audio.sources import MAX_RATE
from edge.bundle import Bundle
from edge.page.access import Door
from edge.page.corrections import Corrections
from edge.page.gradio_import import gradio as gr
from edge.page.layout import build_page
from edge.page.live import MAX_CHUNK_SECONDS, LiveSessions
from edge.page.recognize import Recognizer
from edge.page.upload import UploadLimits
from edge.serve.upload import MIB, ClipError, body_chunks, whole_body
from edge.stream.recognizer import StreamingRecognizer

log = logging.getLogger(__name__)

HERE = Path(__file__).parent
FONT = ("system-ui", "sans-serif")
SCRIPTS = ("common.js", "clip.js", "live.js", "corrections.js")
MAX_BODY = round(4 * MAX_RATE * MAX_CHUNK_SECONDS)
"""Bytes of a request of the microphone"""
MAX_ORDER = 4096
"""Bytes of a request in JSON"""


def build_app(
    bundles: Mapping[str, Bundle],
    recognizers: Mapping[str, StreamingRecognizer],
    runtime: str | None,
    vad: str,
    limits: UploadLimits,
    names: Sequence[str],
    folder: Path,
    corrections: Corrections | None = None,
) -> Door:
    """All routes of the page.

    Args:
        bundles: by the name that the page shows; every microphone session loads its own recognizer from one of them.
        recognizers: one of each bundle, under the same names, for uploads.
        names: the hosts that the page answers to; "*": any.
        folder: for uploads.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    _add_errors(app)
    _add_clips(app, Recognizer(recognizers, vad, limits, folder))
    _add_live(app, LiveSessions(bundles, runtime, vad, limits.max_sessions))
    if corrections is not None:
        _add_corrections(app, corrections)
    theme = gr.themes.Soft(font=list(FONT), font_mono=["monospace"])
    page = gr.mount_gradio_app(
        app,
        build_page(list(bundles), limits, corrections is not None),
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
    return Door(page, names)


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(ClipError)
    async def of_the_clip(request: Request, error: ClipError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status_code=422)

    @app.exception_handler(InputError)
    async def one_line(request: Request, error: InputError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status_code=400)

    @app.exception_handler(OSError)
    async def disk(request: Request, error: OSError) -> JSONResponse:
        log.warning("%s: %s", request.url.path, error)
        return JSONResponse({"error": f"a folder cannot be read or written ({error.strerror})"}, status_code=500)


def _add_clips(app: FastAPI, recognizer: Recognizer) -> None:
    @app.post("/clip")
    async def recognize(request: Request) -> dict:
        return {"results": await recognizer.recognize(request.query_params.get("models", ""), body_chunks(request))}


def _add_live(app: FastAPI, sessions: LiveSessions) -> None:
    @app.post("/live")
    async def open_session(request: Request) -> dict:
        bundle, rate = _asked(await whole_body(request, MAX_ORDER))
        key, session = await run_in_threadpool(sessions.open, bundle, rate)
        return {"id": key, "csv_header": session.csv_header}

    @app.post("/live/{key}")
    async def push(key: str, request: Request) -> dict:
        session = sessions.get(key)
        missing = _seconds(request.headers.get("x-missing-seconds", "0"))
        return await run_in_threadpool(session.push, await whole_body(request, MAX_BODY), missing)

    @app.post("/live/{key}/end")
    async def end(key: str) -> dict:
        return await run_in_threadpool(sessions.close, key)


def _add_corrections(app: FastAPI, corrections: Corrections) -> None:
    @app.get("/recordings")
    async def listing() -> dict:
        return await run_in_threadpool(corrections.listing)

    @app.get("/recordings/{name}")
    async def sound(name: str) -> Response:
        data = await run_in_threadpool(corrections.sound, name)
        return Response(data, media_type="audio/wav", headers={"Cache-Control": "no-store"})

    @app.post("/recordings/{name}")
    async def correct(name: str, request: Request) -> dict:
        return await run_in_threadpool(corrections.act, name, await whole_body(request, MAX_ORDER))


def _asked(body: bytes) -> tuple[str, int]:
    """The model's name and the sample rate, Hz, with which a page opens a session."""
    try:
        values = json.loads(body)
        bundle, rate = values["bundle"], int(values["rate"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise InputError("a session needs the name of a model and a sample rate; reload the page") from error
    require(isinstance(bundle, str), "a model is chosen by its name; reload the page")
    return bundle, rate


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError("the missing seconds must be a number") from error
