"""The feature contract in NumPy: window, mel filterbank, framing, logarithm. No torch.

Everything that computes a feature anywhere (training, export, device) is this module or is tested against it.
Neither centring nor padding nor any statistic of the utterance takes part, because none of them can be streamed.
"""

import numpy as np

from crnn.config import FeatureConfig

BAND_GROUPS = 4
"""Groups of bands of the filterbank; more of them cost more calls than they save products"""
BLOCK_FRAMES = 64
"""Frames transformed at once: what lies between samples and bands then stays in the processor's cache"""


def hz_to_mel(hz: np.ndarray | float) -> np.ndarray:
    """Hz to mel, Slaney's scale (Auditory Toolbox, 1998): linear below 1 kHz, logarithmic above."""
    hz = np.asarray(hz, dtype=np.float64)
    return np.where(hz < 1000.0, hz * 3 / 200, 15 + np.log(np.maximum(hz, 1000.0) / 1000.0) * 27 / np.log(6.4))


def mel_to_hz(mel: np.ndarray) -> np.ndarray:
    """Inverse of `hz_to_mel`."""
    mel = np.asarray(mel, dtype=np.float64)
    return np.where(mel < 15.0, mel * 200 / 3, 1000.0 * np.exp((np.maximum(mel, 15.0) - 15) * np.log(6.4) / 27))


def mel_filterbank(config: FeatureConfig) -> np.ndarray:
    """Triangular filters of height 1, float64 `(n_mels, n_fft // 2 + 1)`."""
    bins = np.arange(config.n_fft // 2 + 1) * config.sample_rate / config.n_fft
    edges = mel_to_hz(np.linspace(hz_to_mel(config.f_min), hz_to_mel(config.f_max), config.n_mels + 2))
    lower, centre, upper = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return np.maximum(0.0, np.minimum((bins - lower) / (centre - lower), (upper - bins) / (upper - centre)))


def hann_window(n_fft: int) -> np.ndarray:
    """Periodic Hann window, float64 `(n_fft,)`."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)


class LogMel:
    """Log-mel features of a waveform.

    The transform runs in float64: in float32 the rounding of a loud band shows in a silent one, and one call
    would no longer equal any chunking of it. Most of a filterbank is zeros, so it is stored as a few groups of
    neighbouring bands, each with the frequencies that they cover. One instance serves one thread.

    >>> LogMel(FeatureConfig())(np.zeros(16000, dtype=np.float32)).shape
    (64, 77)
    """

    def __init__(self, config: FeatureConfig) -> None:
        self.config = config
        self._window = hann_window(config.n_fft)
        # Allocated once: arrays of this size are given back to the system when freed, and every page of the next costs.
        self._windowed = np.empty((BLOCK_FRAMES, config.n_fft))
        self._power = np.empty((BLOCK_FRAMES, config.n_fft // 2 + 1))
        self._mel = np.empty((BLOCK_FRAMES, config.n_mels))
        filters = mel_filterbank(config).T
        self._groups = []
        for group in np.array_split(np.arange(config.n_mels), min(BAND_GROUPS, config.n_mels)):
            bands = slice(group[0], group[-1] + 1)
            covered = np.flatnonzero(filters[:, bands].any(axis=1))
            bins = slice(covered[0], covered[-1] + 1) if len(covered) else slice(0)
            self._groups.append((bins, bands, filters[bins, bands].copy()))

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        """`waveform (time,)` float32 in [-1, 1] -> `log_mel (n_mels, frames)` float32, frames = config.n_frames(time).

        Raises ValueError if `waveform` is not one-dimensional or holds fewer samples than one frame.
        """
        if waveform.ndim != 1 or len(waveform) < self.config.n_fft:
            raise ValueError(f"waveform has shape {waveform.shape}; need (time,) with time >= {self.config.n_fft}")
        n_frames, hop_length = self.config.n_frames(len(waveform)), self.config.hop_length
        log_mel = np.empty((self.config.n_mels, n_frames), dtype=np.float32)
        for first in range(0, n_frames, BLOCK_FRAMES):
            block = log_mel[:, first : first + BLOCK_FRAMES]
            end = first + block.shape[1]
            samples = waveform[first * hop_length : (end - 1) * hop_length + self.config.n_fft]
            block[:] = self._block(samples, end - first).T
        return log_mel

    def _block(self, waveform: np.ndarray, n_frames: int) -> np.ndarray:
        """`waveform (time,)` of exactly `n_frames` frames -> float64 `(n_frames, n_mels)`."""
        samples = np.ascontiguousarray(waveform, dtype=np.float64)  # each once, not once per frame that holds it
        step = samples.itemsize
        framed = np.ndarray(
            (n_frames, self.config.n_fft), np.float64, samples, strides=(self.config.hop_length * step, step)
        )
        spectrum = np.fft.rfft(np.multiply(framed, self._window, out=self._windowed[:n_frames]))
        power, imaginary = np.square(spectrum.real, out=self._power[:n_frames]), spectrum.imag
        power += np.square(imaginary, out=imaginary)
        mel = self._mel[:n_frames]
        for bins, bands, filters in self._groups:
            np.matmul(power[:, bins], filters, out=mel[:, bands])
        mel += self.config.log_offset
        return np.log(mel, out=mel)
