"""Temperature and abstention threshold: fitted on development speakers, and measured."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize_scalar

from crnn.metrics import calibration_error
from edge.stream.decision import DecisionConfig, probabilities

MAX_THRESHOLD = 0.9
"""Largest threshold: an answer with this confidence is never called uncertain"""
COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
"""Points of the coverage-accuracy curve"""
MIN_SPEAKERS = 3
MIN_CLIPS = 5
"""Of each class; with fewer clips or speakers nothing is fitted"""
WITHIN_SPEAKER = 0.05
"""Assumed correlation of two clips of one speaker; it limits a speaker's weight to that of 20 independent clips"""
PRIOR_SD = 0.2
"""Standard deviation of the prior on the logarithm of the temperature, whose mean is 0"""
LOG_BOUNDS = (-3.0, 3.0)
"""Search range of the logarithm of the temperature"""
UNFITTED_THRESHOLD = 2.0
"""Threshold, as a multiple of chance, where nothing is fitted; at most 0.5, and lower for a model whose confidence
seldom reaches it"""


@dataclass(frozen=True)
class CalibrationData:
    """The development data that temperature and threshold were fitted on."""

    speakers: int
    clips: int
    effective_clips: float
    """Number of independent clips that carry as much information, because clips of one speaker are similar"""
    unfitted: str = ""
    """Why nothing was fitted (temperature 1, threshold at most twice chance); empty if it was"""
    given: bool = False
    """The temperature was given: it was measured elsewhere, and only the threshold was chosen on these data"""
    at_chance: str = ""
    """Why the model may be at chance (`crnn.metrics.at_chance`); empty if it is above chance"""


def calibration_data(labels: np.ndarray, n_classes: int, clips: np.ndarray, speakers: np.ndarray) -> CalibrationData:
    """Whether there is enough data. Arrays: `(n,)`, one entry per decision; `clips` and `speakers` hold any names."""
    _, first = np.unique(clips, return_index=True)
    sizes = np.unique(speakers[first], return_counts=True)[1]
    per_class = np.bincount(labels[first], minlength=n_classes)
    n, similar = len(first), float((sizes**2).sum() / sizes.sum())
    problems = []
    if len(sizes) < MIN_SPEAKERS:
        problems.append(f"{len(sizes)} development speaker{'s' * (len(sizes) != 1)}, {MIN_SPEAKERS} are needed")
    if per_class.min() < MIN_CLIPS:
        problems.append(f"{per_class.min()} clips of the rarest class, {MIN_CLIPS} are needed")
    return CalibrationData(len(sizes), n, round(n / (1 + (similar - 1) * WITHIN_SPEAKER), 1), "; ".join(problems))


def choose_decision(
    logits: np.ndarray,
    labels: np.ndarray,
    coverage: float,
    clips: np.ndarray | None = None,
    speakers: np.ndarray | None = None,
    temperature: float | None = None,
) -> tuple[DecisionConfig, CalibrationData]:
    """Fit both to decisions of development speakers: `logits (n, n_classes)`, `labels (n,)`, and the clip and speaker
    of each decision, `(n,)` (default: every decision is a clip and a speaker of its own).

    The temperature minimizes the negative log-likelihood (Guo et al. 2017) of `CalibrationData.effective_clips` clips,
    all of the same weight, under a log-normal prior around 1. The threshold is the confidence that the share `coverage`
    of the decisions reaches, at most 0.9. Without that limit an easy set of clips gives a threshold above 0.99, and an
    answer with confidence 0.98 is called uncertain. With too little data, or an optimum at the end of the search range,
    nothing is fitted: `CalibrationData.unfitted` gives the reason. A `temperature` that is given is not fitted: what
    speakers of the training corpora ask for is too sharp for people recorded elsewhere.
    """
    n_classes = logits.shape[1]
    clips = np.arange(len(labels)) if clips is None else np.asarray(clips)
    speakers = clips if speakers is None else np.asarray(speakers)
    data = calibration_data(labels, n_classes, clips, speakers)
    if temperature is not None:
        given = DecisionConfig(temperature, _threshold(probabilities(logits, temperature), coverage))
        return given, replace(data, unfitted="", given=True)
    usual = min(UNFITTED_THRESHOLD / n_classes, 0.5)
    unfitted = DecisionConfig(1.0, min(usual, _threshold(probabilities(logits, 1.0), coverage)))
    if data.unfitted:
        return unfitted, data
    _, clip, counts = np.unique(clips, return_inverse=True, return_counts=True)
    weights = 1 / (counts[clip] * len(counts))

    def loss(log_temperature: float) -> float:
        probs = probabilities(logits, float(np.exp(log_temperature)))
        likelihood = np.log(np.maximum(probs[np.arange(len(labels)), labels], 1e-12)) @ weights
        return float(-data.effective_clips * likelihood + 0.5 * (log_temperature / PRIOR_SD) ** 2)

    best = float(minimize_scalar(loss, bounds=LOG_BOUNDS, method="bounded").x)
    if abs(best) > 0.95 * LOG_BOUNDS[1]:
        problem = f"no temperature between {np.exp(LOG_BOUNDS[0]):.2f} and {np.exp(LOG_BOUNDS[1]):.0f} fits"
        return unfitted, replace(data, unfitted=problem)
    fitted = float(np.exp(best))
    return DecisionConfig(fitted, _threshold(probabilities(logits, fitted), coverage)), data


def _threshold(probs: np.ndarray, coverage: float) -> float:
    """The confidence that the share `coverage` of the decisions `probs (n, n_classes)` reaches."""
    if coverage >= 1:
        return 0.0
    reached = np.quantile(probs.max(axis=1), 1 - coverage, method="lower")  # "lower": of two decisions it covers both
    return min(float(reached), MAX_THRESHOLD)


@dataclass(frozen=True)
class Confidence:
    """How reliable the probabilities of some decisions are."""

    ece_before: float
    """Expected calibration error (15 bins) of the softmax at temperature 1"""
    ece: float
    """Likewise at the chosen temperature"""
    coverage: float
    """Share of decisions that reach the threshold"""
    accuracy: float
    """Share of all decisions that are right"""
    accuracy_covered: float | None
    """Share of the decisions that reach the threshold that are right; None if none does"""
    curve: tuple[tuple[float, float], ...]
    """(coverage, share right among the most confident decisions of that number), from coverage 1.0 down"""
    chosen_on: CalibrationData | None = None
    """What temperature and threshold were fitted on, if known"""


def judge_decision(
    logits: np.ndarray, labels: np.ndarray, decision: DecisionConfig, chosen_on: CalibrationData | None = None
) -> Confidence:
    """Measure temperature and threshold on decisions: `logits (n, n_classes)`, `labels (n,)`."""
    probs = probabilities(logits, decision.temperature)
    confidence, right = probs.max(axis=1), probs.argmax(axis=1) == labels
    covered = confidence >= decision.min_confidence
    return Confidence(
        ece_before=calibration_error(probabilities(logits, 1.0), labels),
        ece=calibration_error(probs, labels),
        coverage=float(covered.mean()),
        accuracy=float(right.mean()),
        accuracy_covered=float(right[covered].mean()) if covered.any() else None,
        curve=coverage_curve(confidence, right),
        chosen_on=chosen_on,
    )


def coverage_curve(confidence: np.ndarray, right: np.ndarray) -> tuple[tuple[float, float], ...]:
    """(coverage, share right among the most confident decisions), from 1.0 down: `confidence (n,)`, `right (n,)`.

    >>> coverage_curve(np.array([0.9, 0.2]), np.array([True, False]))[0]
    (1.0, 0.5)
    """
    order = right[np.argsort(-confidence, kind="stable")]
    return tuple((share, float(order[: max(1, round(share * len(order)))].mean())) for share in COVERAGES)
