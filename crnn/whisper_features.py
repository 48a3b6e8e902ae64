"""The log-mel features of Whisper (Radford et al. 2022) in NumPy, equal to those of transformers without padding.

Unlike the features of `crnn.features`, they depend on the whole window: frames are centred, its ends are reflected, and
what lies far below its loudest band is cut off. So they cannot be streamed; whoever uses them recomputes the window.
"""

import numpy as np

from crnn.config import FeatureConfig
from crnn.features import hann_window, hz_to_mel, mel_filterbank, mel_to_hz

RMS = 0.05
"""Level of every recording that the encoder receives: the answer must not depend on the recording's gain"""
RANGE = 8.0
"""Powers of ten from the loudest value of a window down to its least"""


def whisper_features(n_mels: int = 80) -> FeatureConfig:
    """Whisper's frames as settings; `log_offset` is here the least power, not one that is added."""
    return FeatureConfig(16000, 400, 160, n_mels, 0.0, 8000.0, 1e-10)


def at_level(waveform: np.ndarray) -> np.ndarray:
    """`waveform (time,)` -> float32 without its mean, at the level `RMS`; silence stays silence."""
    centred = waveform.astype(np.float32) - np.float32(waveform.mean())
    return centred / (np.sqrt(np.mean(centred**2)) + np.float32(1e-8)) * np.float32(RMS)


class WhisperLogMel:
    """Whisper's features of a waveform, computed in float64.

    >>> WhisperLogMel(whisper_features())(np.zeros(48000, dtype=np.float32)).shape
    (80, 300)
    """

    def __init__(self, config: FeatureConfig) -> None:
        self.config = config
        self._window = hann_window(config.n_fft)
        edges = mel_to_hz(np.linspace(hz_to_mel(config.f_min), hz_to_mel(config.f_max), config.n_mels + 2))
        # Slaney's normalisation: every band has the same area.
        self._filters = (mel_filterbank(config) * (2 / (edges[2:] - edges[:-2]))[:, None]).T.copy()

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        """`waveform (time,)` float32 -> `log_mel (n_mels, time // hop_length)` float32, about -1.5 to 1.5.

        Raises ValueError if `waveform` is not one-dimensional or too short to be reflected at its ends.
        """
        half, hop_length = self.config.n_fft // 2, self.config.hop_length
        if waveform.ndim != 1 or len(waveform) <= half:
            raise ValueError(f"waveform has shape {waveform.shape}; need (time,) with time > {half}")
        padded = np.pad(waveform.astype(np.float64), half, mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.config.n_fft)[::hop_length]
        spectrum = np.fft.rfft(frames[: len(waveform) // hop_length] * self._window)
        mel = (np.square(spectrum.real) + np.square(spectrum.imag)) @ self._filters
        log_mel = np.log10(np.maximum(mel, self.config.log_offset))
        return ((np.maximum(log_mel, log_mel.max() - RANGE) + 4) / 4).T.astype(np.float32)
