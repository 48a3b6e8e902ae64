"""The feature contract in NumPy: window, mel filterbank, framing, logarithm. No torch.

Everything that computes a feature anywhere (training, export, device) is this module or is tested against it.
Neither centring nor padding nor any statistic of the utterance takes part, because none of them can be streamed.
"""

import numpy as np

from crnn.config import FeatureConfig


def hz_to_mel(hz: np.ndarray) -> np.ndarray:
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
    would no longer equal any chunking of it.

    >>> LogMel(FeatureConfig())(np.zeros(16000, dtype=np.float32)).shape
    (64, 77)
    """

    def __init__(self, config: FeatureConfig) -> None:
        self.config = config
        self._window = hann_window(config.n_fft)
        self._filters = mel_filterbank(config).T.copy()

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        """`waveform (time,)` float32 in [-1, 1] -> `log_mel (n_mels, frames)` float32, frames = config.n_frames(time).

        Raises ValueError if `waveform` is not one-dimensional or holds fewer samples than one frame.
        """
        if waveform.ndim != 1 or len(waveform) < self.config.n_fft:
            raise ValueError(f"waveform has shape {waveform.shape}; need (time,) with time >= {self.config.n_fft}")
        frames = np.lib.stride_tricks.sliding_window_view(waveform, self.config.n_fft)[:: self.config.hop_length]
        spectrum = np.fft.rfft(frames * self._window, axis=-1)
        power = spectrum.real**2 + spectrum.imag**2
        return np.log(power @ self._filters + self.config.log_offset).astype(np.float32).T
