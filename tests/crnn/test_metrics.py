"""Metrics against scikit-learn, and the interval's behaviour."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, f1_score

from crnn.data.corpora import Utterance
from crnn.metrics import summarize

NAMES = ("neutral", "happy", "sad", "angry")


def clips(n: int, n_speakers: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)  # "angry" never occurs
    logits = rng.normal(size=(n, 4)) + 1.5 * np.eye(4)[labels]
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    utterances = [
        Utterance(Path(f"{i}.wav"), "x", f"{i % n_speakers:02d}", "female" if i % 2 else "male", NAMES[label])
        for i, label in enumerate(labels)
    ]
    return probs, labels, utterances


def test_figures_are_scikit_learns():
    probs, labels, utterances = clips(400, 6)
    figures = summarize(probs, labels, utterances, NAMES)
    decided = probs.argmax(axis=1)
    assert figures["wa"] == pytest.approx(accuracy_score(labels, decided))
    assert figures["uar"] == pytest.approx(np.diag(confusion_matrix(labels, decided, normalize="true"))[:3].mean())
    scores = f1_score(labels, decided, average=None, labels=range(4), zero_division=0)
    assert figures["macro_f1"] == pytest.approx(scores[:3].mean())
    assert figures["wf1"] == pytest.approx(f1_score(labels, decided, average="weighted"))
    assert figures["confusion"] == confusion_matrix(labels, decided, labels=range(4)).tolist()
    assert set(figures["recall"]) == set(NAMES[:3])
    one = [i for i, u in enumerate(utterances) if u.speaker_id == "03"]
    seen = sorted(set(labels[one]))
    expected = np.mean([(decided[one] == labels[one])[labels[one] == c].mean() for c in seen])
    assert figures["per_speaker_uar"]["03"] == pytest.approx(expected)
    assert set(figures["per_sex_uar"]) == {"female", "male"}


def test_calibration_error_by_hand():
    probs, labels, utterances = clips(300, 5)
    figures = summarize(probs, labels, utterances, NAMES)
    by_hand = sum(b["n_clips"] / 300 * abs(b["accuracy"] - b["confidence"]) for b in figures["calibration"])
    assert figures["ece"] == pytest.approx(by_hand, abs=1e-4)


def test_interval_is_over_speakers():
    probs, labels, utterances = clips(400, 8)
    low, high = summarize(probs, labels, utterances, NAMES)["uar_ci95"]
    assert low < summarize(probs, labels, utterances, NAMES)["uar"] < high
    assert summarize(*clips(50, 1), NAMES)["uar_ci95"] is None
    # Speakers who are all right or all wrong: hardly anything is known, however many clips there are.
    labels = np.tile([0, 1], 500)
    right = np.arange(1000) < 500
    probs = np.eye(4)[np.where(right, labels, 2)] * 0.97 + 0.01
    people = [Utterance(Path(f"{i}.wav"), "x", str(i // 250), None, NAMES[c]) for i, c in enumerate(labels)]
    low, high = summarize(probs, labels, people, NAMES)["uar_ci95"]
    assert high - low > 0.9


def test_uar_is_balanced_accuracy_when_all_classes_occur():
    probs, labels, utterances = clips(100, 4)
    figures = summarize(probs[:, :3] / probs[:, :3].sum(1, keepdims=True), labels, utterances, NAMES[:3])
    assert figures["uar"] == pytest.approx(balanced_accuracy_score(labels, probs[:, :3].argmax(1)))
