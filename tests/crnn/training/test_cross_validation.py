"""Figures pooled over the folds of runs, against scikit-learn on all clips."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from crnn.data.corpora import Utterance
from crnn.metrics import summarize
from crnn.training.cross_validation import pool

NAMES = ("angry", "calm", "sad")


def fold_of(corpus: str, speakers: list[str], seed: int, names=NAMES, clips: int = 60) -> tuple[dict, list, list]:
    """Figures of a fold as its run stores them; the true and the decided emotions."""
    rng = np.random.default_rng(seed)
    truth = np.arange(clips) % len(names)
    probs = rng.dirichlet(np.ones(len(names)), clips) + 0.3 * np.eye(len(names))[truth]
    probs /= probs.sum(axis=1, keepdims=True)
    people = [
        Utterance(Path(f"/{corpus}/{i}.wav"), corpus, speakers[i // len(names) % len(speakers)], None, names[label])
        for i, label in enumerate(truth)
    ]
    decided = [names[place] for place in probs.argmax(axis=1)]
    return summarize(probs, truth, people, names), [names[place] for place in truth], decided


@pytest.mark.parametrize("seed", [0, 100])
def test_pooled_figures_are_those_of_all_clips_of_all_folds(seed):
    parts = [fold_of("x", ["a", "b"], seed), fold_of("x", ["c"], seed + 1), fold_of("x", ["b", "d"], seed + 2)]
    figures = pool({0: [part for part, *_ in parts]})
    truth, decided = ([each for part in parts for each in part[place]] for place in (1, 2))
    assert figures["uar"] == pytest.approx(balanced_accuracy_score(truth, decided))
    assert figures["wa"] == pytest.approx(np.mean(np.array(truth) == decided))
    assert figures["macro_f1"] == pytest.approx(f1_score(truth, decided, average="macro"))
    assert figures["wf1"] == pytest.approx(f1_score(truth, decided, average="weighted"))
    assert (figures["n_clips"], figures["n_speakers"]) == (180, 4), "who is tested in two folds is one speaker"
    assert figures["uar_fold_mean"] == pytest.approx(np.mean([part["uar"] for part, *_ in parts]))


def test_folds_of_several_corpora_with_other_emotions_are_pooled_by_name():
    """Speaker 01 of one corpus is not speaker 01 of another one."""
    parts = [fold_of("x", ["01", "02"], 0), fold_of("y", ["01"], 1, names=("sad", "bored", "angry"))]
    figures = pool({0: [part for part, *_ in parts], 3: [part for part, *_ in parts]})
    truth, decided = ([each for part in parts for each in part[place]] for place in (1, 2))
    assert figures["labels"] == ["angry", "calm", "sad", "bored"]
    assert set(figures["per_speaker_uar"]) == {"x:01", "x:02", "y:01"}
    assert figures["uar"] == pytest.approx(balanced_accuracy_score(truth, decided))
    assert figures["n_clips"] == 120
    assert figures["seeds"] == [0, 3] and figures["uar_sd_over_seeds"] == pytest.approx(0)
