"""Subtract the steady noise of a recording, so that the signal-to-noise ratio does not reveal how loud speech was."""

import numpy as np
from scipy.ndimage import uniform_filter
from scipy.signal import istft, stft

WINDOW_SECONDS = 0.032
QUIET_SHARE = 0.15
"""Share of the frames, the quietest, that are treated as noise alone"""
DIGITAL_SILENCE = 1e-10
"""Mean square below which a frame holds no recording at all"""
OVERSUBTRACTION = 4.0
SMOOTHING = (5, 5)
"""Bins and frames over which power is averaged before it is compared with the noise; otherwise single peaks of noise
remain, as musical noise"""
LEAST_GAIN = 0.01
"""Remaining amplitude of noise alone (-40 dB)"""


class Denoise:
    """Spectral subtraction (Boll 1979; over-subtracted, with a spectral floor: Berouti et al. 1979).

    A corpus from one room and one microphone has one noise level, so louder speech has a higher signal-to-noise ratio.
    In CREMA-D it is 27 dB for angry speech and 11 dB for sad speech. A model that compares bands with each other can
    learn this ratio in place of emotion; in a studio recording, at 60 dB, it then answers angry.

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
