"""Agreement of an estimated arousal, against SciPy and Lin's definition."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr

from crnn.agreement import concordance, pearson, root_mean_square_error, summarize_arousal, summarize_continuous
from crnn.continuous_labels import continuous_labels
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
    assert root_mean_square_error(sums) == pytest.approx(np.sqrt(np.mean((x - y) ** 2)), abs=1e-6)
    assert abs(concordance(sums)) <= 1 + 1e-6


def test_continuous_labels_are_judged_in_their_own_units():
    rng = np.random.default_rng(0)
    truth, known = rng.uniform(1, 5, 60), rng.random(60) < 0.8
    columns = [(("valence", f"{value}"),) if there else () for value, there in zip(truth, known, strict=True)]
    clips = [Utterance(Path(f"{i}.wav"), "own", f"{i % 5}", None, "sad", columns=c) for i, c in enumerate(columns)]
    units = np.clip(truth + rng.normal(0, 0.5, 60), 1, 5)
    estimates = np.stack([(units - 1) / 4, rng.random(60)], axis=1).astype(np.float32)
    found = summarize_continuous(estimates, clips, continuous_labels(["valence:1:5", "tempo"]))
    assert found.keys() == {"valence"}, "nothing is known of tempo"
    valence, x, y = found["valence"], units[known], truth[known]
    assert (valence["n_clips"], valence["low"], valence["high"]) == (known.sum(), 1, 5)
    assert valence["rmse"] == pytest.approx(np.sqrt(np.mean((x - y) ** 2)), abs=1e-5)
    assert valence["pearson"] == pytest.approx(pearsonr(x, y)[0], abs=1e-5)
    assert valence["ccc"] == pytest.approx(lin(x, y), abs=0.01)
    for name in ("rmse", "pearson", "ccc"):
        assert valence[f"{name}_ci95"][0] < valence[name] < valence[f"{name}_ci95"][1]
    constant = summarize_continuous(np.full((60, 1), 0.5), clips, continuous_labels(["valence:1:5"]))["valence"]
    assert constant["pearson"] is constant["ccc"] is None
    assert constant["rmse"] == pytest.approx(np.sqrt(np.mean((3 - y) ** 2)))
