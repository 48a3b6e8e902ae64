"""Uploaded recordings, recognized one after another as `stream_infer.py FILE --json` does."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fastapi import Request

from edge.audio.stop import Stop
from edge.loop.listening import listen
from edge.loop.recognition import EmotionModel
from edge.serve.events import Events
from edge.serve.limits import ServiceLimits
from edge.serve.metrics import Metrics
from edge.serve.upload import MIB, body_chunks, clip_chunks, received, too_large


class Busy(Exception):
    """Too many uploads are waiting."""


class Uploads:
    """Recordings in, segments out.

    Args:
        folder: for uploads; only the server's user may read it.
        pool: one thread, so that uploads do not take the processors from live audio.
    """

    def __init__(
        self, model: EmotionModel, limits: ServiceLimits, metrics: Metrics, pool: ThreadPoolExecutor, folder: Path
    ) -> None:
        self._model, self._limits, self._metrics, self._pool, self._folder = model, limits, metrics, pool, folder
        self._inside = 0
        metrics.watch("ser_uploads_open", "Uploads that arrive, wait or are computed", lambda: self._inside)

    async def recognize(self, request: Request) -> dict:
        """`segments` and `seconds` of the recording that is the body of the request.

        Raises TooLarge, ClipError for any other fault of the recording, Busy, and InputError if it does not arrive.
        """
        announced = request.headers.get("content-length", "0")
        if announced.isdigit() and len(announced) < 20 and int(announced) > self._limits.max_megabytes * MIB:
            raise too_large(self._limits.max_megabytes)
        if self._inside > self._limits.max_waiting:
            raise Busy(f"{self._inside} recordings are waiting already; try again in a moment")
        self._inside += 1
        try:
            async with received(body_chunks(request), self._limits.max_megabytes, self._folder) as path:
                return await self._computed(path, request)
        finally:
            self._inside -= 1

    async def _computed(self, path: Path, request: Request) -> dict:
        """In the pool; if the client disconnects, or the server ends, the computation stops within a chunk."""
        stop = Stop()
        work = asyncio.get_running_loop().run_in_executor(self._pool, self._segments, path, stop)
        watch = asyncio.create_task(_gone(request))
        try:
            first: set[asyncio.Future] = {work, watch}
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            if watch.done():
                stop()
            return await work
        finally:
            watch.cancel()
            if not stop:
                stop()

    def _segments(self, path: Path, stop: Stop) -> dict:
        if stop:
            return {}
        events, utterances = Events(self._model.labels), self._model.utterances()
        listen(clip_chunks(path, self._model.sample_rate, self._limits.max_seconds), utterances, events, stop)
        segments = [event for event in events.take() if event["type"] == "segment"]
        self._metrics.audio.labels("upload").inc(utterances.seconds)
        self._metrics.segments.labels("upload").inc(len(segments))
        return {"segments": segments, "seconds": round(utterances.seconds, 4)}


async def _gone(request: Request) -> None:
    """Returns when the client has disconnected."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
