"""Figures pooled over folds and seeds, against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from crnn.pooled import over_seeds, pooled


def test_pooled_figures_are_those_of_all_clips_together():
    rng = np.random.default_rng(0)
    truth, decided = rng.integers(0, 4, (2, 300))
    speakers = rng.integers(0, 6, 300)
    folds = [{}, {}]
    for s in range(6):
        matrix = np.zeros((4, 4), int)
        np.add.at(matrix, (truth[speakers == s], decided[speakers == s]), 1)
        folds[s % 2][str(s)] = matrix.tolist()
    figures = pooled(folds, {str(s): ("female", "male", None)[s % 3] for s in range(7)})
    assert figures["uar"] == pytest.approx(balanced_accuracy_score(truth, decided))
    assert figures["wa"] == pytest.approx((truth == decided).mean())
    assert figures["macro_f1"] == pytest.approx(f1_score(truth, decided, average="macro"))
    assert figures["wf1"] == pytest.approx(f1_score(truth, decided, average="weighted"))
    assert figures["n_clips"] == 300
    assert figures["n_speakers"] == 6
    low, high = figures["uar_ci95"]
    assert low <= figures["uar"] <= high
    men = np.isin(speakers, (1, 4))
    assert figures["per_sex_uar"]["male"] == pytest.approx(balanced_accuracy_score(truth[men], decided[men]))
    assert set(figures["per_sex_uar"]) == {"female", "male"}
    third = speakers == 3
    assert figures["per_speaker_uar"]["3"] == pytest.approx(balanced_accuracy_score(truth[third], decided[third]))
    assert figures["worst_speaker_uar"] == min(figures["per_speaker_uar"].values())
    again = pooled([*folds, *folds])
    assert again["uar"] == pytest.approx(figures["uar"]), "two seeds of the same are one"
    assert again["uar_ci95"] == pytest.approx(figures["uar_ci95"])


def test_the_interval_over_seeds_is_about_their_mean():
    """It stood about the first seed once: a mean outside of its own interval."""
    unlucky = {str(speaker): [[4, 6], [6, 4]] for speaker in range(8)}
    lucky = {str(speaker): [[9, 1], [1, 9]] for speaker in range(8)}
    figures = over_seeds({3: [unlucky], 0: [lucky]}, {})
    assert figures["seeds"] == [0, 3]
    assert figures["uar_mean"] == pytest.approx(0.65)
    assert figures["uar_ci95"] == pytest.approx([0.65, 0.65]), "all speakers are alike"
    assert figures["uar_sd_over_seeds"] == pytest.approx(np.std([0.4, 0.9], ddof=1))
    assert over_seeds({0: [lucky]}, {})["uar_sd_over_seeds"] is None
