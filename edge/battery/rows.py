"""One row of the battery: a value, its threshold, and whether the bundle and the random models pass."""

from dataclasses import asdict, dataclass

import numpy as np

TOLERANCE = 1e-9
"""Of rounding: 19 of 20 is 95 %"""


@dataclass(frozen=True)
class Row:
    """One test on one corpus; `value` is None where it was skipped."""

    corpus: str
    group: str
    """correctness, fairness or robustness"""
    test: str
    value: float | None
    threshold: float | None
    at_most: bool
    """Whether the threshold is the largest allowed value, not the smallest"""
    passed: bool | None
    random: float | None
    """Share of the random models that pass, 0 to 1"""
    reason: str = ""
    """Why it was skipped"""

    def as_dict(self) -> dict:
        """Plain values."""
        return asdict(self)


def judged(
    corpus: str, group: str, test: str, values: np.ndarray, threshold: float | np.ndarray, at_most: bool = False
) -> Row:
    """`values (models,)`: of the bundle first, then of the random models; one threshold, or one for each model."""
    limits = np.broadcast_to(threshold, values.shape)
    passed = values <= limits + TOLERANCE if at_most else values >= limits - TOLERANCE
    random = float(passed[1:].mean())
    return Row(corpus, group, test, float(values[0]), float(limits[0]), at_most, bool(passed[0]), random)


def skipped(corpus: str, group: str, test: str, reason: str) -> Row:
    """A test that could not be made here."""
    return Row(corpus, group, test, None, None, False, None, None, reason)


def confusions(truth: np.ndarray, answers: np.ndarray, n_classes: int) -> np.ndarray:
    """Confusion matrices `(models, n_classes, n_classes)`, true classes in rows: `truth (n,)`, `answers (models, n)`.

    Thousands of random models at a time, and where torch is not installed; a test compares them with TorchMetrics.
    """
    models = len(answers)
    cells = (np.arange(models)[:, None] * n_classes + truth) * n_classes + answers
    counts = np.bincount(cells.ravel(), minlength=models * n_classes**2)
    return counts.reshape(models, n_classes, n_classes)
