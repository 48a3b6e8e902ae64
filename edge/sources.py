"""Audio from a file or from standard input (for a device see `edge.microphone`). Each yields chunks `(time,)` float32,
mono, at the rate asked for; resampling is stream-safe (chunked equals one-shot)."""

import os
import re
import select
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Protocol

import numpy as np

from crnn.config import InputError, require
from crnn.offset import edge_samples, rest_level
from edge.extras import needed

if TYPE_CHECKING:
    from edge.listening import Stop

CHUNK_SECONDS = 0.1
POLL_SECONDS = 0.2
"""How long nobody looks whether the loop is to stop"""
MIN_RATE, MAX_RATE = 4000, 192000
"""Hz; from here on a number is no rate but a mistake, or a trap for whoever allocates for it"""
MAX_CHANNELS = 8
CONTAINERS = {b"RIFF": "WAV", b"fLaC": "FLAC", b"OggS": "OGG", b"FORM": "AIFF"}
"""What files begin with, and raw samples do not"""
# libsndfile plays a cut WAV file without a word, but notes it in its log. The lengths that ffmpeg, arecord and sox (in
# this order) write where they cannot seek back are no cut.
TRUNCATED = re.compile(r"^data : (?!4294967295 |2147483648 |2147479552 )\d+ \(should be", re.MULTILINE)


class Readable(Protocol):
    """Where raw bytes come from."""

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, as soon as there are any; none at the end."""


class StreamResampler:
    """Chunks of any rate and channel count -> mono float32 at `sample_rate`, as one call over all of them would."""

    def __init__(self, rate: int, sample_rate: int) -> None:
        self._stream = None
        self._edge, self._begun = edge_samples(rate), np.zeros(0, dtype=np.float32)
        self._level: np.float32 | None = None  # at which the audio rests: known once `edge` samples have come
        if rate != sample_rate:
            with needed(f"audio at {rate} Hz", "device"):
                import soxr  # loaded only where it is needed: the device may run at the model's own rate

            self._stream = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32", quality="HQ")

    def __call__(self, samples: np.ndarray, last: bool = False) -> np.ndarray:
        """`samples (time, channels)` float32 -> `(about time * sample_rate / rate,)`; `last` hands out the tail."""
        mono = samples.mean(axis=1, dtype=np.float32) if samples.shape[1] > 1 else samples[:, 0]
        if self._stream is None:
            return mono
        if self._level is None:
            self._begun = mono = np.append(self._begun, mono)
            if len(mono) < self._edge and not last:
                return mono[:0]
            self._level = rest_level(mono[: self._edge])
        return self._stream.resample_chunk(mono - self._level, last=last) + self._level


def from_file(path: Path, sample_rate: int) -> Iterator[np.ndarray]:
    """A recording, decoded chunk by chunk in bounded memory.

    Raises InputError, naming the file, if it is missing, empty, truncated, not audio, not finite, or of a rate or
    channel count that no recording of speech has.
    """
    soundfile = _soundfile()
    path = Path(path)
    require(path.exists(), f"{path}: no such file")
    require(path.is_file(), f"{path}: is no regular file; save the recording to one, or pipe raw s16le samples to -")
    require(path.stat().st_size > 0, f"{path}: the file is empty")
    require(
        path.suffix.lower() != ".raw",  # soundfile goes by the name, and wants to be told the rate
        f"{path}: raw audio has no header; pipe it: stream_infer.py - --rate HZ < {path} (rename it if it has one)",
    )
    try:
        with soundfile.SoundFile(os.fsencode(path)) as file:
            require(file.frames > 0, f"{path}: holds no samples")
            require(not TRUNCATED.search(file.extra_info), f"{path}: truncated (its header promises more data)")
            check_format(str(path), file.samplerate, file.channels)
            resample = StreamResampler(file.samplerate, sample_rate)
            size = max(1, int(file.samplerate * CHUNK_SECONDS))
            decoded = 0
            for samples in file.blocks(size, dtype="float32", always_2d=True):
                require(np.isfinite(samples).all(), f"{path}: holds NaN or infinite samples")
                decoded += len(samples)
                yield resample(samples, last=decoded >= file.frames)
            require(decoded == file.frames, f"{path}: truncated ({decoded} of {file.frames} samples can be decoded)")
    except soundfile.LibsndfileError as error:
        raise InputError(f"{path}: not readable as audio ({error.error_string.strip()})") from error


def _soundfile() -> ModuleType:
    try:
        with needed("reading recordings", "device"):
            import soundfile
    except OSError as error:  # the package is there, the library that it wraps is not
        raise InputError(f"reading recordings needs libsndfile ({error}): sudo apt install libsndfile1") from error
    return soundfile


def check_format(what: str, rate: int, channels: int) -> None:
    """Raises InputError, naming `what`, unless audio of `rate` Hz and so many channels can be heard."""
    require(MIN_RATE <= rate <= MAX_RATE, f"{what}: {rate} Hz; {MIN_RATE} to {MAX_RATE} Hz can be heard")
    require(1 <= channels <= MAX_CHANNELS, f"{what}: {channels} channels; 1 to {MAX_CHANNELS} can be heard")


class Descriptor:
    """A file descriptor whose reader can be stopped while it waits: the interpreter resumes a read that a signal broke.

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
    stream: Readable, rate: int, channels: int, sample_rate: int, stop: "Stop | None" = None
) -> Iterator[np.ndarray]:
    """Raw signed 16-bit little-endian samples, interleaved, until the stream ends; once `stop` is true it may end
    anywhere.

    Raises InputError if it ends in the middle of a sample, holds none, or is a file with a header.
    """
    check_format("standard input", rate, channels)
    resample = StreamResampler(rate, sample_rate)
    frame = 2 * channels
    size = int(rate * CHUNK_SECONDS) * frame
    rest = b""
    heard = False
    for data in chain([_head(stream)], iter(lambda: stream.read(size), b"")):
        data = rest + data
        whole = len(data) // frame * frame
        rest = data[whole:]
        if whole:
            heard = True
            yield resample(np.frombuffer(data[:whole], dtype="<i2").reshape(-1, channels).astype(np.float32) / 32768)
    require(heard or bool(stop), "standard input: no samples; expected raw s16le audio")
    require(not rest or bool(stop), "standard input: ends in the middle of a sample; expected raw s16le audio")
    yield resample(np.zeros((0, channels), dtype=np.float32), last=True)


def _head(stream: Readable) -> bytes:
    """The first bytes, to be heard as well. Raises InputError if they are a file's."""
    head = b""
    while len(head) < 4 and (data := stream.read(4 - len(head))):
        head += data
    require(
        head not in CONTAINERS,
        f"standard input: is a {CONTAINERS.get(head)} file, expected raw s16le audio; name the file, "
        "or record with arecord -t raw",
    )
    return head
