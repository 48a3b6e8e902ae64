"""Recordings on disk -> 16 kHz mono float32. No torch."""

import hashlib
import re
from pathlib import Path

import numpy as np
import soundfile
import soxr

from crnn.config import InputError, require
from crnn.offset import edge_samples, rest_level

# libsndfile plays a cut WAV file without a word, but notes it in its log. The lengths that ffmpeg, arecord and sox (in
# this order) write where they cannot seek back are no cut.
TRUNCATED = re.compile(r"^data : (?!4294967295 |2147483648 |2147479552 )\d+ \(should be", re.MULTILINE)

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3")


def read_audio(path: Path, sample_rate: int, max_seconds: float = float("inf")) -> np.ndarray:
    """Decode, down-mix (mean of channels) and resample (soxr HQ) one recording.

    Any rate, channel count and sample format that libsndfile reads. Returns `waveform (time,)` float32. Raises what
    `decode` raises.
    """
    return to_mono_rate(*decode(path, max_seconds), sample_rate)


def decode(path: Path, max_seconds: float = float("inf")) -> tuple[np.ndarray, int]:
    """One recording as it is: `samples (time, channels)` float32, full scale 1, and its rate in Hz.

    Raises InputError, naming the file, if it is missing, empty, truncated, not audio, not finite, or longer than
    `max_seconds` (checked before decoding).
    """
    path = Path(path)
    require(path.is_file(), f"{path}: no such file")
    require(path.stat().st_size > 0, f"{path}: the file is empty")
    try:
        with soundfile.SoundFile(path) as file:
            seconds = file.frames / file.samplerate
            require(seconds <= max_seconds, f"{path}: {seconds:.0f} s long; the limit is {max_seconds:g} s")
            samples = file.read(dtype="float32", always_2d=True)
            declared, rate, details = file.frames, file.samplerate, file.extra_info
    except soundfile.LibsndfileError as error:
        raise InputError(f"{path}: not readable as audio ({error.error_string.strip()})") from error
    require(declared > 0, f"{path}: holds no samples")
    require(len(samples) == declared, f"{path}: truncated ({len(samples)} of {declared} samples can be decoded)")
    require(np.isfinite(samples).all(), f"{path}: holds NaN or infinite samples")
    require(not TRUNCATED.search(details), f"{path}: truncated (its header promises more data)")
    return samples, rate


def to_mono_rate(samples: np.ndarray, rate: int, sample_rate: int) -> np.ndarray:
    """`samples (time, channels)` at `rate` Hz -> `waveform (time,)` float32 at `sample_rate` Hz."""
    mono = samples.mean(axis=1, dtype=np.float32) if samples.shape[1] > 1 else samples[:, 0]
    if rate == sample_rate:
        return mono
    level = rest_level(mono[: edge_samples(rate)])  # or the ends of an offset recording would ring
    return soxr.resample(mono - level, rate, sample_rate, quality="HQ").astype(np.float32) + level


def audio_hash(waveform: np.ndarray) -> str:
    """Hash of the decoded samples: two names for one recording give the same value."""
    return hashlib.sha256(np.ascontiguousarray(waveform, dtype="<f4").tobytes()).hexdigest()[:24]
