"""Monitors the input of a microphone: zeros, clipping, a wrong rate, and values that are no samples."""

import numpy as np

from crnn.decoders.pcm import FULL_SCALE
from edge.audio.events import AudioEvent, AudioEventKind

WINDOW_SECONDS, SETTLING_SECONDS = 4.0, 1.0
"""s over which a rate is measured; s before that, in which drivers deliver what they have buffered"""
RATE_TOLERANCE = 0.04
"""Share by which a rate may differ: 44100 and 48000 Hz differ by 8 %, a quartz by 0.01 %"""
USUAL_RATES = (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 176400, 192000)
"""Hz"""


class SignalMonitor:
    """Takes every block as the device gives it and reports when zeros or clipping begin and end.

    Args:
        rate: Hz.
        zeros_seconds: s of a constant signal that are reported.
        clip_share: share of one second's samples at full scale that is reported, 0 to 1; below half of it clipping has
            ended.
    """

    def __init__(self, rate: int, zeros_seconds: float, clip_share: float) -> None:
        self._rate, self._zeros_seconds, self._clip_share = rate, zeros_seconds, clip_share
        self._constant_frames, self._constant = 0, False
        self._last: np.ndarray | None = None  # the frame before
        self._frames = self._full = 0  # in this second
        self._clipped = False

    def update(self, frames: np.ndarray) -> list[AudioEvent]:
        """`frames (time, channels)` float32 -> what begins or ends in them. One constant channel alone is no fault."""
        if not len(frames):
            return []
        return self._zeros(frames) + self._clipping(frames)

    def _zeros(self, frames: np.ndarray) -> list[AudioEvent]:
        # A line without a signal is constant: mostly, not always, zero.
        before = self._last if self._last is not None and self._last.shape[1] == frames.shape[1] else frames[:1]
        changes = np.flatnonzero((frames != np.concatenate([before, frames[:-1]])).any(axis=1))
        self._last = frames[-1:].copy()
        if len(changes):
            ended, self._constant, self._constant_frames = self._constant, False, len(frames) - int(changes[-1])
            return [AudioEvent(AudioEventKind.RECOVERED, "there is a signal again")] if ended else []
        self._constant_frames += len(frames)
        if self._constant or self._constant_frames < self._zeros_seconds * self._rate:
            return []
        self._constant = True
        message = f"nothing but zeros for {self._zeros_seconds:g} s: muted, or the wrong input"
        return [AudioEvent(AudioEventKind.ZEROS, message)]

    def _clipping(self, frames: np.ndarray) -> list[AudioEvent]:
        self._frames += len(frames)
        # Of the worst channel; NaN counts as clipped, hence the negation.
        self._full += int((~(np.abs(frames) < FULL_SCALE)).sum(axis=0).max())
        if self._frames < self._rate:
            return []
        share = self._full / self._frames
        self._frames = self._full = 0
        if not self._clipped and share >= self._clip_share:
            self._clipped = True
            message = f"{share:.0%} of the samples at full scale or beyond: turn the microphone down"
            return [AudioEvent(AudioEventKind.CLIPPED, message)]
        if self._clipped and share < self._clip_share / 2:
            self._clipped = False
            return [AudioEvent(AudioEventKind.RECOVERED, "the input is no longer clipped")]
        return []


class RateMonitor:
    """Counts samples against the clock: does a device deliver the rate that it was opened with?

    A wrong rate is reported once two windows in a row agree on it: in one alone the machine may have been busy.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._begin: float | None = None  # of this window, s
        self._settled = False
        self._frames = 0
        self._before: float | None = None  # measured by the window before, where that was wrong

    def update(self, n_frames: int, seconds: float) -> float | None:
        """Count `n_frames`, the lost ones included, of which the last came at `seconds` by a monotonic clock.

        Returns the samples per second, where they are wrong.
        """
        if self._begin is None:
            self._begin = seconds
            return None
        self._frames += n_frames
        elapsed = seconds - self._begin
        if elapsed < (WINDOW_SECONDS if self._settled else SETTLING_SECONDS):
            return None
        measured, settled = self._frames / elapsed, self._settled
        self._begin, self._frames, self._settled = seconds, 0, True
        if not settled:
            return None
        wrong = abs(measured / self._rate - 1) > RATE_TOLERANCE
        before, self._before = self._before, measured if wrong else None
        if not wrong or before is None or abs(measured / before - 1) >= RATE_TOLERANCE / 2:
            return None
        return (before + measured) / 2


def usual_rate(measured: float) -> int | None:
    """The usual rate, Hz, that is within 2 % of the one measured.

    >>> usual_rate(15950.0), usual_rate(40000.0)
    (16000, None)
    """
    nearest = min(USUAL_RATES, key=lambda rate: abs(measured / rate - 1))
    return nearest if abs(measured / nearest - 1) < RATE_TOLERANCE / 2 else None


def as_samples(frames: np.ndarray) -> np.ndarray:
    """Values from a driver as samples: within [-1, 1], and 0 for NaN."""
    return np.clip(np.nan_to_num(frames, nan=0.0, posinf=1.0, neginf=-1.0), -1, 1)
