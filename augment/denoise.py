"""Subtract the steady noise of a recording, so that its distance to the speech reveals nothing."""

import numpy as np
from scipy.ndimage import uniform_filter
from scipy.signal import istft, stft

WINDOW_SECONDS = 0.032
QUIET_SHARE = 0.15
"""Share of the frames, the quietest, that are taken to hold noise alone"""
DIGITAL_SILENCE = 1e-10
"""Mean square below which a frame holds no recording at all"""
OVERSUBTRACTION = 4.0
SMOOTHING = (5, 5)
"""Bins and frames over which power is averaged before it is compared with the noise: single peaks of noise would stay,
and sing"""
LEAST_GAIN = 0.01
"""Amplitude left of what is noise alone (-40 dB)"""


class Denoise:
    """Spectral subtraction (Boll 1979; over-subtracted, with a spectral floor: Berouti et al. 1979).

    One room and one microphone give a corpus one level of noise, so whoever speaks louder stands further above it. In
    CREMA-D angry speech is 27 dB above it and sad speech 11: a model that compares bands with each other sees the
    level after all, and in a studio, 60 dB above the noise, it calls everybody angry.

    Args:
        p: share of clips, 0 to 1.
    """

    def __init__(self, p: float, sample_rate: int) -> None:
        self._p, self._size = p, round(WINDOW_SECONDS * sample_rate)

    def __call__(self, waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """`waveform (time,)` float32 -> the same shape."""
        if rng.random() >= self._p or len(waveform) < 2 * self._size:
            return waveform
        _, _, spectrum = stft(waveform, nperseg=self._size, scaling="psd")
        power = np.square(np.abs(spectrum))
        level = power.sum(axis=0)
        recorded = np.flatnonzero(level > DIGITAL_SILENCE)
        if not len(recorded):
            return waveform
        quiet = recorded[np.argsort(level[recorded])[: max(1, round(QUIET_SHARE * len(recorded)))]]
        noise = power[:, quiet].mean(axis=1, keepdims=True)
        smoothed = np.maximum(uniform_filter(power, SMOOTHING), np.finfo(power.dtype).tiny)
        gain = np.sqrt(np.maximum(1 - OVERSUBTRACTION * noise / smoothed, LEAST_GAIN**2))
        _, cleaned = istft(spectrum * gain, nperseg=self._size, scaling="psd")
        return cleaned[: len(waveform)].astype(np.float32)
