"""Other microphones and lines, by audiomentations: an equalizer, and now and then band limits or clipping."""

import audiomentations
import numpy as np

from augment.noise import Transform


class Microphone:
    """With probability `p` a random seven-band equalizer; on some also a low-cut, a high-cut, clipped peaks.

    The level is restored, as for rooms: how loud speech is, is another augmentation's question.
    """

    def __init__(self, p: float, sample_rate: int) -> None:
        self._p = p
        self._parts = [
            Transform(part, sample_rate)
            for part in (
                audiomentations.SevenBandParametricEQ(min_gain_db=-8.0, max_gain_db=8.0, p=1.0),
                audiomentations.HighPassFilter(min_cutoff_freq=60.0, max_cutoff_freq=300.0, p=0.4),
                audiomentations.LowPassFilter(min_cutoff_freq=3000.0, max_cutoff_freq=7500.0, p=0.4),
                audiomentations.ClippingDistortion(max_percentile_threshold=10, p=0.15),
            )
        ]

    def __call__(self, waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """`waveform (time,)` float32 -> the same shape and root mean square."""
        if rng.random() >= self._p or not waveform.any():
            return waveform
        level = np.sqrt(np.mean(np.square(waveform)))
        for part in self._parts:
            waveform = part(waveform, rng)
        new_level = np.sqrt(np.mean(np.square(waveform)))
        return waveform * np.float32(level / new_level) if new_level > 0 else waveform
