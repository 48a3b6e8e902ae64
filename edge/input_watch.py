"""Is what the microphone gives worth hearing? Nothing but zeros, input at full scale, and what is no sound at all."""

import numpy as np

from edge.events import AudioEvent, AudioEventKind

FULL_SCALE = 0.999
"""Magnitude from which a sample counts as clipped: a 16-bit 32767 is 0.99997"""


class InputWatch:
    """Hears every block as the device gives it, before anything is done to it; tells what begins and ends.

    Args:
        rate: Hz.
        zeros_seconds: a line that is dead for so long is told.
        clip_share: share of one second's samples at full scale that is told, 0 to 1; it has ended below half of it.
    """

    def __init__(self, rate: int, zeros_seconds: float, clip_share: float) -> None:
        self._rate, self._zeros_seconds, self._clip_share = rate, zeros_seconds, clip_share
        self._dead_frames, self._dead = 0, False
        self._last: np.ndarray | None = None  # the frame before
        self._frames = self._full = 0  # in this second
        self._clipped = False

    def update(self, frames: np.ndarray) -> list[AudioEvent]:
        """`frames (time, channels)` float32 -> what has begun or ended with them. One dead channel is no fault."""
        if not len(frames):
            return []
        return self._zeros(frames) + self._clipping(frames)

    def _zeros(self, frames: np.ndarray) -> list[AudioEvent]:
        # A dead line is constant: mostly, not always, zero.
        before = frames[:1] if self._last is None else self._last
        changes = np.flatnonzero((frames != np.concatenate([before, frames[:-1]])).any(axis=1))
        self._last = frames[-1:].copy()
        if len(changes):
            ended, self._dead, self._dead_frames = self._dead, False, len(frames) - int(changes[-1])
            return [AudioEvent(AudioEventKind.RECOVERED, "there is a signal again")] if ended else []
        self._dead_frames += len(frames)
        if self._dead or self._dead_frames < self._zeros_seconds * self._rate:
            return []
        self._dead = True
        message = f"nothing but zeros for {self._zeros_seconds:g} s: muted, or the wrong input"
        return [AudioEvent(AudioEventKind.ZEROS, message)]

    def _clipping(self, frames: np.ndarray) -> list[AudioEvent]:
        self._frames += len(frames)
        # Of the worst channel; what is no number is not below full scale either.
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


def sound(frames: np.ndarray) -> np.ndarray:
    """Whatever a driver gives, as samples: within [-1, 1], and 0 for what is no number."""
    return np.clip(np.nan_to_num(frames, nan=0.0, posinf=1.0, neginf=-1.0), -1, 1)
