"""Temperature and the abstention threshold, chosen on development speakers."""

import numpy as np
from scipy.optimize import minimize_scalar

from edge.decision import DecisionConfig, probabilities


def choose_decision(logits: np.ndarray, labels: np.ndarray, coverage: float) -> tuple[DecisionConfig, float]:
    """Fit both to the decisions of the stream: `logits (n, n_classes)`, `labels (n,)`.

    The temperature minimizes the negative log-likelihood (Guo et al. 2017); the threshold is the confidence that the
    share `coverage` of the decisions reaches. Returns the settings and the coverage they give.
    """

    def loss(log_temperature: float) -> float:
        probs = probabilities(logits, float(np.exp(log_temperature)))
        return float(-np.log(np.maximum(probs[np.arange(len(labels)), labels], 1e-12)).mean())

    temperature = float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))
    confidence = probabilities(logits, temperature).max(axis=1)
    threshold = float(np.quantile(confidence, 1 - coverage)) if coverage < 1 else 0.0
    return DecisionConfig(temperature, threshold), float((confidence >= threshold).mean())
