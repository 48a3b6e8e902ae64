"""Near copies: one take under two names, re-encoded, resampled, trimmed, shifted, louder or noisier. NumPy only.

Two steps, so that the cost grows with the number of recordings and not with the number of pairs. Each recording becomes
a list of 24-bit words, one per 10 ms: the signs of how neighbouring bands change against each other (Haitsma & Kalker
2002). Recordings that share several words at one time offset are candidates. A candidate is a near copy if the
waveforms from 300 Hz to 2 kHz correlate: two takes of one sentence by one actor do not, a copy through a codec does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

RATE = 4000
"""Hz, of the signal that is compared: every codec keeps what is below 2 kHz"""
N_FFT, STEP = 512, 40
"""Samples at RATE: 128 ms windows every 10 ms, so that a shift of a few ms changes few signs"""
LAG = 5
"""Windows between the two spectra whose difference is taken"""
BANDS = np.geomspace(180.0, 1900.0, 26)
"""Hz, edges of 25 bands: 24 differences, 24 bits"""
LOUD_DB = 20.0
"""dB below a recording's loudest window: softer windows are left out, noise decides their signs"""
COMMON = 40
"""A word that more recordings than this share is ignored"""
HITS = 2
"""Words shared at one offset that make a candidate"""
MIN_CORRELATION = 0.85
"""Of the two waveforms over what they share. Copies have 0.9 and more, other takes 0.4 at most, short generated voices
0.75"""
SLACK = 2 * STEP
"""Samples at RATE by which the offset that the words give may be wrong"""
FINE = 4
"""Offsets tried per sample at RATE"""
MIN_OVERLAP = 0.5
"""Share of the shorter recording that must lie in the other"""


@dataclass(frozen=True)
class NearCopy:
    """Two names for one take."""

    first: str
    second: str
    correlation: float
    """Of the waveforms between 300 Hz and 2 kHz, 0 to 1"""


def low_band(waveform: np.ndarray, sample_rate: int, lowest: float = 300.0) -> np.ndarray:
    """`waveform (time,)` -> `(time,)` float32 at 4 kHz, without anything below `lowest` Hz: hum, handling, and what a
    telephone takes away."""
    wanted = round(len(waveform) * RATE / sample_rate)
    waveform = np.pad(np.asarray(waveform, np.float32), (0, -len(waveform) % 2000))  # lengths that transform quickly
    n = round(len(waveform) * RATE / sample_rate)
    spectrum = np.fft.rfft(waveform)[: n // 2 + 1]
    spectrum[: int(np.ceil(lowest * n / RATE))] = 0
    return (np.fft.irfft(spectrum, n) * np.float32(n / len(waveform)))[:wanted].astype(np.float32)


def words(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """`waveform (time,)` -> `(frames,)` int64: 24-bit words of its windows, -1 where a window is too soft."""
    low = low_band(waveform, sample_rate, lowest=100.0)
    low = np.pad(low, (N_FFT // 2, N_FFT // 2 + STEP))
    frames = np.lib.stride_tricks.sliding_window_view(low, N_FFT)[::STEP] * np.hanning(N_FFT).astype(np.float32)
    spectra = np.fft.rfft(frames, axis=1)
    power = np.square(spectra.real) + np.square(spectra.imag)
    edges = np.round(BANDS / RATE * N_FFT).astype(int)
    bands = np.add.reduceat(power, edges, axis=1)[:, :-1]
    total = bands.sum(axis=1)
    if len(bands) <= LAG or not total.any():
        return np.full(len(bands), -1)
    change = np.diff(np.log(bands + 1e-9 * total.max()), axis=1)
    signs = change[LAG:] > change[:-LAG]
    made = np.full(len(bands), -1)
    loud = np.minimum(total[LAG:], total[:-LAG]) > total.max() * 10 ** (-LOUD_DB / 10)
    made[LAG:][loud] = (signs @ (1 << np.arange(signs.shape[1])))[loud]
    return made


def candidates(fingerprints: Mapping[str, np.ndarray]) -> dict[tuple[str, str], int]:
    """Pairs of names that share words at one offset -> how many windows later it is in the second."""
    names = list(fingerprints)
    if not names:
        return {}
    lengths = [len(w) for w in fingerprints.values()]
    clip = np.repeat(np.arange(len(names)), lengths)
    time = np.concatenate([np.arange(n) for n in lengths])
    word = np.concatenate(list(fingerprints.values()))
    loud = np.flatnonzero(word >= 0)
    # A steady sound repeats its word: the first time alone counts. Sorted by word.
    _, once = np.unique(word[loud] * len(names) + clip[loud], return_index=True)
    clip, time, word = (values[loud[once]] for values in (clip, time, word))
    _, which, counts = np.unique(word, return_inverse=True, return_counts=True)
    rare = counts[which] <= COMMON
    clip, time, word = clip[rare], time[rare], word[rare]
    shared = []
    for step in range(1, COMMON):
        same = np.flatnonzero(word[step:] == word[:-step])
        if not len(same):
            break
        shared.append(np.stack([clip[same], clip[same + step], time[same + step] - time[same]]))
    if not shared:
        return {}
    first, second, shift = np.concatenate(shared, axis=1)
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for half in (0, 1):  # bins of two windows, twice, so that an offset at an edge is counted whole
        bins, counts = np.unique(np.stack([first, second, (shift + half) // 2]), axis=1, return_counts=True)
        enough = counts >= HITS
        for (i, j, place), count in zip(bins[:, enough].T, counts[enough], strict=True):
            pair = names[i], names[j]
            found[pair] = max(found.get(pair, (0, 0)), (int(count), int(2 * place - half)))
    return {pair: shift for pair, (_, shift) in found.items()}


def correlation(first: np.ndarray, second: np.ndarray, shift: int) -> float:
    """Largest absolute correlation, 0 to 1, of two signals at 4 kHz over what they share, near one offset.

    `shift`: windows by which it is later in the second. 0 where they share less than half of the shorter.
    """
    offset = shift * STEP
    start, end = max(0, -offset), min(len(first), len(second) - offset)
    if end - start < max(1, MIN_OVERLAP * min(len(first), len(second))):
        return 0.0
    one = first[start:end]
    other = np.pad(second, SLACK)[start + offset : end + offset + 2 * SLACK]
    sums = np.concatenate([[0.0], np.cumsum(np.square(other, dtype=np.float64))])
    energy = sums[len(one) :] - sums[: -len(one)]
    # Never less than what the whole shares on average: in silence anything correlates.
    energy = np.maximum(energy, 0.01 * energy.max()) * float(np.sum(np.square(one, dtype=np.float64)))
    if not energy.any():
        return 0.0
    found = np.correlate(other, one, "valid") / np.sqrt(energy)
    # Between whole samples too: near 2 kHz half a sample is a quarter of a period.
    fine = np.fft.irfft(np.fft.rfft(found), len(found) * FINE) * FINE
    return float(min(1.0, np.abs(fine).max()))


def near_copies(
    fingerprints: Mapping[str, np.ndarray], waveform: Callable[[str], np.ndarray], sample_rate: int
) -> list[NearCopy]:
    """Near copies among recordings, given their `words` and a function that gives the waveform of a candidate."""
    found = []
    for (first, second), shift in sorted(candidates(fingerprints).items()):
        one, other = (low_band(waveform(name), sample_rate) for name in (first, second))
        likeness = correlation(one, other, shift)
        if likeness >= MIN_CORRELATION:
            found.append(NearCopy(first, second, round(likeness, 3)))
    return found
