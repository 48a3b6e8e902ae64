"""A profile: no evidence changes nothing, more evidence or a weaker prior changes more, nobody is made another person,
and a file that is damaged or made for another bundle is refused by name."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crnn.errors import InputError
from edge.enroll.fit import Strength, make_profile
from edge.export.speaker_stats import describe
from edge.stream.profile import Profile, Speakers, load_profile, load_speakers, save_speakers

LABELS = ("neutral", "happy", "sad", "angry")
WIDTH = 6
BUNDLE = "a" * 64


def population(rng: np.random.Generator, n_speakers: int, spread: float, n: int = 6) -> tuple[np.ndarray, ...]:
    """Speakers whose emotions lie at their own places, `spread` from everyone's: pooled, class and speaker per clip."""
    means = np.random.default_rng(7).normal(size=(len(LABELS), WIDTH))
    own = spread * rng.normal(size=(n_speakers, len(LABELS), WIDTH))
    speaker, truth, _ = (grid.ravel() for grid in np.mgrid[:n_speakers, : len(LABELS), :n])
    return means[truth] + own[speaker, truth] + 0.4 * rng.normal(size=(len(truth), WIDTH)), truth, speaker


def classifier(pooled: np.ndarray) -> np.ndarray:
    """Logits of the classifier that knows the means: 2 x . mean - |mean|^2."""
    means = np.random.default_rng(7).normal(size=(len(LABELS), WIDTH))
    return pooled @ (2 * means.T) - np.square(means).sum(axis=1)


@pytest.fixture(scope="module")
def speakers() -> Speakers:
    pooled, truth, speaker = population(np.random.default_rng(0), 20, 0.2)
    return describe(classifier(pooled), pooled, truth, speaker, LABELS)


def enrolled(speakers, pooled, emotions, strength=None, logits=None) -> Profile:
    logits = classifier(pooled) if logits is None else logits
    return make_profile(BUNDLE, LABELS, speakers, logits, pooled, emotions, strength)


def one_of_each(n: int = 1, seed: int = 1) -> tuple[np.ndarray, list[str]]:
    pooled, truth, _ = population(np.random.default_rng(seed), 1, 0.5, n)
    return pooled, [LABELS[c] for c in truth]


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_neutral_sentences_like_everyones_change_nothing(speakers, n, seed):
    """The mean is the training speakers', whatever the sentences: no evidence of a false alarm."""
    rng = np.random.default_rng(seed)
    scatter = rng.normal(size=(n, len(LABELS)))
    logits = speakers.neutral_mean + scatter - scatter.mean(axis=0) + rng.normal()  # as sure as you like, of all alike
    profile = enrolled(speakers, rng.normal(size=(n, WIDTH)), ["neutral"] * n, logits=logits)
    assert not profile.weights.any()
    assert not profile.bias.any()


def test_sentences_already_certain_and_right_change_nothing(speakers):
    pooled, emotions = one_of_each(2)
    certain = 80.0 * np.eye(len(LABELS))[[LABELS.index(e) for e in emotions]]
    profile = enrolled(speakers, pooled, emotions, logits=certain)
    other = population(np.random.default_rng(3), 2, 0.5)[0]
    assert np.abs(profile.adapt(np.zeros((len(other), len(LABELS))), other)).max() < 1e-5


@settings(deadline=None)
@given(st.floats(0, 30), st.floats(0, 30), st.integers(1, 8))
def test_a_false_alarm_is_lowered_the_more_the_higher_it_is_and_nothing_is_raised(speakers, low, high, n):
    low, high = sorted((low, high))
    made = []
    for excess in (low, high):
        logits = np.tile(speakers.neutral_mean, (n, 1)).astype(np.float64)
        logits[:, LABELS.index("angry")] += excess
        made.append(enrolled(speakers, np.zeros((n, WIDTH)), ["neutral"] * n, logits=logits).bias)
    assert (made[0] <= 0).all()
    assert (made[1] <= made[0] + 1e-6).all()
    assert -made[1][LABELS.index("angry")] <= high + 1e-5, "never by more than was too high"
    assert made[1][LABELS.index("neutral")] == 0


@settings(deadline=None)
@given(st.integers(1, 20), st.floats(0.5, 5))
def test_more_neutral_sentences_of_the_same_correct_more(speakers, n, excess):
    def lowered(n: int) -> float:
        logits = np.tile(speakers.neutral_mean, (n, 1)).astype(np.float64)
        logits[:, 3] += excess
        return -float(enrolled(speakers, np.zeros((n, WIDTH)), ["neutral"] * n, logits=logits).bias[3])

    assert lowered(n) <= lowered(n + 1) + 1e-6
    assert lowered(10_000) <= excess


@settings(deadline=None)
@given(st.integers(0, 1000), st.floats(0.01, 100), st.floats(1.01, 100))
def test_a_stronger_prior_changes_less(speakers, seed, weak, times):
    pooled, emotions = one_of_each(2, seed)

    def size(strength: float) -> float:
        profile = enrolled(speakers, pooled, emotions, Strength(strength, strength))
        unwhitened = np.linalg.solve(speakers.whiten, profile.weights)
        bias = profile.bias + speakers.center @ profile.weights
        return float(np.square(unwhitened).sum() + np.square(bias).sum())

    assert size(weak * times) <= size(weak) * (1 + 1e-3)
    assert size(1e9) < 1e-6


def test_the_regression_is_at_its_minimum(speakers):
    """The objective of the docstring, written down once more, has no downhill direction at the solution."""
    pooled, emotions = one_of_each(3)
    truth = np.array([LABELS.index(e) for e in emotions])
    strength = Strength()
    logits = classifier(pooled)
    z = (pooled - speakers.center) @ speakers.whiten

    def loss(v: np.ndarray, c: np.ndarray) -> float:
        scores = logits + z @ v + c
        log_sum = np.log(np.exp(scores - scores.max(axis=1, keepdims=True)).sum(axis=1)) + scores.max(axis=1)
        entropy = (log_sum - scores[np.arange(len(truth)), truth]).sum()
        return entropy + (strength.weights * np.square(v).sum() + strength.bias * np.square(c).sum()) / 2

    profile = enrolled(speakers, pooled, emotions, strength)
    v = np.linalg.solve(speakers.whiten.astype(np.float64), profile.weights.astype(np.float64))
    c = profile.bias + speakers.center @ profile.weights
    best = loss(v, c)
    rng = np.random.default_rng(0)
    for _ in range(50):
        dv, dc = 1e-2 * rng.normal(size=v.shape), 1e-2 * rng.normal(size=c.shape)
        assert loss(v + dv, c + dc) > best
    assert best < loss(0 * v, 0 * c)


def test_each_emotion_counts_alike_however_often_it_was_said(speakers):
    """Sentences that say nothing, but that anger is said ten times as often, make nobody angrier."""
    emotions = [*LABELS, *9 * ["angry"]]
    pooled = np.tile(speakers.center, (len(emotions), 1)) + 0.0
    profile = enrolled(speakers, pooled, emotions, logits=np.zeros((len(emotions), len(LABELS))))
    assert np.abs(profile.weights).max() < 1e-6
    assert np.abs(profile.bias).max() < 1e-6


def test_unusual_speakers_gain_and_ordinary_ones_do_not_lose(speakers):
    """The worst case of 12 speakers: not made worse by more than chance on a hundred clips."""
    for spread, least in ((0.2, -0.01), (1.2, 0.1)):
        gains = []
        for seed in range(12):
            pooled, truth, _ = population(np.random.default_rng(100 + seed), 1, spread, 30)
            rng = np.random.default_rng(seed)
            gain = []
            for _ in range(10):
                rows = np.concatenate([rng.choice(np.flatnonzero(truth == c), 3, replace=False) for c in range(4)])
                rest = np.setdiff1d(np.arange(len(truth)), rows)
                profile = enrolled(speakers, pooled[rows], [LABELS[c] for c in truth[rows]])
                logits = classifier(pooled[rest])
                adapted = profile.adapt(logits, pooled[rest])
                right = [(made.argmax(axis=1) == truth[rest]).mean() for made in (logits, adapted)]
                gain.append(right[1] - right[0])
            gains.append(np.mean(gain))
        assert min(gains) > -0.02, gains
        assert np.mean(gains) > least, gains


@pytest.mark.parametrize(
    ("emotions", "part"),
    [
        (["neutral", "happy"], " sad, angry\\b.*neutral alone"),
        (["happy"] * 2, " neutral, sad, angry\\b"),
        (["neutral", "glad"], "glad.* neutral, happy, sad, angry"),
    ],
)
def test_emotions_that_would_be_unlearned_are_refused(speakers, emotions, part):
    with pytest.raises(InputError, match=part):
        enrolled(speakers, np.zeros((len(emotions), WIDTH)), emotions)


def test_sentences_that_are_no_numbers_are_refused(speakers):
    pooled, emotions = one_of_each()
    pooled[0, 0] = np.nan
    with pytest.raises(InputError, match="NaN"):
        enrolled(speakers, pooled, emotions)


@pytest.fixture
def saved(speakers, tmp_path):
    profile = enrolled(speakers, *one_of_each(2))
    profile.save(tmp_path / "me.json")
    return profile, tmp_path / "me.json"


def test_a_profile_is_read_back_as_it_was_and_holds_no_audio(saved):
    profile, path = saved
    again = load_profile(path, BUNDLE, LABELS, WIDTH)
    assert np.array_equal(again.weights, profile.weights)
    assert np.array_equal(again.bias, profile.bias)
    assert again.weights.dtype == again.bias.dtype == np.float32
    assert again.sentences == {name: 2 for name in LABELS}
    assert [p.name for p in path.parent.iterdir()] == ["me.json"], "nothing half-written is left"
    assert set(json.loads(path.read_text())) == {"schema", "bundle", "labels", "sentences", "weights", "bias"}


@settings(deadline=None)
@given(st.data())
def test_a_cut_or_changed_file_is_refused_or_read_as_finite_numbers(speakers, tmp_path_factory, data):
    path = tmp_path_factory.mktemp("p") / "me.json"
    enrolled(speakers, *one_of_each()).save(path)
    good = path.read_bytes()
    at = data.draw(st.integers(0, len(good) - 1))
    cut = data.draw(st.booleans())
    path.write_bytes(good[:at] if cut else good[:at] + bytes([data.draw(st.integers(0, 255))]) + good[at + 1 :])
    try:
        profile = load_profile(path, BUNDLE, LABELS, WIDTH)
    except InputError as error:
        assert "me.json" in str(error)
    else:
        assert np.isfinite(profile.weights).all()
        assert np.isfinite(profile.bias).all()


def test_training_speakers_are_described_by_their_own_moments():
    rng = np.random.default_rng(0)
    pooled, truth, speaker = population(rng, 200, 0.3, 10)
    logits = classifier(pooled)
    made = describe(logits, pooled, truth, speaker, LABELS)
    made.check("here", WIDTH, len(LABELS))
    z = (pooled - made.center) @ made.whiten
    assert np.square(z).sum(axis=1).mean() == pytest.approx(1, rel=1e-4)
    within = np.concatenate([z[(truth == c) & (speaker == s)] for c in range(4) for s in range(200)])
    means = np.stack([z[(truth == c) & (speaker == s)].mean(axis=0) for c in range(4) for s in range(200)])
    around = within - np.repeat(means, 10, axis=0)
    covariance = around.T @ around
    assert np.abs(covariance / np.trace(covariance) * WIDTH - np.eye(WIDTH)).max() < 0.05, "alike in every direction"
    of_weights = 2 * np.random.default_rng(7).normal(size=(len(LABELS), WIDTH))
    assert made.neutral_within == pytest.approx(0.16 * np.square(of_weights).sum(axis=1), rel=0.1)
    assert made.neutral_between == pytest.approx(0.09 * np.square(of_weights).sum(axis=1), rel=0.3)
    assert made.neutral_mean == pytest.approx(logits[truth == 0].mean(axis=0), abs=1e-4)


@pytest.mark.parametrize("labels", [LABELS, ("calm", "happy", "sad", "angry")])
def test_one_clip_of_each_or_no_neutral_at_all_is_still_described(labels):
    pooled, truth, speaker = population(np.random.default_rng(0), 3, 0.2, 1)
    describe(classifier(pooled), pooled, truth, speaker, labels).check("here", WIDTH, len(LABELS))
    lone = speaker == 0
    describe(classifier(pooled)[lone], pooled[lone], truth[lone], speaker[lone], labels).check("here", WIDTH, 4)


def test_a_description_is_stored_in_few_bytes_and_read_back(speakers, tmp_path):
    """Also where all of `whiten` is in the file, and in float32, as bundles had it at first."""
    save_speakers(speakers, tmp_path / "small.npz")
    np.savez_compressed(tmp_path / "full.npz", **vars(speakers))
    for name, tolerance in (("small", 5e-4), ("full", 0)):
        read = load_speakers(tmp_path / f"{name}.npz", WIDTH, len(LABELS))
        assert np.allclose(read.whiten, speakers.whiten, rtol=tolerance, atol=tolerance * np.abs(speakers.whiten).max())
        assert np.array_equal(read.whiten, read.whiten.T)
        for key in ("center", "neutral_mean", "neutral_between", "neutral_within"):
            assert np.array_equal(getattr(read, key), getattr(speakers, key))
    wide = replace(speakers, whiten=np.random.default_rng(0).normal(size=(96, 96)).astype(np.float32))
    save_speakers(wide, tmp_path / "wide.npz")
    assert (tmp_path / "wide.npz").stat().st_size < 96 * 96 * 4 / 3
