"""Levels of sound, in dB relative to full scale (dBFS). NumPy only."""

import math

import numpy as np

LOWEST_DBFS = -200.0
"""The level of digital silence"""


def moving_power(frames: np.ndarray) -> np.ndarray:
    """Mean square of each of `frames (n, samples)` without its mean, float32 `(n,)`: cheap converters add a constant,
    which is no sound."""
    moving = frames - frames.mean(axis=1, keepdims=True)
    return np.einsum("ij,ij->i", moving, moving) / frames.shape[1]


def ratio(db: float) -> float:
    """Ratio of two powers whose levels differ by `db`.

    >>> ratio(20.0)
    100.0
    """
    return 10 ** (db / 10)


def level_dbfs(samples: np.ndarray) -> float:
    """Root mean square in dB relative to full scale; -200 for digital silence.

    >>> round(level_dbfs(np.ones(4, dtype=np.float32)))
    0
    """
    return power_dbfs(float(np.dot(samples, samples)) / len(samples))


def power_dbfs(power: float) -> float:
    """Mean square -> dB relative to full scale; -200 for digital silence.

    >>> power_dbfs(0.1)
    -10.0
    """
    return 10 * math.log10(max(power, ratio(LOWEST_DBFS)))
