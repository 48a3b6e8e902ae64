"""A recording that somebody uploaded: decoded within limits, and deleted."""

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crnn.config import InputError, require
from edge.sources import from_file

MIB = 2**20
FORMATS = "WAV, FLAC, OGG, Opus, MP3 or AIFF"


@dataclass(frozen=True)
class Limits:
    """What the page takes from a stranger."""

    max_megabytes: float = 20.0
    """Size of an uploaded file, MiB; a larger one is refused while it arrives"""
    max_seconds: float = 60.0
    """s of a recording"""
    max_sessions: int = 4
    """Microphones that are listened to at a time"""

    def __post_init__(self) -> None:
        for name in ("max_megabytes", "max_seconds"):
            value = getattr(self, name)
            require(0 < value < math.inf, f"{name} is {value}; give a number above 0")
        require(self.max_sessions >= 1, f"max_sessions is {self.max_sessions}; give at least 1")


def take_clip(upload: Path, sample_rate: int, limits: Limits) -> np.ndarray:
    """The samples of an uploaded file, `(time,)` float32 mono at `sample_rate` Hz. Whatever happens, the file is gone.

    Raises InputError, which names the file as the person knows it and not where it lies here.
    """
    # Moved first: equal uploads of two people are one file to Gradio, and one of them is asked to upload again. And
    # without its suffix: libsndfile would take a .raw or .gsm at its word.
    with tempfile.TemporaryDirectory(dir=upload.parent if upload.parent.is_dir() else None) as folder:
        own = Path(folder) / "clip"
        try:
            upload.replace(own)
        except FileNotFoundError as error:
            raise InputError(f"{upload.name}: is no longer here; upload or record it again") from error
        try:
            return _decode(own, sample_rate, limits)
        except InputError as error:
            hint = f"; give {FORMATS}" if "not readable as audio" in str(error) else ""
            raise InputError(str(error).replace(str(own), upload.name) + hint) from error


def _decode(path: Path, sample_rate: int, limits: Limits) -> np.ndarray:
    size = path.stat().st_size / MIB
    require(size <= limits.max_megabytes, f"{path}: {size:.1f} MiB; the page takes {limits.max_megabytes:g} MiB")
    longest = round(limits.max_seconds * sample_rate)
    chunks, length = [], 0
    for chunk in from_file(path, sample_rate):  # what a header says of the length is a promise; this counts
        length += len(chunk)
        require(
            length <= longest, f"{path}: longer than {limits.max_seconds:g} s, which is what the page takes; cut it"
        )
        chunks.append(chunk)
    return np.concatenate(chunks)
