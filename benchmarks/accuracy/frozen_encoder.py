"""The frozen speech encoder that teaches, as a comparator: logistic regression on its embeddings, the split's folds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.metrics import balanced_accuracy_score

from benchmarks.accuracy.baselines import Decided
from benchmarks.harness import corpora, recipes
from crnn.data import prepare as preparation
from crnn.data.embeddings import open_embeddings
from crnn.models.pretrained import open_encoder
from crnn.run_config import RunConfig, TeacherConfig
from crnn.training.teacher import Lessons, answers

NAME = "encoder"
"""Its name among the sets of features"""


def decide_frozen(protocol: str, fold: int) -> Decided:
    """Train on the labels that the recipe which ships uses; decide on the test speakers. Nothing is chosen."""
    teacher = TeacherConfig(str(corpora.speech_encoder()), only=recipes.WITHOUT_LABELS)
    config = replace(RunConfig(), protocol=protocol, fold=fold, teacher=teacher)
    data = corpora.folders(protocol, fold)
    prepared = preparation.prepare(config, data)
    split, encoder = prepared.split, open_encoder(Path(teacher.encoder), teacher.layers)
    embeddings = open_embeddings(prepared.cache, data, encoder.key, encoder.width, encoder.embed)
    clips = (*split.train, *split.dev, *split.test)
    dev, test = len(split.train), len(split.train) + len(split.dev)
    labels = np.array([split.labels.index(u.emotion) for u in clips])
    speakers, names = (np.array([getattr(u, key) for u in clips]) for key in ("speaker", "corpus"))
    used = (np.arange(len(clips)) < dev) & ~np.isin(names, teacher.only)
    lessons = Lessons(embeddings.of([u.name for u in clips]), np.where(used, labels, -1), speakers, names)
    probs = answers(lessons, len(split.labels), teacher)
    on_dev = float(balanced_accuracy_score(labels[dev:test], probs[dev:test].argmax(axis=1)))
    title = f"{encoder.describe()['name']}, frozen + logistic regression"
    return Decided(split, data, title, probs[test:], teacher.regularization, on_dev)
