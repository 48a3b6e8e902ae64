"""A constant offset (DC) of the converter, and why it does not change an answer. NumPy alone.

Inside a frame the features do not see a constant: a periodic Hann window confines it to the first two bins of the
transform, and no band begins below those (`crnn.run_config`). What would show is a step at the edges: between the
recording and the samples that stand for silence before and after it, and at the ends of a resampler. So silence stands
at the level at which the recording itself rests, not at zero. Nothing is subtracted from the recording and nothing is
tracked; x + c gives the features of x, and any chunking gives the same samples.
"""

import numpy as np

from crnn.config import StreamGeometry

EDGE_SECONDS = 0.05
"""s of a recording's beginning from which a resampler takes its rest level"""


def edge_samples(rate: int) -> int:
    """`EDGE_SECONDS` at `rate` Hz, in samples."""
    return max(1, round(EDGE_SECONDS * rate))


def median(samples: np.ndarray) -> np.float32:
    """The median of `samples (time,)` float32, at least one: what np.median gives, which imports numpy.ma, 10 MB of a
    device's memory.

    >>> float(median(np.array([3, 1, 2, 4], dtype=np.float32)))
    2.5
    """
    middle = (len(samples) - 1) // 2, len(samples) // 2
    lower, upper = np.partition(samples, middle)[[*middle]]
    return np.float32((lower + upper) / 2)


def rest_level(samples: np.ndarray) -> np.float32:
    """The value about which `samples (time,)` move: their median, 0 without any.

    The median, because it moves exactly with an offset, is exactly 0 in digital silence, and does not change when
    silence at that level is added. Called with the samples of one frame at an edge.

    >>> float(rest_level(np.array([0.25, 0.25, 0.5], dtype=np.float32)))
    0.25
    """
    return median(samples) if len(samples) else np.float32(0)


def pad_clip(waveform: np.ndarray, geometry: StreamGeometry) -> np.ndarray:
    """A clip `(time,)` between the silence that the stream adds: `geometry.padding`, at the level of either edge."""
    edge = geometry.n_fft
    levels = rest_level(waveform[:edge]), rest_level(waveform[-edge:])
    return np.pad(waveform, geometry.padding(len(waveform)), constant_values=levels)
