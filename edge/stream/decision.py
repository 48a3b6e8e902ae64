"""From logits to an answer: probabilities, an emotion, or "uncertain"."""

from dataclasses import dataclass

import numpy as np

from crnn.errors import require

UNCERTAIN = "uncertain"
TEMPERATURES = (1e-3, 1e3)
"""Outside this range the softmax overflows, or is uniform"""


@dataclass(frozen=True)
class DecisionConfig:
    """Chosen when the bundle is made: on development speakers, but for a temperature that was given."""

    temperature: float = 1.0
    """Logits are divided by this before the softmax (Guo et al. 2017)"""
    min_confidence: float = 0.0
    """Below this probability of the top emotion the answer is "uncertain\""""

    def __post_init__(self) -> None:
        low, high = TEMPERATURES
        require(
            low <= self.temperature <= high,
            f"decision.temperature is {self.temperature}; give a finite number above 0, {low} to {high}",
        )
        require(0 <= self.min_confidence < 1, f"decision.min_confidence is {self.min_confidence}; give 0 to 1")


def probabilities(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Softmax of `logits (..., n_classes)` at a temperature: float32, last axis sums to 1.

    >>> probabilities(np.array([0.0, 0.0]), 1.0).tolist()
    [0.5, 0.5]
    """
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    weights = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return (weights / weights.sum(axis=-1, keepdims=True)).astype(np.float32)


def mean_log_probabilities(*logits: np.ndarray) -> np.ndarray:
    """The logits `(..., n_classes)`, float64, of several models that answer together: the mean of their
    log-probabilities.

    >>> mean_log_probabilities(np.array([0.0, 0.0]), np.array([7.0, 7.0])).round(4).tolist()
    [-0.6931, -0.6931]
    """
    shifted = [np.asarray(each, dtype=np.float64) - np.max(each, axis=-1, keepdims=True) for each in logits]
    return np.mean([each - np.log(np.exp(each).sum(axis=-1, keepdims=True)) for each in shifted], axis=0)


def decide(probs: np.ndarray, labels: tuple[str, ...], config: DecisionConfig) -> tuple[str, float]:
    """The top emotion and its probability; "uncertain" in place of the emotion where that is too low."""
    top = int(probs.argmax())
    confidence = float(probs[top])
    return (labels[top] if confidence >= config.min_confidence else UNCERTAIN), confidence


def decide_mean(
    logit_sum: np.ndarray, decisions: int, labels: tuple[str, ...], config: DecisionConfig
) -> tuple[str, float, dict[str, float]]:
    """The answer over several decisions, from the sum of their logits `(n_classes,)` float64 and their number.

    Returns the top emotion or "uncertain", its probability, and emotion -> probability. Whole-clip evaluation, the
    segments of the listening loop and the answer for a recording are all decided by this mean.
    """
    probs = probabilities(logit_sum / decisions, config.temperature)
    emotion, confidence = decide(probs, labels, config)
    return emotion, confidence, {name: float(p) for name, p in zip(labels, probs, strict=True)}
