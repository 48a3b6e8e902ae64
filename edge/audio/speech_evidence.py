"""Evidence of a voice over the last seconds: a VAD must answer before it can be sure."""

from collections import deque
from enum import IntEnum

WINDOW_SECONDS = 3.0
"""s over which evidence is counted: the length of the model's window"""
PAUSE_SECONDS = 0.5
"""s without a voice after which it is cleared: what follows may be another sound"""


class Voice(IntEnum):
    """Answer of a VAD for one frame; false where there is no voice."""

    NO = 0
    PERHAPS = 1
    """Loud or likely enough to be processed; it may be noise"""
    SURE = 2
    """And the sound of the last seconds was a voice"""


class Evidence:
    """Counts of frames that are evidence of a voice, of two kinds, +1 and -1.

    Args:
        frame_seconds: s, length of a frame.
    """

    def __init__(self, frame_seconds: float) -> None:
        self._values: deque[int] = deque(maxlen=round(WINDOW_SECONDS / frame_seconds))
        self._pause_frames = round(PAUSE_SECONDS / frame_seconds)
        self.clear()

    def clear(self) -> None:
        self._values.clear()
        self.positive = self.negative = self._quiet = 0

    def __len__(self) -> int:
        """Frames counted: at most a window, from the first with a voice on."""
        return len(self._values)

    def add(self, value: int, voice: bool) -> None:
        """One frame: +1, -1, or 0 for none; and whether it has a voice in it."""
        self._quiet = 0 if voice else self._quiet + 1
        if self._quiet >= self._pause_frames:
            self.clear()
        if not voice and not self._values:
            return
        if len(self._values) == self._values.maxlen:
            self._count(self._values[0], -1)
        self._values.append(value)
        self._count(value, 1)

    def _count(self, value: int, times: int) -> None:
        if value > 0:
            self.positive += times
        elif value < 0:
            self.negative += times
