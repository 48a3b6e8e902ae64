"""Audio from a file or from standard input (for a device see `edge.microphone`). Each yields chunks `(time,)` float32,
mono, at the rate asked for; resampling is stream-safe (chunked equals one-shot)."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from crnn.config import InputError, require

CHUNK_SECONDS = 0.1
# libsndfile plays a cut WAV file without a word, but notes it in its log (0 and 0xFFFFFFFF: a recorder that streams).
TRUNCATED = re.compile(r"^data : (?!0 |4294967295 )\d+ \(should be", re.MULTILINE)


class StreamResampler:
    """Chunks of any rate and channel count -> mono float32 at `sample_rate`, as one call over all of them would."""

    def __init__(self, rate: int, sample_rate: int) -> None:
        self._stream = None
        if rate != sample_rate:
            import soxr  # loaded only where it is needed: the device may run at the model's own rate

            self._stream = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32", quality="HQ")

    def __call__(self, samples: np.ndarray, last: bool = False) -> np.ndarray:
        """`samples (time, channels)` float32 -> `(about time * sample_rate / rate,)`; `last` hands out the tail."""
        mono = samples.mean(axis=1, dtype=np.float32) if samples.shape[1] > 1 else samples[:, 0]
        return mono if self._stream is None else self._stream.resample_chunk(mono, last=last)


def from_file(path: Path, sample_rate: int) -> Iterator[np.ndarray]:
    """A recording, decoded chunk by chunk in bounded memory.

    Raises InputError, naming the file, if it is missing, empty, truncated, not audio or not finite.
    """
    import soundfile

    path = Path(path)
    require(path.is_file(), f"{path}: no such file")
    require(path.stat().st_size > 0, f"{path}: the file is empty")
    try:
        with soundfile.SoundFile(path) as file:
            require(file.frames > 0, f"{path}: holds no samples")
            require(not TRUNCATED.search(file.extra_info), f"{path}: truncated (its header promises more data)")
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


def from_raw(stream: BinaryIO, rate: int, channels: int, sample_rate: int) -> Iterator[np.ndarray]:
    """Raw signed 16-bit little-endian samples, interleaved, until the stream ends.

    Raises InputError if it ends in the middle of a sample, or holds none.
    """
    require(rate > 0 and channels > 0, f"rate {rate} and channels {channels} must be above 0")
    resample = StreamResampler(rate, sample_rate)
    frame = 2 * channels
    rest = b""
    heard = False
    while data := stream.read(max(frame, int(rate * CHUNK_SECONDS) * frame)):
        data = rest + data
        whole = len(data) // frame * frame
        rest = data[whole:]
        if whole:
            heard = True
            yield resample(np.frombuffer(data[:whole], dtype="<i2").reshape(-1, channels).astype(np.float32) / 32768)
    require(heard, "standard input: no samples; expected raw s16le audio")
    require(not rest, "standard input: ends in the middle of a sample; expected raw s16le audio")
    yield resample(np.zeros((0, channels), dtype=np.float32), last=True)
