"""A recording that arrives as the body of a request: received within limits, and decoded within limits.

It lies in a temporary file while it is processed; nothing of it is there afterwards, also if the client disconnects.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from starlette.requests import Request

from crnn.errors import InputError, require
from edge.audio.sources import from_file

MIB = 2**20
BODY_SECONDS = 60.0
"""s after which a body that has not arrived is refused"""
FORMATS, WITH_AV = "WAV, FLAC, OGG, Opus, MP3, AIFF", "M4A, AAC, WebM"


class ClipError(InputError):
    """The recording itself is at fault; the message does not name it."""


class TooLarge(ClipError):
    """The recording is larger or longer than the limit."""


def formats() -> str:
    """The formats that can be decoded here; some need PyAV."""
    return f"{FORMATS}, {WITH_AV}" if find_spec("av") else FORMATS


async def body_chunks(request: Request) -> AsyncIterator[bytes]:
    """The body of a request, as it arrives. Raises InputError if that takes too long."""
    stream, deadline = aiter(request.stream()), asyncio.get_running_loop().time() + BODY_SECONDS
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise InputError(f"the request did not arrive within {BODY_SECONDS:g} s") from error
        yield chunk


@asynccontextmanager
async def received(body: AsyncIterator[bytes], max_megabytes: float, folder: Path) -> AsyncIterator[Path]:
    """In this context the body is a file in `folder`. Raises TooLarge as soon as it is."""
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        size = 0
        async for chunk in body:
            size += len(chunk)
            if size > max_megabytes * MIB:
                raise too_large(max_megabytes)
            file.write(chunk)
        file.flush()
        yield Path(file.name)


def too_large(max_megabytes: float) -> TooLarge:
    """What an upload above the limit is answered."""
    return TooLarge(f"larger than {max_megabytes:g} MiB, the limit here; cut it")


def clip_chunks(path: Path, sample_rate: int, max_seconds: float) -> Iterator[np.ndarray]:
    """The samples of a file, `(time,)` float32 mono at `sample_rate` Hz, chunk by chunk.

    Raises ClipError, whose message does not contain the path: only the user knows the name of the recording. TooLarge:
    it is longer than `max_seconds`.
    """
    longest, length = max_seconds * sample_rate, 0
    try:
        for chunk in from_file(path, sample_rate):  # counted, because the length in a header may be wrong
            length += len(chunk)
            if length > longest:
                raise TooLarge(f"longer than {max_seconds:g} s, the limit here; cut it")
            yield chunk
    except ClipError:
        raise
    except InputError as error:
        hint = f"; give one of {formats()}" if "not readable as audio" in str(error) else ""
        message = str(error).removeprefix(f"{path}: ").replace(str(path), "the file")
        raise ClipError(message + hint) from error


async def whole_body(request: Request, most: int) -> bytes:
    """The body of a small request. Raises InputError if it has more than `most` bytes."""
    data = bytearray()
    async for chunk in body_chunks(request):
        data += chunk
        require(len(data) <= most, f"a request of more than {most} bytes")
    return bytes(data)
