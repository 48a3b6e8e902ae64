"""The routes of the service."""

from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import HTMLResponse, JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from crnn.cli.installed import installed_version
from crnn.errors import InputError
from edge.loop.recognition import EmotionModel
from edge.serve import documentation as docs
from edge.serve.access import Access
from edge.serve.limits import RateLimit, ServiceLimits
from edge.serve.metrics import Metrics
from edge.serve.streams import Streams
from edge.serve.upload import ClipError, TooLarge
from edge.serve.uploads import Busy, Uploads

EVERYWHERE: dict[int | str, dict[str, Any]] = {
    status: {"model": docs.Problem, "description": why}
    for status, why in {
        400: "a host name that is not served, or a request that cannot be read or did not arrive",
        401: "the token is missing or wrong",
        403: "a web page of another site asks",
        429: "too many requests from this address",
    }.items()
}
OF_UPLOADS: dict[int | str, dict[str, Any]] = {
    status: {"model": docs.Problem, "description": why}
    for status, why in {
        413: "larger or longer than the limit",
        415: "a form of several parts, or a Content-Encoding; send the bytes of the file themselves",
        422: "not a recording that can be processed",
        503: "too many recordings are waiting",
    }.items()
}
BODY = {
    "requestBody": {
        "required": True,
        "description": "The bytes of a recording: WAV, FLAC, OGG, MP3 ...",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def build_app(
    model: EmotionModel, limits: ServiceLimits, names: Sequence[str], token: str | None, threads: int, folder: Path
) -> Access:
    """The service as an ASGI application.

    Args:
        model: loaded once, for all clients; without adaptation, which would mix them.
        names: the hosts that it answers to; "*": any.
        token: that clients have to show; None: none.
        threads: that compute live audio.
        folder: for uploads.
    """
    metrics = Metrics()
    live = ThreadPoolExecutor(threads, thread_name_prefix="ser-stream")
    files = ThreadPoolExecutor(1, thread_name_prefix="ser-upload")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        for pool in (live, files):
            pool.shutdown(cancel_futures=True)

    app = FastAPI(
        title="Speech emotion recognition",
        version=installed_version(),
        description=docs.STREAM,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    _add_errors(app)
    _add_recognition(app, Uploads(model, limits, metrics, files, folder), Streams(model, limits, metrics, live))
    _add_facts(app, model, metrics)
    return Access(app, names, token, RateLimit(limits.max_per_minute), metrics)


def _problem(status: int, error: Exception, **headers: str) -> JSONResponse:
    return JSONResponse({"error": str(error)}, status, {name.replace("_", "-"): text for name, text in headers.items()})


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(TooLarge)
    async def too_large(_: Request, error: TooLarge) -> JSONResponse:
        return _problem(413, error)

    @app.exception_handler(ClipError)
    async def of_the_clip(_: Request, error: ClipError) -> JSONResponse:
        return _problem(422, error)

    @app.exception_handler(InputError)
    async def one_line(_: Request, error: InputError) -> JSONResponse:
        return _problem(400, error)

    @app.exception_handler(Busy)
    async def busy(_: Request, error: Busy) -> JSONResponse:
        return _problem(503, error, Retry_After="2")

    @app.exception_handler(OSError)
    async def disk(_: Request, error: OSError) -> JSONResponse:
        return JSONResponse({"error": f"the upload cannot be written ({error.strerror})"}, 503, {"Retry-After": "60"})

    @app.exception_handler(HTTPException)
    async def of_the_framework(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)


def _add_recognition(app: FastAPI, uploads: Uploads, streams: Streams) -> None:
    @app.post(
        "/recognize",
        responses={200: {"model": docs.Answer, "description": "the segments"}, **EVERYWHERE, **OF_UPLOADS},
        openapi_extra=BODY,
    )
    async def recognize(request: Request) -> Response:
        """Recognize a recording: the body is the file. Nothing of it is stored."""
        if request.headers.get("content-type", "").lower().startswith("multipart/"):
            raise HTTPException(415, "send the file itself as the body: curl --data-binary @FILE")
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise HTTPException(415, "send the file as it is, without Content-Encoding")
        return JSONResponse(await uploads.recognize(request))

    @app.websocket("/stream")
    async def stream(socket: WebSocket) -> None:
        await streams.serve(socket)


def _add_facts(app: FastAPI, model: EmotionModel, metrics: Metrics) -> None:
    health = docs.Health(status="ok", model=model.bundle.manifest.identity, runtime=model.runtime, vad=model.vad)

    @app.head("/healthz", include_in_schema=False)  # what load balancers ask
    @app.get("/healthz", responses={status: EVERYWHERE[status] for status in (400, 403)})
    async def healthz() -> docs.Health:
        """Whether the service runs. Needs no token."""
        return health

    @app.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {CONTENT_TYPE_LATEST: {}}, "description": "counters"}, **EVERYWHERE},
    )
    async def prometheus() -> Response:
        """Counters for Prometheus."""
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/docs", include_in_schema=False)
    async def page() -> HTMLResponse:
        return HTMLResponse(docs.page(app.openapi()), headers={"Content-Security-Policy": docs.POLICY})
