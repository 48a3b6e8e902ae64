"""Rooms that nobody measured: a direct sound and a noise tail that dies away, drawn anew each time (Polack 1988)."""

import numpy as np
from scipy.signal import oaconvolve

from augment.noise import at_level_of

DECAY = np.log(10.0**3)
"""Nepers that amplitude falls in the reverberation time: 60 dB"""


class Reverb:
    """With probability `p` convolution with a drawn response, at the level of the input.

    Args:
        seconds: shortest and longest reverberation time (-60 dB); drawn evenly on a logarithmic scale.
        direct_db: lowest and highest power of the direct sound over that of the tail, dB; drawn between them.
    """

    def __init__(
        self, p: float, sample_rate: int, seconds: tuple[float, float], direct_db: tuple[float, float]
    ) -> None:
        self._p, self._sample_rate = p, sample_rate
        self._log_seconds, self._direct_db = np.log(seconds), direct_db

    def __call__(self, waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """`waveform (time,)` float32 -> the same shape and root mean square."""
        if rng.random() >= self._p or not waveform.any():
            return waveform
        seconds, direct_db = float(np.exp(rng.uniform(*self._log_seconds))), float(rng.uniform(*self._direct_db))
        drawn = response(seconds, direct_db, self._sample_rate, rng)
        return at_level_of(waveform, oaconvolve(waveform, drawn)[: len(waveform)].astype(np.float32))


def response(seconds: float, direct_db: float, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """An impulse response `(time,)` float64 that begins with a direct sound of 1.

    The tail is noise under exp(-6.9 t / seconds), what lies above a drawn frequency dying up to three times as fast:
    walls and air swallow high frequencies first.
    """
    n = max(2, round(seconds * sample_rate))
    t = np.arange(n) / sample_rate
    low, high = _split(rng.standard_normal(n), rng.uniform(500.0, 4000.0), sample_rate)
    tail = low * np.exp(-DECAY * t / seconds) + high * np.exp(-DECAY * t * rng.uniform(1.0, 3.0) / seconds)
    tail[0] = 0.0
    made = tail * np.sqrt(10 ** (-direct_db / 10) / np.sum(np.square(tail)))
    made[0] = 1.0
    return made


def _split(noise: np.ndarray, cutoff: float, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise below and above a frequency in Hz."""
    spectrum = np.fft.rfft(noise)
    edge = round(cutoff / sample_rate * len(noise))
    low = np.fft.irfft(np.concatenate([spectrum[:edge], np.zeros(len(spectrum) - edge)]), len(noise))
    return low, noise - low
