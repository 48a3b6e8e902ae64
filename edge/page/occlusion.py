"""How much an answer depends on each part of the sound: occlusion (Zeiler & Fergus 2014) of the encoder's output.

The encoder steps of one interval are replaced by the steps of silence and the answer is computed again. The answer of a
segment is the softmax of the mean logits over its decisions. For every interval h inside the windows of its decisions,

    support(h) = log p(emotion) - log p(emotion | the steps of h are those of silence)

computed with the exported files themselves. Above 0 the interval is evidence for the answer, below 0 against it. These
values are not the head's attention weights, which the exported head does not output, and their sum has no meaning.
"""

from dataclasses import dataclass

import numpy as np

from crnn.features import LogMel
from edge.runtimes import Model
from edge.stream.decision import probabilities
from edge.stream.recognizer import StreamingRecognizer

SMALLEST = 1e-12
"""Smaller probabilities count as this one"""


@dataclass(frozen=True)
class Stretch:
    """The encoder steps of one interval."""

    start_seconds: float
    """Audio time, s"""
    end_seconds: float
    support: float
    """Natural logarithm of the ratio of two probabilities"""


class Decisions:
    """Runs a head over windows of an utterance's steps, and places the steps in the audio.

    Args:
        head: the exported head.
        recognizer: gives geometry, labels and temperature; it is not run.
        silence: `(interval_steps, d)`, the steps of silence.
    """

    def __init__(self, head: Model, recognizer: StreamingRecognizer, silence: np.ndarray) -> None:
        self._head, self.silence = head, silence
        self._labels, self._decision = recognizer.labels, recognizer.decision
        self._g, self._rate = recognizer.geometry, recognizer.features.sample_rate
        self.window_intervals = self._g.window_intervals

    def logits(self, steps: np.ndarray, interval: int) -> np.ndarray:
        """The decision at `interval` over `steps (intervals, interval_steps, d)`: float64 `(n_classes,)`."""
        window = steps[interval + 1 - self.window_intervals : interval + 1].reshape(1, self._g.window_steps, -1)
        return self._head.run(np.ascontiguousarray(window))[0, : len(self._labels)].astype(np.float64)

    def probs(self, logits: np.ndarray) -> np.ndarray:
        """Of a segment: `logits (decisions, n_classes)` -> probabilities `(n_classes,)`."""
        return probabilities(logits.mean(axis=0), self._decision.temperature)

    def begin_of(self, first_result_seconds: float) -> float:
        """Start of the stream, s, whose first result came at `first_result_seconds`."""
        return max(0.0, first_result_seconds - (self._g.first_samples - self._g.lead_samples) / self._rate)

    def place(self, begun: float, interval: int) -> tuple[float, float]:
        """Start and end, s, of the audio under the steps of `interval`: the middle of each step's receptive field.

        The first interval begins with the stream: no other interval covers the beginning.
        """
        g = self._g
        seen = (g.receptive_frames - g.lead_frames - 1) * g.hop_length + g.n_fft
        start = begun + (interval * g.interval_samples + (seen - g.stride_frames * g.hop_length) / 2) / self._rate
        return (start if interval else begun), start + g.interval_samples / self._rate


def silent_steps(encoder: Model, recognizer: StreamingRecognizer) -> np.ndarray:
    """The encoder's output for digital silence: `(interval_steps, d)`."""
    silence = np.zeros(recognizer.geometry.first_samples, dtype=np.float32)
    return encoder.run(LogMel(recognizer.features)(silence)[None])[0]


def support(
    decisions: Decisions, steps: np.ndarray, first: int, begun: float, end_seconds: float
) -> tuple[Stretch, ...]:
    """How much the top emotion of a segment depends on each interval.

    Args:
        steps: `(intervals, interval_steps, d)` of the utterance up to the segment's end.
        first: interval of the first decision that belongs to the segment.
        begun: start of the utterance's stream, s.
        end_seconds: end of the audio, s; after it come only the zeros of `flush`.
    """
    window = decisions.window_intervals
    deciding = range(max(first, window - 1), len(steps))
    whole = np.stack([decisions.logits(steps, interval) for interval in deciding])
    probs = decisions.probs(whole)
    top = int(probs.argmax())
    found = []
    for interval in range(deciding[0] + 1 - window, len(steps)):
        start, end = decisions.place(begun, interval)
        if start >= end_seconds:
            break
        without = whole.copy()
        changed = steps.copy()
        changed[interval] = decisions.silence
        for row, at in enumerate(deciding):
            if at - window < interval <= at:
                without[row] = decisions.logits(changed, at)
        drop = float(np.log(probs[top]) - np.log(max(decisions.probs(without)[top], SMALLEST)))
        found.append(Stretch(start, min(end, end_seconds), drop))
    return tuple(found)
