"""Live audio over WebSocket: samples in, events out, one recognizer per connection.

A connection is read only after what it sent before is processed and its events are sent. So a client that sends faster
than it is served, or reads no events, is slowed down by TCP, and the memory does not grow. The recognizer runs in a
pool of threads; a connection has at most one piece of audio in it, so none holds up the others for longer than a piece.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar, TypeVarTuple

from starlette.datastructures import QueryParams
from starlette.websockets import WebSocket, WebSocketDisconnect

from crnn.decoders.pcm import FORMATS
from crnn.errors import InputError, require
from edge.audio.sources import RawAudio
from edge.loop.listening import ENDED, Listening
from edge.loop.recognition import EmotionModel
from edge.serve.closing import (
    INVALID_DATA,
    NORMAL,
    POLICY_VIOLATION,
    TRY_AGAIN_LATER,
    UNSUPPORTED_DATA,
    Refused,
    close_with,
    send_line,
)
from edge.serve.events import Events
from edge.serve.limits import ServiceLimits
from edge.serve.metrics import Metrics

Given = TypeVarTuple("Given")
Made = TypeVar("Made")

MAX_MESSAGE = 256 * 1024
"""Bytes of a message: 8 s of 16 kHz mono; uvicorn closes the connection with 1009 at a larger one"""
WEBSOCKETS = {
    "ws": "websockets-sansio",
    "ws_max_size": MAX_MESSAGE,
    "ws_per_message_deflate": False,  # memory per connection, and what unpacks to more than it was
    "ws_ping_interval": None,  # a pong would wait behind the samples of a client that is slowed down
}
"""Settings of uvicorn"""
PIECE_SECONDS = 0.5
"""s of audio that are computed at a time"""
IDLE_SECONDS = 60.0
"""s without a message after which a connection is closed"""
END = {"type": "end"}
"""The message after the last samples, as JSON"""


@dataclass(frozen=True)
class Declared:
    """What a client says of its samples, in the query of the address."""

    rate: int = 16000
    """Hz"""
    channels: int = 1
    """Interleaved; their mean is used"""
    format: str = "s16le"
    """A key of `crnn.decoders.pcm.FORMATS`"""
    decisions: bool = False
    """Whether it wants every decision, not segments alone"""

    @classmethod
    def of(cls, query: QueryParams) -> "Declared":
        """Raises InputError that names what is unknown, given twice, or no such value."""
        known = {"rate", "channels", "format", "decisions"}
        unknown = sorted(set(query) - known)
        require(not unknown, f"unknown parameter {', '.join(unknown)}; known: {', '.join(sorted(known))}")
        given = [key for key, _ in query.multi_items()]
        twice = sorted({key for key in given if given.count(key) > 1})
        require(not twice, f"{', '.join(twice)} is given twice; give it once")
        name, shows = query.get("format", cls.format), query.get("decisions", "false")
        require(name in FORMATS, f"format={name} is unknown; known: {', '.join(FORMATS)}")
        require(shows in ("true", "false"), f"decisions={shows}; give true or false")
        rate, channels = (_whole(query, key, getattr(cls, key)) for key in ("rate", "channels"))
        return cls(rate, channels, name, shows == "true")


def _whole(query: QueryParams, key: str, default: int) -> int:
    text = query.get(key, str(default))
    require(text.isascii() and text.isdigit() and len(text) <= 9, f"{key}={text}; give a whole number")
    return int(text)


class Conversation:
    """The loop of one connection; not of the event loop, but of a thread at a time.

    Raises InputError for a rate or channel count that no recording of speech has.
    """

    def __init__(self, model: EmotionModel, declared: Declared) -> None:
        stored = FORMATS[declared.format]
        self._raw = RawAudio(
            "the stream", stored, declared.rate, declared.channels, model.sample_rate, option="the parameter format"
        )
        self._events = Events(model.labels, declared.decisions)
        self._utterances = model.utterances()
        self._loop = Listening(self._utterances, self._events)
        self._piece = max(1, round(declared.rate * PIECE_SECONDS)) * stored.width * declared.channels

    @property
    def seconds(self) -> float:
        """Audio so far, s."""
        return self._utterances.seconds

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """A message in parts that do not compute for long."""
        for at in range(0, len(data), self._piece):
            yield data[at : at + self._piece]

    def push(self, data: bytes) -> list[dict]:
        """Process samples; returns the events that they complete. Raises InputError for what cannot be samples."""
        self._loop.push(self._raw.push(data))
        return self._events.take()

    def end(self) -> list[dict]:
        """The audio has ended: the last events. Raises InputError if there was none, or it ends within a sample."""
        self._loop.push(self._raw.end())
        self._loop.end(ENDED)
        return self._events.take()


class Streams:
    """All connections.

    Args:
        pool: computes; as many connections at a time as it has threads.
    """

    def __init__(self, model: EmotionModel, limits: ServiceLimits, metrics: Metrics, pool: ThreadPoolExecutor) -> None:
        self._model, self._limits, self._metrics, self._pool = model, limits, metrics, pool
        self._open = 0
        metrics.watch("ser_streams_open", "WebSocket connections", lambda: self._open)

    async def serve(self, stream: WebSocket) -> None:
        """One connection, from its handshake to its end."""
        await stream.accept()
        try:
            with self._counted():
                await self._converse(stream)
            await close_with(stream, NORMAL, ENDED)
            end = "ended"
        except Refused as refusal:
            end = "refused"
            await close_with(stream, refusal.code, refusal.line)
        except TimeoutError:  # it reads nothing, so no reason can be sent
            end = "stalled"
        except WebSocketDisconnect:
            end = "gone"
        self._metrics.streams.labels(end).inc()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Raises Refused if all are taken; one that is being refused takes no place."""
        if self._open >= self._limits.max_streams:
            raise Refused(TRY_AGAIN_LATER, f"{self._limits.max_streams} streams are open already; try again later")
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    async def _converse(self, stream: WebSocket) -> None:
        opened = time.monotonic()
        try:
            declared = Declared.of(stream.query_params)
            conversation = await self._computed(Conversation, self._model, declared)
        except InputError as error:
            raise Refused(POLICY_VIOLATION, str(error)) from error
        try:
            while (data := await _samples(stream)) is not None:
                for piece in conversation.pieces(data):
                    start, before = time.monotonic(), conversation.seconds
                    events = await self._computed(conversation.push, piece)
                    self._metrics.latency.observe(time.monotonic() - start)
                    self._metrics.audio.labels("stream").inc(conversation.seconds - before)
                    await self._report(stream, events)
                longest = self._limits.max_stream_seconds
                if max(conversation.seconds, time.monotonic() - opened) > longest:
                    raise Refused(POLICY_VIOLATION, f"longer than {longest:g} s, the limit of a stream; connect again")
            await self._report(stream, await self._computed(conversation.end))
        except InputError as error:
            raise Refused(INVALID_DATA, str(error)) from error

    async def _report(self, stream: WebSocket, events: list[dict]) -> None:
        for event in events:
            await send_line(stream, json.dumps(event, allow_nan=False))
            if event["type"] == "segment":
                self._metrics.segments.labels("stream").inc()

    async def _computed(self, function: Callable[[*Given], Made], *arguments: *Given) -> Made:
        """Of the pool; waits for a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)


async def _samples(stream: WebSocket) -> bytes | None:
    """The next message; None for the one that says that no more samples follow.

    Raises Refused for any other text, and if nothing comes for long; WebSocketDisconnect.
    """
    try:
        async with asyncio.timeout(IDLE_SECONDS):
            message = await stream.receive()
    except TimeoutError as error:
        raise Refused(POLICY_VIOLATION, f"no samples for {IDLE_SECONDS:g} s; connect again") from error
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", NORMAL))
    if (text := message.get("text")) is None:
        return message["bytes"]
    try:
        ends = len(text) < 100 and json.loads(text) == END
    except ValueError:
        ends = False
    if not ends:
        raise Refused(UNSUPPORTED_DATA, f"text; send samples as binary messages, and {json.dumps(END)} after the last")
    return None
