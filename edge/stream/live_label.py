"""The live label: what is shown while someone speaks, smoothed so that it does not flicker."""

from dataclasses import dataclass

import numpy as np

from crnn.errors import require
from edge.stream.decision import UNCERTAIN, DecisionConfig, probabilities


@dataclass(frozen=True)
class SmoothingConfig:
    """How calm the live label is. Segments are not smoothed: they are the mean over their decisions."""

    half_life_seconds: float = 0.25
    """s after which a decision counts half in the running mean of the logits; 0: every decision stands alone"""
    margin: float = 0.2
    """Probability by which another emotion must lead before it is shown; and share of the threshold of "uncertain"
    that the shown one must fall below it before it goes; 0 to 1"""

    def __post_init__(self) -> None:
        require(
            self.half_life_seconds >= 0, f"smoothing.half_life_seconds is {self.half_life_seconds}; give 0 s or more"
        )
        require(0 <= self.margin < 1, f"smoothing.margin is {self.margin}; give 0 <= margin < 1")


class LiveLabel:
    """Logits in, one per hop; out comes what to show.

    The logits `z_k` are smoothed, `s_k = a s_(k-1) + (1 - a) z_k` with `a = 0.5 ** (hop / half life)` and `s_0 = z_0`,
    and calibrated. The label changes only to an emotion whose probability leads by the margin.

    Args:
        labels: names of the logits, in order.
        decision: temperature and threshold of the bundle.
        interval_seconds: s between decisions.
    """

    def __init__(
        self, labels: tuple[str, ...], decision: DecisionConfig, interval_seconds: float, config: SmoothingConfig
    ) -> None:
        self._labels, self._decision, self._margin = labels, decision, config.margin
        half_life = config.half_life_seconds
        self._keep = 0.5 ** (interval_seconds / half_life) if half_life else 0.0
        self.reset()

    def reset(self) -> None:
        self._smooth: np.ndarray | None = None
        self._top = 0
        self._sure = False

    def update(self, logits: np.ndarray) -> tuple[np.ndarray, str, float]:
        """`logits (n_classes,)` -> smoothed, calibrated `probs (n_classes,)`, the emotion to show or "uncertain", and
        that emotion's probability."""
        first = self._smooth is None
        self._smooth = logits.astype(np.float64) if first else self._keep * self._smooth + (1 - self._keep) * logits
        probs = probabilities(self._smooth, self._decision.temperature)
        best = int(probs.argmax())
        if first or probs[best] - probs[self._top] > self._margin:
            self._top = best
        confidence = float(probs[self._top])
        self._sure = confidence >= self._decision.min_confidence * (1 - self._margin if self._sure else 1)
        return probs, self._labels[self._top] if self._sure else UNCERTAIN, confidence
