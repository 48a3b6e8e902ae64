"""A recognizer that costs nothing: averages in NumPy as encoder and head, over a small window at 8 kHz."""

import numpy as np

from crnn.config import FeatureConfig, StreamGeometry
from edge.runtimes import Contract
from edge.stream.recognizer import StreamingRecognizer

LABELS = ("neutral", "happy", "angry")
FEATURES = FeatureConfig(sample_rate=8000, n_fft=400, hop_length=100, n_mels=8, f_min=100.0, f_max=3600.0)
GEOMETRY = StreamGeometry(
    n_fft=400, hop_length=100, stride_frames=2, receptive_frames=5, interval_steps=3, window_intervals=4, lead_frames=4
)
POSITIONS = np.linspace(0.5, 1.5, GEOMETRY.window_steps, dtype=np.float32)
"""Weight of each step: an answer depends on their order"""


class Encoder:
    """Step k is the mean of the five frames from 2k on."""

    contract = Contract("log_mel", (1, 8, GEOMETRY.block_frames), "steps", (1, GEOMETRY.interval_steps, 8))

    def run(self, x: np.ndarray) -> np.ndarray:
        assert (x.shape, x.dtype) == (self.contract.input_shape, np.float32)
        return np.stack([x[0, :, 2 * k : 2 * k + 5].mean(axis=1) for k in range(GEOMETRY.interval_steps)])[None]


class Head:
    """The pooled vector is the mean over the weighted steps; the logits are its first values times `gain`, plus
    `offset`; the arousal, if there is one, is between 0 and 1 for any sound, plus `offset`."""

    def __init__(self, gain: float = 0.1, offset: float = 0.0, arousal: bool = False) -> None:
        self.gain, self.offset, self.arousal = np.float32(gain), np.float32(offset), arousal
        made = (1, len(LABELS) + arousal + 8)
        self.contract = Contract("steps", (1, GEOMETRY.window_steps, 8), "logits_and_pooled", made)

    def run(self, x: np.ndarray) -> np.ndarray:
        assert (x.shape, x.dtype) == (self.contract.input_shape, np.float32)
        pooled = (x[0] * POSITIONS[:, None]).mean(axis=0)
        arousal = [1 / (1 + np.exp(-(pooled[-1:] + 5) / 10)) + self.offset] if self.arousal else []
        return np.concatenate([self.gain * pooled[: len(LABELS)] + self.offset, *arousal, pooled])[None]


def small_recognizer(
    gain: float = 0.1, offset: float = 0.0, features: FeatureConfig = FEATURES, arousal: bool = False
) -> StreamingRecognizer:
    head = Head(gain, offset, arousal)
    return StreamingRecognizer(Encoder(), head, features, GEOMETRY, LABELS, arousal=arousal)
