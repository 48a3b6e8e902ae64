"""Fits a profile to a person's sentences. NumPy only."""

from dataclasses import dataclass

import numpy as np

from crnn.errors import require
from edge.stream.profile import NEUTRAL, Profile, Speakers

STEPS = 200
"""Steps of the accelerated gradient, which converges long before"""


@dataclass(frozen=True)
class Strength:
    """How strongly a profile follows the sentences (benchmarks/adaptation/enrolment.py, development speakers)."""

    weights: float = 0.2
    """Precision of the weights' prior, above 0; larger trusts the person's sentences less"""
    bias: float = 3.0
    """Likewise of the bias"""
    scatter: float = 1.0
    """Neutral only: standard deviations of chance that are not corrected"""
    spread: float = 0.25
    """Neutral only: share of the training speakers' variance that counts as chance"""

    def __post_init__(self) -> None:
        require(self.weights > 0 and self.bias > 0, "strength.weights and strength.bias must be above 0")
        require(self.scatter >= 0 and self.spread >= 0, "strength.scatter and strength.spread must be 0 or more")


def make_profile(
    bundle: str,
    labels: tuple[str, ...],
    speakers: Speakers,
    logits: np.ndarray,
    pooled: np.ndarray,
    emotions: list[str],
    strength: Strength | None = None,
    voices: np.ndarray | None = None,
) -> Profile:
    """Fit a profile to `n` sentences of a person.

    Args:
        logits, pooled: `(n, n_classes)` and `(n, width)`, means over the decisions of each sentence.
        emotions: in which each sentence was spoken.
        voices: `(n, n_mels)`, the voice of each sentence, for a profile that is chosen among several. Not stored where
            all sentences are neutral: they do not say how the voice changes with an emotion.

    Raises InputError unless all are neutral or every emotion of the bundle is among them: the model would unlearn
    emotions that were left out.
    """
    strength = strength or Strength()
    unknown = sorted(set(emotions) - set(labels))
    require(not unknown, f"the bundle does not know {', '.join(unknown)}; it knows {', '.join(labels)}")
    missing = [name for name in labels if name not in emotions]
    neutral_only = set(emotions) == {NEUTRAL}
    require(
        neutral_only or not missing,
        f"no sentence for {', '.join(missing)}; give neutral alone, or at least one sentence for every emotion",
    )
    require(
        bool(np.isfinite(logits).all() and np.isfinite(pooled).all()),
        "a sentence gives NaN or infinite values; the recording or the bundle is broken",
    )
    if neutral_only:
        weights = np.zeros((pooled.shape[1], len(labels)))
        bias = -_false_alarms(logits, speakers, labels.index(NEUTRAL), strength)
    else:
        weights, bias = _regression(logits, pooled, np.array([labels.index(e) for e in emotions]), speakers, strength)
    counts = {name: emotions.count(name) for name in labels if name in emotions}
    if voices is not None and not neutral_only:
        voices = voices.astype(np.float32)
        require(bool(np.isfinite(voices).all()), "a sentence's spectrum is no number; the recording is broken")
    return Profile(
        bundle,
        tuple(labels),
        counts,
        weights.astype(np.float32),
        bias.astype(np.float32),
        None if neutral_only else voices,
    )


def _false_alarms(logits: np.ndarray, speakers: Speakers, neutral: int, strength: Strength) -> np.ndarray:
    """How much each logit is too high on neutral sentences `(n, n_classes)`, beyond chance; 0 or more."""
    others = np.arange(logits.shape[1]) != neutral
    excess = logits.mean(axis=0, dtype=np.float64) - speakers.neutral_mean
    excess -= excess[others].mean()  # only differences between the other emotions count
    chance = np.sqrt(speakers.neutral_within / len(logits) + strength.spread * speakers.neutral_between)
    return np.where(others, np.maximum(excess - strength.scatter * chance, 0), 0)


def _regression(
    logits: np.ndarray, pooled: np.ndarray, truth: np.ndarray, speakers: Speakers, strength: Strength
) -> tuple[np.ndarray, np.ndarray]:
    """The `weights (width, n_classes)` and `bias (n_classes,)` that minimize

        sum_i w_i * CE(softmax(logits_i + z_i @ V + c), truth_i) + |V|^2 * p / 2 + |c|^2 * q / 2

    over V and c, with z = (pooled - center) @ whiten, p and q the precisions of the prior, and w_i such that every
    emotion counts alike. Solved over the sentences, of which there are few: V = z.T @ a / p, c = sum(a) / q.
    """
    n_classes = logits.shape[1]
    z = (pooled.astype(np.float64) - speakers.center) @ speakers.whiten
    kernel = z @ z.T / strength.weights + 1 / strength.bias
    counts = np.bincount(truth, minlength=n_classes)
    share = (len(truth) / n_classes / counts[truth])[:, None]
    target = np.eye(n_classes)[truth]
    pace = 0.5 * share.max() * np.linalg.eigvalsh(kernel)[-1] + 1  # an upper bound of the curvature
    a = ahead = np.zeros_like(target)
    momentum = 1.0
    for _ in range(STEPS):  # Nesterov's
        scores = logits + kernel @ ahead
        probs = np.exp(scores - scores.max(axis=1, keepdims=True))
        probs /= probs.sum(axis=1, keepdims=True)
        step = ahead - (share * (probs - target) + ahead) / pace
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = step + (momentum - 1) / following * (step - a)
        a, momentum = step, following
    weights = speakers.whiten @ (z.T @ a) / strength.weights
    return weights, a.sum(axis=0) / strength.bias - speakers.center @ weights
