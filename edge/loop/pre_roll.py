"""The last frames before an utterance, so that its first sound is not cut off."""

import numpy as np


class PreRoll:
    """A ring of the last `n_frames` frames of `frame_samples` samples, allocated once."""

    def __init__(self, n_frames: int, frame_samples: int) -> None:
        self._ring = np.zeros((n_frames, frame_samples), dtype=np.float32)
        self.clear()

    def clear(self) -> None:
        self._next = self._filled = 0

    def add(self, frames: np.ndarray) -> None:
        """Store the last of `frames (n, frame_samples)`; older ones are overwritten."""
        newest = frames[-len(self._ring) :]
        self._ring[(self._next + np.arange(len(newest))) % len(self._ring)] = newest
        self._next = (self._next + len(newest)) % len(self._ring)
        self._filled = min(self._filled + len(newest), len(self._ring))

    def take(self) -> np.ndarray:
        """The frames stored, `(n, frame_samples)`, oldest first; the ring is empty afterwards."""
        frames = self._ring[(self._next - self._filled + np.arange(self._filled)) % len(self._ring)]
        self.clear()
        return frames
