"""Methods that adapt to a speaker without labels, to be compared (benchmarks.adaptation.label_free).

Each is a function of its settings, the classifier's weights `(n_classes, width)` and the utterances so far; it gives
the scores of other clips `(n, n_classes)`, the highest of which is the answer. None sees a label.
"""

from typing import NamedTuple, Protocol

import numpy as np

from edge.stream.decision import probabilities
from edge.stream.prior import PriorConfig, PriorCorrection


class Outputs(NamedTuple):
    """What the model gives for some clips."""

    logits: np.ndarray
    """`(n, n_classes)`"""
    pooled: np.ndarray
    """`(n, width)`"""


class Adapter(Protocol):
    def __call__(self, classifier: np.ndarray, past: Outputs, clips: Outputs, **settings: float) -> np.ndarray: ...


def prior(classifier: np.ndarray, past: Outputs, clips: Outputs, **settings: float) -> np.ndarray:
    """The correction that runs on the device (edge.stream.prior)."""
    correction = PriorCorrection(len(classifier), PriorConfig(**settings))
    correction.count(probabilities(past.logits, 1.0))
    return clips.logits + correction.adaptation().bias


def prior_by_em(
    classifier: np.ndarray, past: Outputs, clips: Outputs, strength: float, cap: float, prior_utterances: float
) -> np.ndarray:
    """The prior by expectation and maximization (Saerens et al. 2002), 20 times over all utterances so far."""
    n_classes, bias = len(classifier), np.zeros(len(classifier))
    for _ in range(20):
        mean = probabilities(past.logits + bias, 1.0).sum(axis=0) + prior_utterances / n_classes
        bias -= 0.5 * np.log(n_classes * mean / (len(past.logits) + prior_utterances))
    return clips.logits + np.clip(strength * (bias - bias.mean()), -cap, cap)


def centring(
    classifier: np.ndarray, past: Outputs, clips: Outputs, strength: float, prior_utterances: float
) -> np.ndarray:
    """Subtracts a share of the mean logits so far."""
    around = past.logits - past.logits.mean(axis=1, keepdims=True)
    return clips.logits - strength * around.sum(axis=0) / (len(around) + prior_utterances)


def t3a(classifier: np.ndarray, past: Outputs, clips: Outputs, most: float) -> np.ndarray:
    """Templates of the classes in place of the classifier's weights (Iwasawa & Matsuo 2021).

    A template is the mean of unit vectors: the class's weights, and the pooled vectors that the classifier gives to the
    class, of which only the `most` with the lowest entropy count.
    """
    probs = probabilities(past.logits, 1.0)
    entropy = -(probs * np.log(np.maximum(probs, 1e-12))).sum(axis=1)
    surest = np.argsort(entropy, kind="stable")
    answers, vectors = past.logits[surest].argmax(axis=1), _unit(past.pooled[surest])
    templates = [
        np.concatenate([weights[None], vectors[answers == c][: int(most)]]).mean(axis=0)
        for c, weights in enumerate(_unit(classifier))
    ]
    return clips.pooled @ _unit(np.stack(templates)).T


def class_means(
    classifier: np.ndarray, past: Outputs, clips: Outputs, strength: float, prior_utterances: float
) -> np.ndarray:
    """Means of the classes by expectation and maximization: 5 times over all utterances so far.

    To the logit of a class it adds how far the pooled vector lies from the mean of all utterances, in the direction in
    which the mean of the class's own lies.
    """
    center = past.pooled.mean(axis=0)
    around, logits = past.pooled - center, past.logits
    for _ in range(5):
        probs = probabilities(logits, 1.0)
        means = probs.T @ around / (probs.sum(axis=0) + prior_utterances)[:, None]
        logits = past.logits + strength * around @ means.T
    return clips.logits + strength * (clips.pooled - center) @ means.T


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
