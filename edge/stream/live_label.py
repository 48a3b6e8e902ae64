"""The live label: shown while someone speaks, smoothed so that it does not flicker."""

from dataclasses import dataclass

import numpy as np

from crnn.errors import require
from edge.stream.decision import UNCERTAIN, DecisionConfig, probabilities


@dataclass(frozen=True)
class SmoothingConfig:
    """How strongly the live label is smoothed. Segments are not: they are the mean over their decisions."""

    half_life_seconds: float = 0.25
    """s after which a decision has half its weight in the running mean of the logits; 0: no smoothing"""
    margin: float = 0.2
    """Probability by which another emotion must lead before it is shown; also the share by which the shown emotion must
    fall below the threshold of "uncertain" before it is replaced; 0 to 1"""

    def __post_init__(self) -> None:
        require(
            self.half_life_seconds >= 0, f"smoothing.half_life_seconds is {self.half_life_seconds}; give 0 s or more"
        )
        require(0 <= self.margin < 1, f"smoothing.margin is {self.margin}; give 0 <= margin < 1")


class RunningMean:
    """Smooths values `z_k` of one shape: `s_k = a s_(k-1) + (1 - a) z_k` with `a = 0.5 ** (interval / half life)` and
    `s_0 = z_0`, float64.

    Args:
        interval_seconds: s between two values.
        half_life_seconds: 0: no smoothing.
    """

    def __init__(self, interval_seconds: float, half_life_seconds: float) -> None:
        self._old_share = 0.5 ** (interval_seconds / half_life_seconds) if half_life_seconds else 0.0
        self.reset()

    def reset(self) -> None:
        """Begin another utterance."""
        self._mean: np.ndarray | None = None

    def update(self, value: np.ndarray) -> np.ndarray:
        before, old = self._mean, self._old_share
        self._mean = value.astype(np.float64) if before is None else old * before + (1 - old) * value
        return self._mean


class LiveLabel:
    """Takes the logits of every decision of an utterance; gives the label to show.

    The logits are smoothed (`RunningMean`). The label changes only to an emotion whose probability leads
    by the margin.

    Args:
        labels: names of the logits, in order.
        decision: temperature and threshold of the bundle.
        interval_seconds: s between decisions.
    """

    def __init__(
        self, labels: tuple[str, ...], decision: DecisionConfig, interval_seconds: float, config: SmoothingConfig
    ) -> None:
        self._labels, self._decision, self._margin = labels, decision, config.margin
        self._smooth = RunningMean(interval_seconds, config.half_life_seconds)
        self.reset()

    def reset(self) -> None:
        """Begin another utterance."""
        self._smooth.reset()
        self._first = True
        self._top = 0
        self._sure = False

    def update(self, logits: np.ndarray) -> tuple[np.ndarray, str, float]:
        """`logits (n_classes,)` -> smoothed `probs (n_classes,)`, the emotion to show or "uncertain", and
        the probability of that emotion."""
        probs = probabilities(self._smooth.update(logits), self._decision.temperature)
        best = int(probs.argmax())
        if self._first or probs[best] - probs[self._top] > self._margin:
            self._top = best
        self._first = False
        confidence = float(probs[self._top])
        self._sure = confidence >= self._decision.min_confidence * (1 - self._margin if self._sure else 1)
        return probs, self._labels[self._top] if self._sure else UNCERTAIN, confidence
