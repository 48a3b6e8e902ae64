"""Recordings on disk -> 16 kHz mono float32, for training and for the device. No torch."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from crnn.decoders.recording import Recording
from crnn.errors import require
from crnn.offset import edge_samples, rest_level

AUDIO_SUFFIXES = (
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".aiff", ".aif", ".au", ".caf", ".w64",
    ".m4a", ".aac", ".mp4", ".3gp", ".mov", ".webm", ".mkv", ".amr", ".wma",
)  # fmt: skip
"""Of recordings in a folder; their format is recognized by their content"""
BLOCK_SECONDS = 0.1
"""s decoded at a time, in training as on the device, so that both compute the same samples bit by bit"""


class StreamResampler:
    """Chunks of any rate and channel count -> mono float32 at `sample_rate`, as one call over all of them would.

    Raises ImportError if the rates differ and soxr is missing.
    """

    def __init__(self, rate: int, sample_rate: int) -> None:
        self._stream = None
        self._edge, self._begun = edge_samples(rate), np.zeros(0, dtype=np.float32)
        self._level: np.float32 | None = None  # at which the audio rests; known after `edge` samples
        if rate != sample_rate:
            import soxr  # loaded only where it is needed: the device may run at the model's own rate

            self._stream = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32", quality="HQ")

    def __call__(self, samples: np.ndarray, last: bool = False) -> np.ndarray:
        """`samples (time, channels)` float32 -> `(about time * sample_rate / rate,)`; `last` returns the tail."""
        mono = samples.mean(axis=1, dtype=np.float32) if samples.shape[1] > 1 else samples[:, 0]
        if self._stream is None:
            return mono
        if self._level is None:  # or the ends of an offset recording would ring
            self._begun = mono = np.append(self._begun, mono)
            if len(mono) < self._edge and not last:
                return mono[:0]
            self._level = rest_level(mono[: self._edge])
        return self._stream.resample_chunk(mono - self._level, last=last) + self._level


def block_frames(rate: int) -> int:
    """Frames per block at `rate` Hz."""
    return max(1, int(rate * BLOCK_SECONDS))


def waveform_chunks(recording: Recording, resample: StreamResampler) -> Iterator[np.ndarray]:
    """All of a recording, `(time,)` float32, chunk by chunk; training and the device both use this.

    Raises what `Recording.blocks` raises.
    """
    for block in recording.blocks(block_frames(recording.rate)):
        yield resample(block)
    yield resample(np.zeros((0, recording.channels), dtype=np.float32), last=True)


def read_audio(path: Path, sample_rate: int, max_seconds: float = float("inf")) -> np.ndarray:
    """Decode, down-mix (mean of channels) and resample (soxr HQ) one recording.

    Any format that `crnn.decoders` reads. Returns `waveform (time,)` float32. Raises what `decode` raises.
    """
    with Recording(path) as recording:
        _check_length(path, recording.seconds or 0.0, max_seconds)
        chunks, length = [], 0
        for chunk in waveform_chunks(recording, StreamResampler(recording.rate, sample_rate)):
            chunks.append(chunk)
            length += len(chunk)
            _check_length(path, length / sample_rate, max_seconds)
    return np.concatenate(chunks)


def decode(path: Path, max_seconds: float = float("inf")) -> tuple[np.ndarray, int]:
    """One recording as it is: `samples (time, channels)` float32, full scale 1, and its rate in Hz.

    Raises InputError, naming the file, if it is missing, empty, truncated, damaged, not audio, not finite, or longer
    than `max_seconds` (checked before decoding where its header says its length).
    """
    with Recording(path) as recording:
        _check_length(path, recording.seconds or 0.0, max_seconds)
        blocks, length = [], 0
        for block in recording.blocks(block_frames(recording.rate)):
            blocks.append(block)
            length += len(block)
            _check_length(path, length / recording.rate, max_seconds)
    return np.concatenate(blocks), recording.rate


def to_mono_rate(samples: np.ndarray, rate: int, sample_rate: int) -> np.ndarray:
    """`samples (time, channels)` at `rate` Hz -> `waveform (time,)` float32 at `sample_rate` Hz, as `read_audio`."""
    resample, size = StreamResampler(rate, sample_rate), block_frames(rate)
    chunks = [resample(samples[at : at + size]) for at in range(0, len(samples), size)]
    return np.concatenate([*chunks, resample(np.zeros((0, samples.shape[1]), dtype=np.float32), last=True)])


def audio_hash(waveform: np.ndarray) -> str:
    """Hash of the decoded samples: two names for one recording give the same value."""
    return hashlib.sha256(np.ascontiguousarray(waveform, dtype="<f4").tobytes()).hexdigest()[:24]


def _check_length(path: Path, seconds: float, max_seconds: float) -> None:
    require(seconds <= max_seconds, f"{path}: {seconds:.0f} s long; the limit is {max_seconds:g} s")
