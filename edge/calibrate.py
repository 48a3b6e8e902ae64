"""Temperature and the abstention threshold, chosen on development speakers, and what they are worth."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from crnn.metrics import calibration_error
from edge.decision import DecisionConfig, probabilities

MAX_CONFIDENCE_WANTED = 0.9
"""The threshold is never above this: an answer that a person would call sure is given"""
COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)


def choose_decision(logits: np.ndarray, labels: np.ndarray, coverage: float) -> DecisionConfig:
    """Fit both to decisions of development speakers: `logits (n, n_classes)`, `labels (n,)`.

    The temperature minimizes the negative log-likelihood (Guo et al. 2017); the threshold is the confidence that the
    share `coverage` of the decisions reaches, and at most 0.9: where nearly all of them are sure (a voice the model
    finds easy), that share would only be reached by those above 0.99, and "uncertain 0.98" is nothing to tell a person.
    """

    def loss(log_temperature: float) -> float:
        probs = probabilities(logits, float(np.exp(log_temperature)))
        return float(-np.log(np.maximum(probs[np.arange(len(labels)), labels], 1e-12)).mean())

    temperature = float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))
    confidence = probabilities(logits, temperature).max(axis=1)
    threshold = min(float(np.quantile(confidence, 1 - coverage)), MAX_CONFIDENCE_WANTED) if coverage < 1 else 0.0
    return DecisionConfig(temperature, threshold)


@dataclass(frozen=True)
class Confidence:
    """How far the probabilities of some decisions can be believed."""

    ece_before: float
    """Expected calibration error (15 bins) of the softmax at temperature 1"""
    ece: float
    """Likewise at the chosen temperature"""
    coverage: float
    """Share of decisions that reach the threshold"""
    accuracy: float
    """Share right of all decisions"""
    accuracy_covered: float
    """Share right of those that reach the threshold; NaN if none does"""
    curve: tuple[tuple[float, float], ...]
    """(coverage, share right of the most confident so many), from 1.0 down"""


def judge_decision(logits: np.ndarray, labels: np.ndarray, decision: DecisionConfig) -> Confidence:
    """Temperature and threshold on decisions, theirs or others': `logits (n, n_classes)`, `labels (n,)`."""
    probs = probabilities(logits, decision.temperature)
    confidence, right = probs.max(axis=1), probs.argmax(axis=1) == labels
    covered = confidence >= decision.min_confidence
    return Confidence(
        ece_before=calibration_error(probabilities(logits, 1.0), labels),
        ece=calibration_error(probs, labels),
        coverage=float(covered.mean()),
        accuracy=float(right.mean()),
        accuracy_covered=float(right[covered].mean()) if covered.any() else float("nan"),
        curve=coverage_curve(confidence, right),
    )


def coverage_curve(confidence: np.ndarray, right: np.ndarray) -> tuple[tuple[float, float], ...]:
    """(coverage, share right of the most confident so many), from 1.0 down: `confidence (n,)`, `right (n,)` bool.

    >>> coverage_curve(np.array([0.9, 0.2]), np.array([True, False]))[0]
    (1.0, 0.5)
    """
    order = right[np.argsort(-confidence, kind="stable")]
    return tuple((share, float(order[: max(1, round(share * len(order)))].mean())) for share in COVERAGES)
