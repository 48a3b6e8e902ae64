"""Is anyone speaking? Gates listen in short frames and say yes or no, with hysteresis; `edge.utterances` does the rest.

Two kinds, by name: `energy` compares the level with the room's own noise and costs almost nothing; `silero` is the
small neural network of silero-vad under ONNX Runtime, which also tells a voice from other sounds.
"""

import math
from collections import deque
from collections.abc import Callable
from typing import Protocol

import numpy as np

from crnn.config import require

FRAME_SECONDS = 0.02
SUBWINDOWS = 10
"""The noise floor is the quietest of so many stretches of time"""
SMOOTHING = 0.8
"""Share of the old value in the smoothed power that the floor is taken from: about 0.1 s"""
SILENT_DBFS = -200.0
"""The level of digital silence"""


class Gate(Protocol):
    """Hears frame after frame of `frame_samples` samples."""

    frame_samples: int

    def update(self, frames: np.ndarray) -> list[bool]:
        """Hear `frames (n, frame_samples)` float32, one after the other; returns whether there is a voice in each.

        The answers do not depend on how many come at once.
        """

    def reset(self) -> None:
        """Forget everything heard."""


class EnergyGate:
    """Yes from `open_db` above the noise floor on, no from below `close_db` above it.

    The floor is the smallest smoothed level of the last `floor_seconds` (minimum statistics, Martin 2001): a fan that
    is switched on is taken for a voice for so long, and for silence from then on. Before the first sample there was
    silence, so that a recording that begins in the middle of a word loses none of it.

    Args:
        sample_rate: Hz.
        open_db, close_db: dB above the floor; close_db <= open_db.
        min_dbfs: the level, dB relative to full scale, below which nothing is a voice, however quiet the room.
        max_floor_dbfs: the floor is never taken to be above this: loud talk without a pause is no noise.
        floor_seconds: s the floor is looked for in.
    """

    def __init__(
        self,
        sample_rate: int,
        open_db: float = 9.0,
        close_db: float = 6.0,
        min_dbfs: float = -65.0,
        max_floor_dbfs: float = -30.0,
        floor_seconds: float = 5.0,
    ) -> None:
        require(0 < close_db <= open_db, f"close_db {close_db} and open_db {open_db} must satisfy 0 < close <= open")
        require(
            min_dbfs <= max_floor_dbfs, f"min_dbfs {min_dbfs} is above max_floor_dbfs {max_floor_dbfs}; give it less"
        )
        require(
            floor_seconds >= SUBWINDOWS * FRAME_SECONDS,
            f"floor_seconds is {floor_seconds}; give at least {SUBWINDOWS * FRAME_SECONDS}",
        )
        self.frame_samples = round(FRAME_SECONDS * sample_rate)
        self._open, self._close = ratio(open_db), ratio(close_db)
        self._lowest_floor, self._highest_floor = ratio(min_dbfs - open_db), ratio(max_floor_dbfs)
        self._subwindow_frames = round(floor_seconds / FRAME_SECONDS / SUBWINDOWS)
        self.reset()

    def reset(self) -> None:
        self._voice = False
        self._smooth = 0.0
        self._frames = 0
        self._lowest = deque([0.0] * SUBWINDOWS, SUBWINDOWS)

    @property
    def floor_dbfs(self) -> float:
        """The noise floor, dB relative to full scale, within its limits."""
        return power_dbfs(self._floor())

    def update(self, frames: np.ndarray) -> list[bool]:
        return [self._hear(power) for power in moving_power(frames).tolist()]

    def _hear(self, power: float) -> bool:
        """One frame, by its power. Plain numbers: an array of ten costs more than all that is done with it here."""
        # Samples beyond all bounds would make the smoothed power infinite, or NaN, for ever.
        self._smooth = SMOOTHING * self._smooth + (1 - SMOOTHING) * min(1.0, power)
        if self._frames % self._subwindow_frames == 0:
            self._lowest.append(self._smooth)
        elif self._smooth < self._lowest[-1]:
            self._lowest[-1] = self._smooth
        self._frames += 1
        self._voice = power >= self._floor() * (self._close if self._voice else self._open)
        return self._voice

    def _floor(self) -> float:
        """The noise floor, as power."""
        return min(max(min(self._lowest), self._lowest_floor), self._highest_floor)


def moving_power(frames: np.ndarray) -> np.ndarray:
    """Mean square of each of `frames (n, samples)` without its mean, float32 `(n,)`: cheap converters add a constant,
    which is no sound."""
    moving = frames - frames.mean(axis=1, keepdims=True)
    return np.einsum("ij,ij->i", moving, moving) / frames.shape[1]


def ratio(db: float) -> float:
    """Of powers.

    >>> ratio(20.0)
    100.0
    """
    return 10 ** (db / 10)


def level_dbfs(samples: np.ndarray) -> float:
    """Root mean square in dB relative to full scale; -200 for digital silence.

    >>> round(level_dbfs(np.ones(4, dtype=np.float32)))
    0
    """
    return power_dbfs(float(np.dot(samples, samples)) / len(samples))


def power_dbfs(power: float) -> float:
    """Mean square -> dB relative to full scale; -200 for digital silence.

    >>> power_dbfs(0.1)
    -10.0
    """
    return 10 * math.log10(max(power, ratio(SILENT_DBFS)))


def _silero(sample_rate: int) -> Gate:
    from edge.silero import SileroGate  # only for those who ask: it needs ONNX Runtime and a package of its own

    return SileroGate(sample_rate)


GATES: dict[str, Callable[[int], Gate]] = {"energy": EnergyGate, "silero": _silero}


def make_gate(name: str, sample_rate: int) -> Gate:
    """The gate `name` for audio at `sample_rate` Hz.

    Raises InputError for an unknown name, and where what the gate needs is not installed, naming what to install.
    """
    require(name in GATES, f"unknown gate {name}; known: {', '.join(GATES)}")
    return GATES[name](sample_rate)
