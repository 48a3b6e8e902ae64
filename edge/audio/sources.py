"""Audio from a file or from standard input (for a device see `edge.audio.microphone`). Each yields chunks `(time,)`
float32, mono, at the rate asked for, and computes them as training does."""

import os
import select
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

import crnn.data.audio as audio
from crnn.decoders import NotDecodable
from crnn.decoders.headers import parse
from crnn.decoders.pcm import FORMATS, SampleFormat
from crnn.decoders.recording import MAX_RATE, MAX_SAMPLE, Recording, check_format
from crnn.errors import InputError, require
from edge.audio.raw_format import RawFormatCheck
from edge.preflight import needed

if TYPE_CHECKING:
    from edge.audio.stop import Stop

__all__ = ["MAX_RATE", "Descriptor", "RawAudio", "StreamResampler", "check_format", "from_file", "from_raw"]

CHUNK_SECONDS = audio.BLOCK_SECONDS
POLL_SECONDS = 0.2
"""s between two checks whether the loop is to stop"""
HEADERS = (b"RIFF", b"RIFX", b"RF64", b"BW64", b".snd", b"dns.")
"""Beginnings of files that can be read from a pipe: WAV and AU"""


class Readable(Protocol):
    """A source of raw bytes."""

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, as soon as there are any; none at the end."""


class StreamResampler(audio.StreamResampler):
    """The same as in training. Raises InputError if soxr is missing."""

    def __init__(self, rate: int, sample_rate: int) -> None:
        with needed(f"audio at {rate} Hz", "device"):
            super().__init__(rate, sample_rate)


def from_file(path: Path, sample_rate: int) -> Iterator[np.ndarray]:
    """A recording, decoded chunk by chunk in bounded memory: exactly the samples that training reads.

    Raises InputError, naming the file, if it is missing, empty, truncated, damaged, not audio, not finite, or of a rate
    or channel count that no recording of speech has.
    """
    _need_soundfile()
    with Recording(path) as recording:
        yield from audio.waveform_chunks(recording, StreamResampler(recording.rate, sample_rate))


def _need_soundfile() -> None:
    try:
        with needed("reading recordings", "device"):
            import soundfile  # noqa: F401
    except OSError as error:  # the package is there, the library that it wraps is not
        raise InputError(f"reading recordings needs libsndfile ({error}): sudo apt install libsndfile1") from error


class Descriptor:
    """A file descriptor whose reader can be stopped while it waits: the interpreter resumes a read after a signal.

    Args:
        stop: once it is true, the data has ended.
    """

    def __init__(self, fd: int, stop: "Stop") -> None:
        self._fd, self._stop = fd, stop

    def read(self, size: int) -> bytes:
        while not self._stop:
            if select.select([self._fd], [], [], POLL_SECONDS)[0]:
                return os.read(self._fd, size)
        return b""


def from_raw(
    stream: Readable,
    rate: int,
    channels: int,
    sample_rate: int,
    stop: "Stop | None" = None,
    sample_format: str = "s16le",
) -> Iterator[np.ndarray]:
    """Standard input, until it ends: raw interleaved samples of `sample_format` (a key of `crnn.decoders.pcm.FORMATS`),
    or WAV or AU data without compression, whose header then says the format. Once `stop` is true it may end anywhere.

    Raises InputError if it holds no samples, ends in the middle of one or before its header says, or does not look
    like such samples: text, a file of another kind, another sample format.
    """
    what = "standard input"
    head = _exactly(stream, 4)
    promised = None
    if head in HEADERS:
        source = _Prefixed(head, stream)
        try:
            header = parse(source.read)
        except NotDecodable as error:
            require(bool(stop), f"{what}: {error}")
            return
        if header.format is None or header.ambiguous:
            raise InputError(
                f"{what}: is a WAV or AU file of a format that cannot be read from a pipe (codec {header.codec}); "
                "name the file"
            )
        rate, channels, stored, promised = header.rate, header.channels, header.format, header.promised
    else:
        stored = FORMATS[sample_format]
        source = _Prefixed(head, stream)
    raw = RawAudio(what, stored, rate, channels, sample_rate, promised, checked=head not in HEADERS)
    while data := source.read(raw.wanted):
        yield raw.push(data)
    yield raw.end(bool(stop))


class RawAudio:
    """Bytes of raw samples, as they come in -> `(time,)` float32, mono, at `sample_rate`.

    Args:
        what: the stream's name, for messages.
        stored: how a sample is stored.
        rate: Hz; channels: interleaved.
        promised: bytes that a header has promised; None: nobody knows how many follow.
        checked: whether to refuse bytes that do not look like such samples.
        option: by which the user says the format, for messages.

    Raises InputError for a rate or channel count that no recording of speech has.
    """

    def __init__(
        self,
        what: str,
        stored: SampleFormat,
        rate: int,
        channels: int,
        sample_rate: int,
        promised: int | None = None,
        checked: bool = True,
        option: str = "--format",
    ) -> None:
        check_format(what, rate, channels)
        self._what, self._stored, self._channels = what, stored, channels
        self._resample = StreamResampler(rate, sample_rate)
        self._check = RawFormatCheck(what, stored, rate, channels, option) if checked else None
        self._frame = stored.width * channels
        self._size = int(rate * CHUNK_SECONDS) * self._frame
        self._rest, self._left, self._any = b"", promised, False
        self._headed = promised is not None

    @property
    def wanted(self) -> int:
        """Bytes that `push` is best given next: a chunk, not more than the header has promised; 0 at its end."""
        return self._size if self._left is None else min(self._size, self._left)

    def push(self, data: bytes) -> np.ndarray:
        """The samples that these bytes complete. Raises InputError for what cannot be such samples."""
        self._left = None if self._left is None else self._left - len(data)
        if self._check:
            self._check.add(data)
        data = self._rest + data
        whole = len(data) // self._frame * self._frame
        self._rest = data[whole:]
        if not whole:
            return np.zeros(0, dtype=np.float32)
        self._any = True
        samples = self._stored.decode(data[:whole], self._channels)
        largest = np.abs(samples).max()
        require(bool(np.isfinite(largest)), f"{self._what}: holds NaN or infinite samples")
        require(bool(largest <= MAX_SAMPLE), f"{self._what}: holds samples up to {largest:.3g}; full scale is 1")
        return self._resample(samples)

    def end(self, anywhere: bool = False) -> np.ndarray:
        """The last samples. Raises InputError if it holds none, or ends too early, unless it may end `anywhere`."""
        name = self._stored.name
        if not anywhere:
            if self._check:
                self._check.end()
            require(
                not self._left, f"{self._what}: truncated ({self._left} bytes are missing that its header promises)"
            )
            require(
                not self._rest or self._headed,
                f"{self._what}: ends in the middle of a sample; expected raw {name} audio",
            )
            require(self._any, f"{self._what}: no samples; expected raw {name} audio")
        return self._resample(np.zeros((0, self._channels), dtype=np.float32), last=True)


class _Prefixed:
    """Bytes that were read already, followed by the rest of their stream."""

    def __init__(self, first: bytes, stream: Readable) -> None:
        self._first, self._stream = first, stream

    def read(self, size: int) -> bytes:
        if self._first:
            data, self._first = self._first[:size], self._first[size:]
            return data
        return self._stream.read(size)


def _exactly(stream: Readable, size: int) -> bytes:
    """So many bytes, or fewer at the end."""
    data = b""
    while len(data) < size and (more := stream.read(size - len(data))):
        data += more
    return data
