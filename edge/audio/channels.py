"""Selects channels of a device: the chosen one; else the mean of two; of an array, the first with a signal.

If one of two channels is inverted (a wrong cable, a faulty adapter) they cancel in their mean, and the noise that is
left would get an answer. So an inversion is reported, and the first channel alone is used.
"""

import numpy as np

from edge.audio.events import AudioEvent, AudioEventKind
from edge.audio.level import ratio

AUDIBLE = ratio(-60.0)
"""Power, relative to full scale, from which the correlation with another channel is measured"""
ALIKE = ratio(-20.0)
"""Ratio of the two powers from which one channel can cancel the other"""
INVERTED = -0.7
"""Correlation at or below which a channel is inverted"""
EVIDENCE_SECONDS = 0.3
"""s of audible sound over which the correlation is measured"""


class Channels:
    """Takes every block as the device gives it and returns the channels to be averaged.

    Args:
        count: number of the device's channels.
        rate: Hz.
        chosen: one of them, from 1; None: by the rules above.
    """

    def __init__(self, count: int, rate: int, chosen: int | None = None) -> None:
        if chosen is not None and not 1 <= chosen <= count:
            raise ValueError(f"channel {chosen} of {count}; give 1 to {count}")
        self._count, self._chosen, self._evidence = count, chosen, EVIDENCE_SECONDS * rate
        self._selected = 0 if chosen is None else chosen - 1
        self._one = chosen is not None or count > 2  # not the mean
        self._moved = np.zeros(count, dtype=bool)
        self._last: np.ndarray | None = None
        self._restart()

    def __call__(self, frames: np.ndarray) -> tuple[np.ndarray, list[AudioEvent]]:
        """`frames (time, count)` float32, as the driver gives them -> the channels to use, and events to report."""
        events = []
        if self._chosen is None and len(frames):
            if self._count > 2:
                events = self._first_with_signal(frames)
            elif self._count == 2 and not self._one:
                events = self._inversion(frames)
        return (frames[:, self._selected : self._selected + 1] if self._one else frames), events

    def _first_with_signal(self, frames: np.ndarray) -> list[AudioEvent]:
        """The lowest channel that was ever not constant: arrays put their processed sound first."""
        before = frames[:1] if self._last is None else self._last
        self._moved |= (frames != before).any(axis=0)
        self._last = frames[-1:].copy()
        found = int(np.argmax(self._moved))  # 0 where none has
        if found == self._selected:
            return []
        self._selected = found
        return [self._event(f"channel {found + 1} of {self._count} is used: those before it give no signal")]

    def _inversion(self, frames: np.ndarray) -> list[AudioEvent]:
        moving = (frames - frames.mean(axis=0)).astype(np.float64)
        powers = np.square(moving).mean(axis=0)
        # The comparison is false for NaN, so invalid samples are ignored.
        if not (powers.min() >= max(AUDIBLE, ALIKE * powers.max()) and powers.max() <= 1):
            return []
        self._frames += len(frames)
        self._products += moving.T @ moving
        if self._frames < self._evidence:
            return []
        (left, both), (_, right) = self._products
        self._restart()
        if both > INVERTED * np.sqrt(left * right):
            return []
        self._one = True
        return [
            self._event(
                "the two channels are inverted and cancel each other: channel 1 alone is used; "
                "choose one with --channel, or repair the cable"
            )
        ]

    def _restart(self) -> None:
        self._frames, self._products = 0, np.zeros((2, 2))

    def _event(self, message: str) -> AudioEvent:
        return AudioEvent(AudioEventKind.CHANNEL, message)
