"""What a frozen speech encoder teaches: answers of a classifier on its embeddings, and the embeddings themselves.

Only training clips of the split take part, in fitting as in teaching: development and test speakers stay unseen.
"""

import hashlib
import json
import warnings
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from crnn.data.array_store import Kind, open_store
from crnn.data.cache import AudioCache, default_folder
from crnn.data.embeddings import open_embeddings
from crnn.data.splits import Split
from crnn.errors import require
from crnn.models.pretrained import SAMPLE_RATE, SpeechEncoder
from crnn.run_config import RunConfig, TeacherConfig

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

FORMAT = 1
FOLDS = 5
"""Groups of speakers of the cross-fitting"""
MAX_ITERATIONS = 300
SMALLEST = 1e-6
"""Added to standard deviations"""


@dataclass(frozen=True)
class Taught:
    """What an encoder teaches the training clips."""

    encoder: SpeechEncoder
    targets: Tensor
    """`(n, n_classes + components)` float32, in the order of the split's training clips: answers, then components"""


@dataclass(frozen=True)
class Lessons:
    """The training clips as the teacher sees them; all arrays `(n, ...)` in one order."""

    embeddings: np.ndarray
    """`(n, width)` float32"""
    labels: np.ndarray
    """Place in the label set, -1 where a clip's label is not used"""
    speakers: np.ndarray
    """Corpus and speaker"""
    corpora: np.ndarray
    """Names"""


def open_taught(
    config: RunConfig, split: Split, cache: AudioCache, encoder: SpeechEncoder, folder: Path | None = None
) -> Taught:
    """What `encoder` teaches the training clips of `split`, under the settings of `teacher`.

    Embeddings and targets are computed once and stored in `folder`. Raises InputError if no answer can be fitted.
    """
    rate = config.features.sample_rate
    require(rate == SAMPLE_RATE, f"features.sample_rate is {rate}; teacher.encoder takes {SAMPLE_RATE} Hz")
    teacher, members = config.teacher, split.train
    embeddings = open_embeddings(cache, split.corpora, encoder.key, encoder.width, encoder.embed, folder)
    labels = [-1 if u.corpus in teacher.only else split.labels.index(u.emotion) for u in members]
    unused = [label for number, label in enumerate(split.labels) if number not in labels]
    require(not unused, f"teacher.only leaves no training clip with the label {', '.join(unused)}; name fewer corpora")
    hashes = cache.hashes
    clips = [(u.name, hashes[u.name], u.speaker, label) for u, label in zip(members, labels, strict=True)]
    settings = [encoder.key, teacher.regularization, teacher.components, split.labels, clips]
    digest = hashlib.sha256(json.dumps([FORMAT, *settings]).encode("utf-8", "surrogateescape")).hexdigest()

    def made(wanted: Sequence[str]) -> Generator[list[np.ndarray], None, None]:
        lessons = Lessons(
            embeddings.of([u.name for u in members]),
            np.array(labels),
            np.array([u.speaker for u in members]),
            np.array([u.corpus for u in members]),
        )
        taught = np.hstack([answers(lessons, len(split.labels), teacher), components(lessons, teacher)])
        rows = {u.name: row for u, row in zip(members, taught, strict=True)}
        yield from ([rows[name][None]] for name in wanted)

    names = [u.name for u in members]
    kind = Kind("f32", "<f4", (len(split.labels) + teacher.components,))
    store = open_store(folder or default_folder(), f"taught-{digest[:24]}", kind, names, made)
    targets = np.stack([store.rows[store.spans[name][0][0]] for name in names])
    return Taught(encoder, torch.from_numpy(targets))


def answers(lessons: Lessons, n_classes: int, config: TeacherConfig) -> np.ndarray:
    """Probabilities `(n, n_classes)` float32 of a logistic regression on the embeddings.

    No clip with a label is answered by a model that was fitted on its speaker (cross-fitting over groups of speakers),
    because an answer to a clip of the fit repeats its label. The other clips are answered by the model of all labelled
    clips.
    """
    from sklearn.model_selection import GroupKFold

    labelled = np.flatnonzero(lessons.labels >= 0)
    people = lessons.speakers[labelled]
    folds = min(FOLDS, len(set(people)))
    require(folds >= 2, "teacher.encoder needs at least two training speakers: one answers for the other")
    found = np.zeros((len(lessons.labels), n_classes), np.float32)
    for fitted, left in GroupKFold(folds).split(labelled, groups=people):
        _answer(lessons, labelled[fitted], labelled[left], found, config)
    if len(labelled) < len(found):
        _answer(lessons, labelled, np.flatnonzero(lessons.labels < 0), found, config)
    return found


@dataclass(frozen=True)
class Regression:
    """A logistic regression on standardised embeddings."""

    mean: np.ndarray
    """`(width,)`, of the embeddings"""
    scale: np.ndarray
    """`(width,)`, their standard deviations"""
    model: "LogisticRegression"
    """Over `standard`; its classes are places in the label set"""

    def standard(self, embeddings: np.ndarray) -> np.ndarray:
        """`(n, width)` -> `(n, width)`, standardised."""
        return (embeddings - self.mean) / self.scale


def fit(lessons: Lessons, fitted: np.ndarray, config: TeacherConfig) -> Regression:
    """A regression on the clips at the places `fitted (n,)`, all of which have labels: every corpus counts the same,
    and within it every class. Raises InputError for a single class."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    known = lessons.labels[fitted]
    several = len(set(known)) > 1
    require(several, "teacher.encoder: some training speakers have a single emotion; it cannot answer for the others")
    x = lessons.embeddings
    model = LogisticRegression(C=config.regularization, max_iter=MAX_ITERATIONS)
    made = Regression(x[fitted].mean(axis=0), x[fitted].std(axis=0) + SMALLEST, model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of iterations regularizes as well
        model.fit(made.standard(x[fitted]), known, sample_weight=_weights(known, lessons.corpora[fitted]))
    return made


def _answer(lessons: Lessons, fitted: np.ndarray, asked: np.ndarray, found: np.ndarray, config: TeacherConfig) -> None:
    """Fit on some clips and write the answers to others; the probability of a class that was not fitted stays 0."""
    made = fit(lessons, fitted, config)
    found[np.ix_(asked, made.model.classes_)] = made.model.predict_proba(made.standard(lessons.embeddings[asked]))


def _weights(labels: np.ndarray, corpora: np.ndarray) -> np.ndarray:
    """Weights `(n,)`, mean 1: every corpus counts the same, and within it every class."""
    weights = np.zeros(len(labels))
    for corpus in set(corpora):
        classes = set(labels[corpora == corpus])
        for label in classes:
            of_both = (corpora == corpus) & (labels == label)
            weights[of_both] = 1 / of_both.sum() / len(classes)
    return weights / weights.mean()


def components(lessons: Lessons, config: TeacherConfig) -> np.ndarray:
    """The leading principal components of the standardised embeddings, `(n, components)` float32.

    All are divided by one number, the mean of their standard deviations, so that a component counts by its variance.
    """
    x = lessons.embeddings.astype(np.float64)
    require(
        config.components <= x.shape[1],
        f"teacher.components is {config.components}; the embedding has {x.shape[1]} values",
    )
    standard = (x - x.mean(axis=0)) / (x.std(axis=0) + SMALLEST)
    return (standard @ component_axes(standard, config.components)).astype(np.float32)


def component_axes(standard: np.ndarray, components: int) -> np.ndarray:
    """The axes `(width, components)` of the leading principal components of standardised embeddings `(n, width)`,
    divided by one number, the mean of the components' standard deviations."""
    _, vectors = np.linalg.eigh(standard.T @ standard)
    leading = vectors[:, ::-1][:, :components]
    return leading / ((standard @ leading).std(axis=0).mean() + SMALLEST)
