"""The stream of a model that recomputes its window: Whisper's first layers over the last seconds, once per interval.

Its features depend on the whole window (`crnn.whisper_features`) and every step of its encoder attends to every other,
so nothing of a window can be used for the next. The interface, the intervals and what a result means are those of
`edge.stream.recognizer`.
"""

import numpy as np

from crnn.config import FeatureConfig, StreamGeometry
from crnn.errors import require
from crnn.whisper_features import WhisperLogMel, at_level
from edge.stream.recognizer import StreamingRecognizer

FRAMES_PER_STEP = 2
"""Frames per step of the encoder"""


def window_geometry(features: FeatureConfig, window_seconds: float, interval_seconds: float) -> StreamGeometry:
    """The counts of a stream whose windows are recomputed. Frames are centred, so a window has as many as it has hops;
    an interval counts as one step. Raises InputError for a window that is not a whole number of intervals.

    >>> from crnn.whisper_features import whisper_features
    >>> g = window_geometry(whisper_features(), 3.0, 1.0)
    >>> g.window_samples, g.interval_samples, g.window_intervals, recomputes(features=whisper_features(), g=g)
    (48000, 16000, 3, True)
    """
    hop_length = features.hop_length
    window, interval = (round(seconds * features.sample_rate) for seconds in (window_seconds, interval_seconds))
    require(
        interval > 0 and interval % hop_length == 0 and window > 0 and window % interval == 0,
        f"a window of {window_seconds} s every {interval_seconds} s: give a whole number of intervals, and of frames "
        f"of {hop_length} samples in each",
    )
    frames, intervals = interval // hop_length, window // interval
    return StreamGeometry(hop_length, hop_length, frames, frames, 1, intervals)


def recomputes(features: FeatureConfig, g: StreamGeometry) -> bool:
    """Whether `g` is such a geometry for these features, with windows that a Whisper takes."""
    alike = StreamGeometry(features.hop_length, features.hop_length, g.stride_frames, g.stride_frames, 1, 1)
    return (
        alike.interval_samples == g.interval_samples == g.first_samples
        and g.window_samples == g.window_intervals * g.interval_samples
        and g.window_samples > features.n_fft
        and g.lead_frames == 0
    )


class WindowRecognizer(StreamingRecognizer):
    """As `StreamingRecognizer`, but the encoder is given the log-mel of a whole window, at one level, and its output
    `(1, width)` goes to the head as it is.

    The last window of a stream repeats its own sound where others take silence, and so does the window of a clip
    shorter than one: the encoder's mean over time then is that of the sound alone.
    """

    def _allocate(self) -> None:
        self._whisper = WhisperLogMel(self.features)
        self._window = np.zeros(self.geometry.window_samples, dtype=np.float32)

    def first_log_mel(self, samples: np.ndarray) -> np.ndarray:
        return self._whisper(at_level(samples[: self.geometry.window_samples]))

    def _after_the_end(self, missing: int) -> np.ndarray:
        known = min(self._n_samples, len(self._window) - missing)
        sound = np.concatenate([self._window, self._block[: self._filled]])[-known:]
        return np.resize(sound, missing)

    def _take_in(self, block: np.ndarray) -> None:
        self._window[: -len(block)] = self._window[len(block) :]
        self._window[-len(block) :] = block

    def _outputs(self) -> np.ndarray:
        log_mel = self._whisper(at_level(self._window))
        return self._head.run(self._encoder.run(log_mel[None]))[0]
