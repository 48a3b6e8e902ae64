"""The length and the level of the background around speech."""

import numpy as np

FRAME_SECONDS = 0.02
THRESHOLD_DB = -35.0
"""Frames this far below the loudest one, at either end, are not speech"""
MARGIN_SECONDS = 0.1


class Padding:
    """Cut the silence around speech, and put speech at a drawn place into a longer stretch of faint background noise.

    Corpora differ in the length and the level of the silence around a sentence. Neither depends on emotion, and a model
    that learns either fails on other corpora.

    Args:
        min_samples: length of the result, unless the speech is longer.
        min_background_db, max_background_db: level of that noise, drawn between them, dB relative to the speech. Its
            spectrum falls with frequency by a drawn slope between white and brown.
    """

    def __init__(self, min_samples: int, sample_rate: int, min_background_db: float, max_background_db: float) -> None:
        if min_background_db > max_background_db:
            raise ValueError(f"min_background_db {min_background_db} is above max_background_db {max_background_db}")
        self._min_samples, self._sample_rate = min_samples, sample_rate
        self._background_db = (min_background_db, max_background_db)

    def __call__(self, waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """`waveform (time,)` float32 -> `(at least min_samples,)` float32."""
        speech = trim(waveform, self._sample_rate)
        level = float(np.sqrt(np.mean(np.square(speech, dtype=np.float64))))
        made = place(speech, rng, self._min_samples)
        background = coloured_noise(len(made), float(rng.uniform(0.0, 2.0)), rng)
        return made + np.float32(level * 10 ** (rng.uniform(*self._background_db) / 20)) * background


def trim(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Without the silence before and after speech: frames `THRESHOLD_DB` below the loudest 20 ms of the whole clip.

    The device does not have the whole clip; it detects speech above its noise floor (`edge.audio.vad`).
    """
    size = round(FRAME_SECONDS * sample_rate)
    frames = waveform[: len(waveform) // size * size].reshape(-1, size)
    power = np.mean(np.square(frames, dtype=np.float64), axis=1)
    loud = np.flatnonzero(power > power.max(initial=0) * 10 ** (THRESHOLD_DB / 10))
    if len(power) < 2 or not len(loud):
        return waveform
    margin = round(MARGIN_SECONDS * sample_rate)
    return waveform[max(0, loud[0] * size - margin) : (loud[-1] + 1) * size + margin]


def place(waveform: np.ndarray, rng: np.random.Generator, min_samples: int) -> np.ndarray:
    """Pad a waveform shorter than `min_samples` with zeros, at a drawn place; longer ones are returned unchanged."""
    spare = min_samples - len(waveform)
    if spare <= 0:
        return waveform
    before = int(rng.integers(0, spare + 1))
    return np.pad(waveform, (before, spare - before))


def coloured_noise(n: int, slope: float, rng: np.random.Generator) -> np.ndarray:
    """Noise of root mean square 1 whose power falls as frequency ** -slope: `(n,)` float32."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    spectrum *= np.maximum(np.arange(len(spectrum)), 1.0) ** (-slope / 2)
    noise = np.fft.irfft(spectrum, n)
    return (noise / np.sqrt(np.mean(np.square(noise)))).astype(np.float32)
