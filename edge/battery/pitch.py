"""The pitch of a speaker, by autocorrelation (Boersma 1993), and the three groups of the published suite."""

from collections.abc import Sequence

import numpy as np

PITCH_HZ = (50.0, 350.0)
"""Outside of this range an estimate is a mistake"""
GROUPS_HZ = (145.0, 190.0)
"""Up to the first: low; up to the second: medium; above: high"""
FRAME_SECONDS, STEP_SECONDS = 0.06, 0.02
MIN_PERIODICITY = 0.5
"""Normalized autocorrelation of a voiced frame, 0 to 1"""
MIN_LEVEL = 0.1
"""Of a voiced frame, relative to the loudest frame"""
OCTAVE_COST = 0.05
"""Of the periodicity, per octave below the highest pitch: of two equal peaks the shorter period is the pitch"""


def voiced_pitch(waveform: np.ndarray, rate: int) -> np.ndarray:
    """F0 in Hz of each voiced frame of `waveform (time,)`; empty where none is voiced."""
    length, step = round(FRAME_SECONDS * rate), round(STEP_SECONDS * rate)
    if len(waveform) < length:
        return np.zeros(0)
    frames = np.lib.stride_tricks.sliding_window_view(np.asarray(waveform, dtype=np.float64), length)[::step]
    frames = frames - frames.mean(axis=1, keepdims=True)
    levels = np.sqrt(np.mean(np.square(frames), axis=1))
    frames = frames[levels > max(MIN_LEVEL * levels.max(), 1e-6)]
    if not len(frames):
        return np.zeros(0)
    window = np.hanning(length)
    lags = np.arange(round(rate / PITCH_HZ[1]), round(rate / PITCH_HZ[0]) + 1)
    found = _autocorrelation(frames * window)[:, lags] / _autocorrelation(window[None])[:, lags]
    best = (found - OCTAVE_COST * np.log2(lags / lags[0])).argmax(axis=1)
    voiced = (found[np.arange(len(found)), best] > MIN_PERIODICITY) & (best > 0) & (best < len(lags) - 1)
    return rate / lags[best[voiced]]


def _autocorrelation(frames: np.ndarray) -> np.ndarray:
    """Of each row `(n, length)`, by lag, 1 at lag 0."""
    length = frames.shape[1]
    power = np.square(np.abs(np.fft.rfft(frames, 2 * length)))
    correlation = np.fft.irfft(power)[:, :length]
    return correlation / correlation[:, :1]


def pitch_group(waveforms: Sequence[np.ndarray], rate: int) -> str | None:
    """low, medium or high, by the median F0 of a speaker's clips; None if nothing in them is voiced."""
    found = np.concatenate([voiced_pitch(waveform, rate) for waveform in waveforms])
    if not len(found):
        return None
    low, medium = GROUPS_HZ
    middle = float(np.median(found))
    return "low" if middle <= low else "medium" if middle <= medium else "high"
