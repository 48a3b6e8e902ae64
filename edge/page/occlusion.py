"""What an answer rests on: each stretch of the encoder's steps is replaced by those of silence, and the answer asked
again.

A segment's answer is the softmax of the mean logits over its decisions. For every hop h that any of them saw,

    support(h) = log p(emotion) - log p(emotion | the steps of h are those of silence)

computed with the exported files themselves: occlusion (Zeiler & Fergus 2014) of what the encoder found in a hop. Above
0 the hop speaks for the answer, below 0 against it. These are not the head's attention weights, which the exported head
does not give; nor do they add up to anything.
"""

from dataclasses import dataclass

import numpy as np

from crnn.features import LogMel
from edge.runtimes import Model
from edge.stream.decision import probabilities
from edge.stream.recognizer import StreamingRecognizer

SMALLEST = 1e-12
"""Probability below which no difference is made"""


@dataclass(frozen=True)
class Stretch:
    """One hop's worth of encoder steps."""

    start_seconds: float
    """Audio time, s"""
    end_seconds: float
    support: float
    """Natural logarithm of the ratio of two probabilities"""


class Decisions:
    """The answers of a head over windows of an utterance's steps, and where those lie in the audio.

    Args:
        head: the exported head.
        recognizer: whose geometry, labels and temperature hold; it is not run.
        silence: `(hop_steps, d)`, the steps of silence.
    """

    def __init__(self, head: Model, recognizer: StreamingRecognizer, silence: np.ndarray) -> None:
        self._head, self.silence = head, silence
        self._labels, self._decision = recognizer.labels, recognizer.decision
        self._g, self._rate = recognizer.geometry, recognizer.features.sample_rate
        self.window_hops = self._g.window_hops

    def logits(self, steps: np.ndarray, hop: int) -> np.ndarray:
        """The decision at `hop` over `steps (hops, hop_steps, d)`: float64 `(n_classes,)`."""
        window = steps[hop + 1 - self.window_hops : hop + 1].reshape(1, self._g.window_steps, -1)
        return self._head.run(np.ascontiguousarray(window))[0, : len(self._labels)].astype(np.float64)

    def probs(self, logits: np.ndarray) -> np.ndarray:
        """Of a segment: `logits (decisions, n_classes)` -> calibrated `(n_classes,)`."""
        return probabilities(logits.mean(axis=0), self._decision.temperature)

    def begin_of(self, first_hop_seconds: float) -> float:
        """Where the stream began whose first hop was told at so many seconds."""
        return max(0.0, first_hop_seconds - (self._g.first_samples - self._g.lead_samples) / self._rate)

    def place(self, begun: float, hop: int) -> tuple[float, float]:
        """Start and end, s, of what the steps of `hop` lie over: the middle of what each sees, less its look back.
        The first begins with the stream: nothing else sees its beginning."""
        g = self._g
        seen = (g.receptive_frames - g.lead_frames - 1) * g.hop_length + g.n_fft
        start = begun + (hop * g.hop_samples + (seen - g.stride_frames * g.hop_length) / 2) / self._rate
        return (start if hop else begun), start + g.hop_samples / self._rate


def silent_steps(encoder: Model, recognizer: StreamingRecognizer) -> np.ndarray:
    """`(hop_steps, d)`: what the encoder makes of digital silence."""
    silence = np.zeros(recognizer.geometry.first_samples, dtype=np.float32)
    return encoder.run(LogMel(recognizer.features)(silence)[None])[0]


def support(
    decisions: Decisions, steps: np.ndarray, first: int, begun: float, end_seconds: float
) -> tuple[Stretch, ...]:
    """What the top emotion of a segment rests on, hop by hop.

    Args:
        steps: `(hops, hop_steps, d)` of the utterance up to the segment's end.
        first: the hop from which on decisions belong to the segment.
        begun: s, where the utterance's stream began.
        end_seconds: s, the end of the audio: beyond it are only the zeros of `flush`.
    """
    window = decisions.window_hops
    deciding = range(max(first, window - 1), len(steps))
    whole = np.stack([decisions.logits(steps, hop) for hop in deciding])
    probs = decisions.probs(whole)
    top = int(probs.argmax())
    found = []
    for hop in range(deciding[0] + 1 - window, len(steps)):
        start, end = decisions.place(begun, hop)
        if start >= end_seconds:
            break
        without = whole.copy()
        changed = steps.copy()
        changed[hop] = decisions.silence
        for row, at in enumerate(deciding):
            if at - window < hop <= at:
                without[row] = decisions.logits(changed, at)
        drop = float(np.log(probs[top]) - np.log(max(decisions.probs(without)[top], SMALLEST)))
        found.append(Stretch(start, min(end, end_seconds), drop))
    return tuple(found)
