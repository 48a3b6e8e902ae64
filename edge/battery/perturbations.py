"""Changes of a waveform, as the published test suite for SER models describes them.

Each function takes and returns `waveform (time,)` float32; random numbers come from the given generator alone. Lengths
stay as they are where nothing else is said. Nothing is limited to full scale here (`edge.battery.answers` does that).
"""

from collections.abc import Callable, Sequence

import numpy as np
import soxr
from scipy.signal import butter, firwin2, oaconvolve, sosfilt

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""`waveform (time,)`, generator -> changed waveform"""

TONE_HZ = (5000.0, 7000.0)
TONE_SNR_DB = (40, 45, 50)
"""Of peaks"""
EDGE_SAMPLES = (100, 500, 1000)
"""Zeros added, or samples cut off; at 16 kHz 6, 31 and 63 ms"""
CLIPPED_SHARES = (0.001, 0.002, 0.003)
GAINS_DB = (-2, -1, 1, 2)
HIGH_PASS_HZ = (50, 100, 150)
LOW_PASS_HZ = (7500, 7000, 6500)
FAINT_NOISE_SNR_DB = (35, 40, 45)
TILT_DB = 12.0
"""Between 0 Hz and half the sample rate"""
TILT_TAPS = 511
TELEPHONE_RATE = 8000
TELEPHONE_HZ = (300, 3400)
MU = 255
"""Of the mu-law of telephony (ITU-T G.711), 8 bits"""


def rms(waveform: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64))))


def mixed(waveform: np.ndarray, sound: np.ndarray, snr_db: float) -> np.ndarray:
    """`waveform` with `sound (time,)`, scaled so that their powers differ by `snr_db`."""
    factor = rms(waveform) / max(rms(sound), 1e-6) * 10 ** (-snr_db / 20)
    return waveform + np.float32(factor) * sound


def stretch(sound: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    """`length` samples of `sound` from a drawn place on; a short sound is repeated."""
    return np.resize(np.roll(sound, -int(rng.integers(len(sound)))), length)


def tone(rate: int) -> Change:
    """A faint sine between 5 and 7 kHz, or below half a lower rate."""

    def change(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        frequency = min(rng.uniform(*TONE_HZ), 0.45 * rate)
        amplitude = np.abs(waveform).max() * 10 ** (-rng.choice(TONE_SNR_DB) / 20)
        sine = np.sin(2 * np.pi * frequency * np.arange(len(waveform)) / rate + rng.uniform(0, 2 * np.pi))
        return (waveform + amplitude * sine).astype(np.float32)

    return change


def zeros_before(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Longer by 100, 500 or 1000 samples."""
    return np.concatenate([np.zeros(rng.choice(EDGE_SAMPLES), dtype=np.float32), waveform])


def zeros_after(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Longer by 100, 500 or 1000 samples."""
    return np.concatenate([waveform, np.zeros(rng.choice(EDGE_SAMPLES), dtype=np.float32)])


def cut_begin(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shorter by 100, 500 or 1000 samples."""
    return waveform[rng.choice(EDGE_SAMPLES) :]


def cut_end(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shorter by 100, 500 or 1000 samples."""
    return waveform[: -rng.choice(EDGE_SAMPLES)]


def clipped(waveform: np.ndarray, share: float) -> np.ndarray:
    """Peaks cut so that `share` of the samples are at the limit."""
    limit = np.float32(np.quantile(np.abs(waveform), 1 - share))
    return np.clip(waveform, -limit, limit)


def clip_little(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """0.1 to 0.3 % of the samples clipped."""
    return clipped(waveform, rng.choice(CLIPPED_SHARES))


def gain(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """1 or 2 dB louder or softer."""
    return waveform * np.float32(10 ** (rng.choice(GAINS_DB) / 20))


def first_order(kind: str, frequencies: Sequence[float], rate: int) -> Change:
    """A Butterworth filter of order 1 at a drawn frequency in Hz; `kind`: highpass or lowpass."""

    def change(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        frequency = min(float(rng.choice(frequencies)), 0.49 * rate)
        return sosfilt(butter(1, frequency, kind, fs=rate, output="sos"), waveform).astype(np.float32)

    return change


def white_noise(*snrs_db: float) -> Change:
    """Gaussian white noise at a drawn signal-to-noise ratio."""

    def change(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return mixed(waveform, rng.standard_normal(len(waveform), dtype=np.float32), rng.choice(snrs_db))

    return change


def noise(sounds: Sequence[np.ndarray], snr_db: float) -> Change:
    """A stretch of a drawn recording under the whole waveform."""

    def change(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        sound = sounds[int(rng.integers(len(sounds)))]
        return mixed(waveform, stretch(sound, len(waveform), rng), snr_db)

    return change


def once(sounds: Sequence[np.ndarray], snr_db: float) -> Change:
    """One drawn sound, a cough say, at a drawn place; one that is too long is cut to the waveform's length. Its own
    power, where it sounds, is `snr_db` below the waveform's."""

    def change(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        sound = sounds[int(rng.integers(len(sounds)))][: len(waveform)]
        start = int(rng.integers(len(waveform) - len(sound) + 1))
        factor = rms(waveform) / max(rms(sound), 1e-6) * 10 ** (-snr_db / 20)
        made = waveform.copy()
        made[start : start + len(sound)] += np.float32(factor) * sound
        return made

    return change


def telephone(waveform: np.ndarray, rate: int, companded: bool = True) -> np.ndarray:
    """300 to 3400 Hz at 8 kHz, through the 8 bits of the mu-law if `companded`, and back; the same length."""
    narrow = soxr.resample(waveform, rate, TELEPHONE_RATE)
    narrow = sosfilt(butter(4, TELEPHONE_HZ, "bandpass", fs=TELEPHONE_RATE, output="sos"), narrow)
    narrow = mu_law(narrow) if companded else narrow
    wide = soxr.resample(narrow, TELEPHONE_RATE, rate).astype(np.float32)[: len(waveform)]
    return np.pad(wide, (0, len(waveform) - len(wide)))


def mu_law(samples: np.ndarray) -> np.ndarray:
    """Companded, rounded to one of 255 levels, expanded; louder than full scale is clipped."""
    compressed = np.sign(samples) * np.log1p(MU * np.minimum(np.abs(samples), 1)) / np.log1p(MU)
    coded = np.round(compressed * (MU // 2)) / (MU // 2)
    return np.sign(coded) * np.expm1(np.abs(coded) * np.log1p(MU)) / MU


def in_room(waveform: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Convolved with an impulse response `(time,)` of energy 1; the room's sound after the end is cut off."""
    response = response / np.sqrt(np.sum(np.square(response)))
    return oaconvolve(waveform, response)[: len(waveform)].astype(np.float32)


def room(responses: Sequence[np.ndarray]) -> Change:
    """In a drawn room."""
    return lambda waveform, rng: in_room(waveform, responses[int(rng.integers(len(responses)))])


def tilt(decibels: float) -> Change:
    """The spectrum tilted by so many dB, linearly, between 0 Hz and half the sample rate, at the same level."""
    taps = firwin2(TILT_TAPS, np.linspace(0, 1, 65), 10 ** (np.linspace(0, decibels, 65) / 20))

    def change(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        tilted = oaconvolve(waveform, taps, mode="full")[TILT_TAPS // 2 :][: len(waveform)]
        return (tilted * (rms(waveform) / max(rms(tilted), 1e-12))).astype(np.float32)

    return change
