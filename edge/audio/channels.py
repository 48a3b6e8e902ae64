"""Which of a device's channels are heard. A chosen one; else one or the mean of two; of an array, the first that works.

Two channels of which one is inverted (a wrong cable, a faulty adapter) cancel in their mean: what is left is noise, and
it would be answered. That is told, and one of them is heard.
"""

import numpy as np

from edge.audio.events import AudioEvent, AudioEventKind
from edge.audio.level import ratio

AUDIBLE = ratio(-60.0)
"""Power, relative to full scale, from which a channel's correlation with another means anything"""
ALIKE = ratio(-20.0)
"""Ratio of the two powers from which one can cancel enough of the other"""
INVERTED = -0.7
"""Correlation from here down"""
EVIDENCE_SECONDS = 0.3
"""s of audible sound that the correlation is taken over"""


class Channels:
    """Hears every block as the device gives it, and hands on the channels to be averaged.

    Args:
        count: of the device's channels.
        rate: Hz.
        chosen: one of them, from 1; None: by the rules above.
    """

    def __init__(self, count: int, rate: int, chosen: int | None = None) -> None:
        if chosen is not None and not 1 <= chosen <= count:
            raise ValueError(f"channel {chosen} of {count}; give 1 to {count}")
        self._count, self._chosen, self._evidence = count, chosen, EVIDENCE_SECONDS * rate
        self._heard = 0 if chosen is None else chosen - 1
        self._one = chosen is not None or count > 2  # not the mean
        self._moved = np.zeros(count, dtype=bool)
        self._last: np.ndarray | None = None
        self._forget()

    def __call__(self, frames: np.ndarray) -> tuple[np.ndarray, list[AudioEvent]]:
        """`frames (time, count)` float32, as the driver gives them -> the channels that are heard, and what to tell."""
        told = []
        if self._chosen is None and len(frames):
            if self._count > 2:
                told = self._first_that_works(frames)
            elif self._count == 2 and not self._one:
                told = self._inversion(frames)
        return (frames[:, self._heard : self._heard + 1] if self._one else frames), told

    def _first_that_works(self, frames: np.ndarray) -> list[AudioEvent]:
        """The lowest channel that ever gave anything but a constant: arrays put their processed sound first."""
        before = frames[:1] if self._last is None else self._last
        self._moved |= (frames != before).any(axis=0)
        self._last = frames[-1:].copy()
        found = int(np.argmax(self._moved))  # 0 where none has
        if found == self._heard:
            return []
        self._heard = found
        return [self._told(f"channel {found + 1} of {self._count} is heard: those before it give nothing")]

    def _inversion(self, frames: np.ndarray) -> list[AudioEvent]:
        moving = (frames - frames.mean(axis=0)).astype(np.float64)
        powers = np.square(moving).mean(axis=0)
        # Written so that garbage, NaN included, is no evidence.
        if not (powers.min() >= max(AUDIBLE, ALIKE * powers.max()) and powers.max() <= 1):
            return []
        self._frames += len(frames)
        self._products += moving.T @ moving
        if self._frames < self._evidence:
            return []
        (left, both), (_, right) = self._products
        self._forget()
        if both > INVERTED * np.sqrt(left * right):
            return []
        self._one = True
        return [
            self._told(
                "the two channels are inverted and cancel each other: channel 1 alone is heard; "
                "choose one with --channel, or mend the cable"
            )
        ]

    def _forget(self) -> None:
        self._frames, self._products = 0, np.zeros((2, 2))

    def _told(self, message: str) -> AudioEvent:
        return AudioEvent(AudioEventKind.CHANNEL, message)
