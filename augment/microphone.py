"""Other microphones and lines, by audiomentations: an equalizer, sometimes band limits or clipping."""

import audiomentations
import numpy as np

from augment.noise import Transform, at_level_of


class Microphone:
    """With probability `p` a random seven-band equalizer; in some of these also a low-cut, a high-cut or clipped peaks.

    The level of the input is restored, because `Gain` alone changes levels.
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
        changed = waveform
        for part in self._parts:
            changed = part(changed, rng)
        return at_level_of(waveform, changed)
