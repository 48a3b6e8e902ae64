"""Temperature and the abstention threshold, chosen on development speakers, and what they are worth."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize_scalar

from crnn.metrics import calibration_error
from edge.stream.decision import DecisionConfig, probabilities

MAX_CONFIDENCE_WANTED = 0.9
"""The threshold is never above this: an answer that a person would call sure is given"""
COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)


MIN_SPEAKERS = 3
MIN_CLIPS = 5
"""Of each class; with fewer, or fewer speakers, nothing is fitted"""
WITHIN_SPEAKER = 0.05
"""Correlation of two clips of one speaker: however many there are, one speaker counts as 20 clips at most"""
PRIOR_SD = 0.2
"""Of the logarithm of the temperature, around 0: without evidence a temperature of 1 is as good as any"""
LOG_BOUNDS = (-3.0, 3.0)
UNFITTED_THRESHOLD = 2.0
"""Times chance, at most 0.5: an answer below it is "uncertain" where nothing could be fitted; lower for a model that is
hardly ever surer, which would else say nothing"""


@dataclass(frozen=True)
class CalibrationData:
    """What temperature and threshold were chosen on."""

    speakers: int
    clips: int
    effective_clips: float
    """Independent clips that tell as much, the clips of one speaker being alike"""
    unfitted: str = ""
    """Why nothing was fitted: temperature 1 and a threshold of at most twice chance then stand; empty where it was"""
    at_chance: str = ""
    """Why the model may know nothing (`crnn.metrics.at_chance`); empty where it is above chance"""


def calibration_data(labels: np.ndarray, n_classes: int, clips: np.ndarray, speakers: np.ndarray) -> CalibrationData:
    """Whether there is enough to choose on: all `(n,)`, one entry a decision; `clips`, `speakers`: any names."""
    _, first = np.unique(clips, return_index=True)
    sizes = np.unique(speakers[first], return_counts=True)[1]
    per_class = np.bincount(labels[first], minlength=n_classes)
    n, alike = len(first), float((sizes**2).sum() / sizes.sum())
    problems = []
    if len(sizes) < MIN_SPEAKERS:
        problems.append(f"{len(sizes)} development speaker{'s' * (len(sizes) != 1)}, {MIN_SPEAKERS} are needed")
    if per_class.min() < MIN_CLIPS:
        problems.append(f"{per_class.min()} clips of the rarest class, {MIN_CLIPS} are needed")
    return CalibrationData(len(sizes), n, round(n / (1 + (alike - 1) * WITHIN_SPEAKER), 1), "; ".join(problems))


def choose_decision(
    logits: np.ndarray,
    labels: np.ndarray,
    coverage: float,
    clips: np.ndarray | None = None,
    speakers: np.ndarray | None = None,
) -> tuple[DecisionConfig, CalibrationData]:
    """Fit both to decisions of development speakers: `logits (n, n_classes)`, `labels (n,)`, and the clip and speaker
    of each decision, `(n,)` (default: every decision is a clip and a speaker of its own).

    The temperature minimizes the negative log-likelihood (Guo et al. 2017) of `CalibrationData.effective_clips` clips,
    all of the same weight, under a log-normal prior around 1. The threshold is the confidence that the share `coverage`
    of the decisions reaches, at most 0.9. Without that limit an easy set of clips gives a threshold above 0.99, and an
    answer with confidence 0.98 is called uncertain. With too little data, or an optimum at the end of the search range,
    nothing is fitted: `CalibrationData.unfitted` gives the reason.
    """
    n_classes = logits.shape[1]
    clips = np.arange(len(labels)) if clips is None else np.asarray(clips)
    speakers = clips if speakers is None else np.asarray(speakers)
    grounds = calibration_data(labels, n_classes, clips, speakers)
    usual = min(UNFITTED_THRESHOLD / n_classes, 0.5)
    unfitted = DecisionConfig(1.0, min(usual, _threshold(probabilities(logits, 1.0), coverage)))
    if grounds.unfitted:
        return unfitted, grounds
    _, clip, counts = np.unique(clips, return_inverse=True, return_counts=True)
    weights = 1 / (counts[clip] * len(counts))

    def loss(log_temperature: float) -> float:
        probs = probabilities(logits, float(np.exp(log_temperature)))
        likelihood = np.log(np.maximum(probs[np.arange(len(labels)), labels], 1e-12)) @ weights
        return float(-grounds.effective_clips * likelihood + 0.5 * (log_temperature / PRIOR_SD) ** 2)

    best = float(minimize_scalar(loss, bounds=LOG_BOUNDS, method="bounded").x)
    if abs(best) > 0.95 * LOG_BOUNDS[1]:
        problem = f"no temperature between {np.exp(LOG_BOUNDS[0]):.2f} and {np.exp(LOG_BOUNDS[1]):.0f} fits"
        return unfitted, replace(grounds, unfitted=problem)
    temperature = float(np.exp(best))
    return DecisionConfig(temperature, _threshold(probabilities(logits, temperature), coverage)), grounds


def _threshold(probs: np.ndarray, coverage: float) -> float:
    """The confidence that the share `coverage` of the decisions `probs (n, n_classes)` reaches."""
    if coverage >= 1:
        return 0.0
    reached = np.quantile(probs.max(axis=1), 1 - coverage, method="lower")  # of two decisions both, not one
    return min(float(reached), MAX_CONFIDENCE_WANTED)


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
    accuracy_covered: float | None
    """Share right of those that reach the threshold; None if none does"""
    curve: tuple[tuple[float, float], ...]
    """(coverage, share right of the most confident so many), from 1.0 down"""
    chosen_on: CalibrationData | None = None
    """What temperature and threshold were chosen on, where that is known"""


def judge_decision(
    logits: np.ndarray, labels: np.ndarray, decision: DecisionConfig, chosen_on: CalibrationData | None = None
) -> Confidence:
    """Temperature and threshold on decisions, theirs or others': `logits (n, n_classes)`, `labels (n,)`."""
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
    """(coverage, share right of the most confident so many), from 1.0 down: `confidence (n,)`, `right (n,)` bool.

    >>> coverage_curve(np.array([0.9, 0.2]), np.array([True, False]))[0]
    (1.0, 0.5)
    """
    order = right[np.argsort(-confidence, kind="stable")]
    return tuple((share, float(order[: max(1, round(share * len(order)))].mean())) for share in COVERAGES)
