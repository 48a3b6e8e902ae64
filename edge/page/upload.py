"""Decoding of an uploaded recording, within limits."""

import math
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from crnn.errors import InputError, require
from edge.audio.sources import from_file

MIB = 2**20
FORMATS, WITH_AV = "WAV, FLAC, OGG, Opus, MP3, AIFF", "M4A, AAC, WebM"


class ClipError(InputError):
    """The recording itself is at fault; the message does not name it."""


@dataclass(frozen=True)
class UploadLimits:
    """What the page accepts from a browser."""

    max_megabytes: float = 20.0
    """MiB of an uploaded file; a larger one is refused while it arrives"""
    max_seconds: float = 60.0
    """s of a recording"""
    max_sessions: int = 4
    """Microphone sessions at a time"""

    def __post_init__(self) -> None:
        for name in ("max_megabytes", "max_seconds"):
            value = getattr(self, name)
            require(0 < value < math.inf, f"{name} is {value}; give a number above 0")
        require(self.max_sessions >= 1, f"max_sessions is {self.max_sessions}; give at least 1")


def formats() -> str:
    """The formats that can be decoded here; some need PyAV."""
    return f"{FORMATS}, {WITH_AV}" if find_spec("av") else FORMATS


def decode(path: Path, sample_rate: int, limits: UploadLimits) -> np.ndarray:
    """The samples of a file, `(time,)` float32 mono at `sample_rate` Hz.

    Raises ClipError, whose message does not contain the path: only the user knows the name of the recording.
    """
    longest = round(limits.max_seconds * sample_rate)
    chunks, length = [], 0
    try:
        for chunk in from_file(path, sample_rate):  # counted, because the length in a header may be wrong
            length += len(chunk)
            require(length <= longest, f"longer than {limits.max_seconds:g} s, the page's limit; cut it")
            chunks.append(chunk)
    except InputError as error:
        hint = f"; give one of {formats()}" if "not readable as audio" in str(error) else ""
        message = str(error).removeprefix(f"{path}: ").replace(str(path), "the file")
        raise ClipError(message + hint) from error
    return np.concatenate(chunks)
