"""What a voice sounds like on average: the mean log-mel spectrum of an utterance, without its level. NumPy only.

It tells the few people of a home apart (`edge.stream.people`), through one microphone; it identifies nobody among
strangers.
"""

import numpy as np

from crnn.config import FeatureConfig
from crnn.features import LogMel


class VoiceSums:
    """Mean over the frames of whatever is added, whose memory does not grow; independent of the size of the parts."""

    def __init__(self, features: FeatureConfig) -> None:
        self._log_mel, self._config = LogMel(features), features
        self.clear()

    def clear(self) -> None:
        """Begin another utterance."""
        self._rest = np.zeros(0, dtype=np.float32)  # samples that the next frame begins with
        self._sum = np.zeros(self._config.n_mels)
        self._frames = 0

    def add(self, samples: np.ndarray) -> None:
        """Add `samples (time,)` float32 in which somebody speaks; pauses are left out before."""
        samples = np.concatenate([self._rest, samples])
        if len(samples) < self._config.n_fft:
            self._rest = samples
            return
        log_mel = self._log_mel(samples)
        for frame in log_mel.T:  # one by one: the sum must not depend on how many come at once
            self._sum += frame
        self._frames += log_mel.shape[1]
        self._rest = samples[log_mel.shape[1] * self._config.hop_length :]

    def vector(self) -> np.ndarray | None:
        """`(n_mels,)` float64 whose mean is 0; None before the first whole frame."""
        return None if self._frames == 0 else (self._sum - self._sum.mean()) / self._frames
