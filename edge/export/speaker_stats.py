"""How the training speakers of a model differ: the prior of a personal profile (`edge.stream.profile`)."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from crnn.data.corpora import Utterance
from crnn.data.loaders import EvalClips, eval_loader
from crnn.errors import require
from crnn.models.crnn import WindowModel
from crnn.run_config import RunConfig
from crnn.training.predict import predict_outputs
from edge.stream.profile import NEUTRAL, Speakers

CLIPS_PER_EMOTION = 8
"""Most clips used of a speaker in an emotion, so that no speaker dominates"""
RIDGE = 0.1
"""Share of the mean variance added to every direction before whitening"""


def some_of_each(utterances: Sequence[Utterance]) -> list[Utterance]:
    """The first clips, by name, of every speaker in every emotion."""
    count: Counter = Counter()
    chosen = []
    for u in sorted(utterances, key=lambda u: u.name):
        count[u.speaker, u.emotion] += 1
        if count[u.speaker, u.emotion] <= CLIPS_PER_EMOTION:
            chosen.append(u)
    return chosen


def clip_means(model: WindowModel, config: RunConfig, clips: EvalClips) -> tuple[np.ndarray, np.ndarray]:
    """Whole-clip `logits (n, n_classes)` and `pooled (n, width)`: means over the decisions on each clip."""
    made = predict_outputs(model, config, eval_loader(clips, config))
    return made.logits, made.pooled


def speakers_of(model: WindowModel, config: RunConfig, clips: EvalClips, labels: tuple[str, ...]) -> Speakers:
    """How the speakers of training clips differ under this model."""
    voices = np.array([u.speaker for u in clips.utterances])
    return describe(*clip_means(model, config, clips), clips.labels, voices, labels)


def describe(
    logits: np.ndarray, pooled: np.ndarray, truth: np.ndarray, speakers: np.ndarray, labels: tuple[str, ...]
) -> Speakers:
    """The spread of training clips: `logits (n, n_classes)`, `pooled (n, width)`, their classes `truth (n,)` and
    their speakers `(n,)`."""
    pooled = pooled.astype(np.float64)
    center = pooled.mean(axis=0)
    _, group = np.unique(np.stack([np.unique(speakers, return_inverse=True)[1], truth]), axis=1, return_inverse=True)
    within = _around_means(pooled, group)
    covariance = within.T @ within / len(within)
    variance = np.trace(covariance) / len(covariance)
    require(variance > 0, "the model gives the same output for every training clip; train again")
    values, vectors = np.linalg.eigh(covariance + RIDGE * variance * np.eye(len(covariance)))
    whiten = vectors / np.sqrt(values) @ vectors.T
    whiten /= np.sqrt(np.square((pooled - center) @ whiten).sum(axis=1).mean())  # RMS length 1
    mean, between, scatter = _neutral(logits, truth, speakers, labels)
    return Speakers(*(value.astype(np.float32) for value in (center, whiten, mean, between, scatter)))


def _around_means(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Values `(n, d)` minus the mean of their group; groups of one, which have no scatter, are left out."""
    counts = np.bincount(group)
    sums = np.zeros((len(counts), values.shape[1]))
    np.add.at(sums, group, values)
    several = counts[group] > 1
    return (values - sums[group] / counts[group, None])[several] if several.any() else values - values.mean(axis=0)


def _neutral(
    logits: np.ndarray, truth: np.ndarray, speakers: np.ndarray, labels: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, variance between speakers and variance within a speaker of neutral logits, `(n_classes,)` each."""
    neutral = truth == labels.index(NEUTRAL) if NEUTRAL in labels else np.zeros(len(truth), dtype=bool)
    if not neutral.any():
        unknown = np.zeros(len(labels))
        return unknown, unknown, unknown
    values = logits[neutral].astype(np.float64)
    _, group, counts = np.unique(speakers[neutral], return_inverse=True, return_counts=True)
    means = np.stack([values[group == g].mean(axis=0) for g in range(len(counts))])
    around = _around_means(values, group)
    freedom = max(1, (counts[counts > 1] - 1).sum() if (counts > 1).any() else len(around) - 1)
    within = np.square(around).sum(axis=0) / freedom
    between = means.var(axis=0, ddof=1) if len(means) > 1 else np.zeros(len(labels))
    return means.mean(axis=0), np.maximum(between - within * np.mean(1 / counts), 0), within
