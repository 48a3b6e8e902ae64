"""Adaptation without labels: emotions that the model answers too often or too seldom on one voice are corrected.

On a voice, language or microphone unlike those of the training the model prefers some emotions whatever is said. Over
many utterances this shows in the mean of its probabilities. The correction subtracts a share of the logarithm of that
mean from the logits, at most a cap: an estimate of the class prior (Saerens et al. 2002) that assumes equally frequent
emotions and is bounded where they are not. NumPy only; memory is one number per emotion, whatever the run's length.
"""

from dataclasses import dataclass

import numpy as np

from crnn.errors import require


@dataclass(frozen=True)
class PriorConfig:
    """Chosen on development speakers of corpora that were left out (benchmarks.adaptation.label_free)."""

    strength: float = 0.5
    """Share of the estimated bias that is removed, 0 to 1"""
    cap: float = 0.3
    """Most by which the logarithm of a probability is raised or lowered, before probabilities are made to sum to 1"""
    prior_utterances: float = 10.0
    """Utterances of equally probable emotions that count as if they had come first; above 0"""

    def __post_init__(self) -> None:
        require(0 <= self.strength <= 1, f"adaptation.strength is {self.strength}; give 0 to 1")
        require(0 <= self.cap <= 10, f"adaptation.cap is {self.cap}; give 0 to 10")
        require(
            0 < self.prior_utterances <= 1e6,
            f"adaptation.prior_utterances is {self.prior_utterances}; give a number above 0",
        )


@dataclass(frozen=True)
class Adaptation:
    """What the utterances so far change."""

    bias: np.ndarray
    """`(n_classes,)` float64, added to the logarithms of the probabilities; each between -cap and cap"""
    utterances: int
    """Number of utterances that it follows from"""

    def shift(self, temperature: float) -> np.ndarray:
        """What it adds to logits that are divided by `temperature` before the softmax: `(n_classes,)` float64."""
        return self.bias * temperature


class PriorCorrection:
    """Counts the probabilities of utterances; gives what follows from them for the next. Their order does not matter.

    Args:
        n_classes: number of emotions.
    """

    def __init__(self, n_classes: int, config: PriorConfig | None = None) -> None:
        self._config = config or PriorConfig()
        self._sums = np.zeros(n_classes)
        self._utterances = 0

    def reset(self) -> None:
        """Forget every utterance: another person speaks."""
        self._sums[:] = 0
        self._utterances = 0

    def count(self, probs: np.ndarray) -> None:
        """Count an utterance, or several, by the probabilities `(..., n_classes)` before any adaptation.

        Raises ValueError for another shape, and for values that are no probabilities.
        """
        probs = np.asarray(probs, dtype=np.float64)
        n_classes = len(self._sums)
        if probs.shape[-1:] != (n_classes,) or not (
            np.all(probs >= 0) and np.all(np.abs(probs.sum(axis=-1) - 1) <= 1e-3)
        ):
            raise ValueError(f"probabilities {probs}: give {n_classes} that sum to 1")
        rows = probs.reshape(-1, n_classes)
        self._sums += rows.sum(axis=0)
        self._utterances += len(rows)

    def adaptation(self) -> Adaptation:
        """Of the next utterance; before the first one nothing changes."""
        c, n_classes = self._config, len(self._sums)
        mean = (self._sums + c.prior_utterances / n_classes) / (self._utterances + c.prior_utterances)
        bias = -c.strength * np.log(n_classes * mean)
        return Adaptation(np.clip(bias - bias.mean(), -c.cap, c.cap), self._utterances)
