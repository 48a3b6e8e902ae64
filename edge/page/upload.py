"""Decoding of an uploaded recording, within the page's limits."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crnn.errors import require
from edge.serve.upload import clip_chunks


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


def decode(path: Path, sample_rate: int, limits: UploadLimits) -> np.ndarray:
    """The samples of a file, `(time,)` float32 mono at `sample_rate` Hz. Raises as `clip_chunks`."""
    return np.concatenate([*clip_chunks(path, sample_rate, limits.max_seconds)])
