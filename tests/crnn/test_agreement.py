"""Agreement of an estimated arousal, against SciPy and Lin's definition."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr

from crnn.agreement import concordance, pearson, summarize_arousal
from crnn.data.arousal import arousal_of
from crnn.data.corpora import Utterance

EMOTIONS = ("neutral", "happy", "sad", "angry", "disgust")


def clips(n: int, corpus: str = "emodb", n_speakers: int = 6, rated: bool = False, seed: int = 0) -> list[Utterance]:
    rng = np.random.default_rng(seed)
    made = []
    for i in range(n):
        emotion = EMOTIONS[rng.integers(len(EMOTIONS))]
        more = {"votes": ((emotion, 1.0),), "ratings": ((emotion, float(rng.random())),)} if rated else {}
        made.append(Utterance(Path(f"{i}.wav"), corpus, f"{i % n_speakers:02d}", None, emotion, **more))
    return made


def lin(x: np.ndarray, y: np.ndarray) -> float:
    return 2 * np.cov(x, y, bias=True)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)


def test_figures_are_those_of_scipy_and_of_lin():
    utterances = clips(200, "crema_d", rated=True) + clips(150)
    truth = np.array([arousal_of(u) for u in utterances])
    estimates = np.clip(0.8 * truth + np.random.default_rng(1).normal(0.1, 0.15, len(truth)), 0, 1).astype(np.float32)
    found = summarize_arousal(estimates, utterances)
    assert found.keys() == {"crema_d", "emodb"}
    for corpus, members in (("crema_d", slice(0, 200)), ("emodb", slice(200, None))):
        assert found[corpus]["spearman"] == pytest.approx(spearmanr(estimates[members], truth[members])[0], abs=1e-5)
        low, high = found[corpus]["spearman_ci95"]
        assert low < found[corpus]["spearman"] < high
    assert found["crema_d"]["ccc"] == pytest.approx(lin(estimates[:200].astype(float), truth[:200]), abs=0.01)
    assert found["crema_d"]["ccc_ci95"][0] < found["crema_d"]["ccc"] < found["crema_d"]["ccc_ci95"][1]
    assert (found["crema_d"]["n_clips"], found["crema_d"]["n_rated"]) == (200, 200)
    assert found["emodb"].keys() == {"n_clips", "spearman", "spearman_ci95"}, "nobody rated it: no CCC"


def test_what_has_no_value_is_none_and_what_is_not_known_is_left_out():
    utterances = clips(20)
    assert summarize_arousal(np.full(20, 0.4, np.float32), utterances)["emodb"]["spearman"] is None
    odd = [Utterance(Path("a.wav"), "own", "1", None, name) for name in ("sarcastic", "angry", "sad")]
    assert summarize_arousal(np.array([0.1, 0.9, 0.2]), odd)["own"]["n_clips"] == 2
    assert summarize_arousal(np.array([0.1, 0.9, 0.2]), odd)["own"]["spearman_ci95"] is None, "one speaker"
    assert summarize_arousal(np.array([0.1]), odd[:1]) == {}


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=30))
def test_sums_give_the_same_correlations_as_the_values(pairs):
    x, y = np.array(pairs).T
    sums = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y]).sum(axis=1)
    if x.std() > 1e-3 and y.std() > 1e-3:
        assert pearson(sums) == pytest.approx(pearsonr(x, y)[0], abs=1e-6)
        assert concordance(sums) == pytest.approx(lin(x, y), abs=1e-6)
    assert abs(concordance(sums)) <= 1 + 1e-6
