"""The measure of adaptation without labels: fair streams, known gains, chance, and the settings that ship."""

import numpy as np
import pytest
from helpers import ROOT

from benchmarks.adaptation import adapters, label_free
from benchmarks.adaptation.label_free import AFTER, Clips, adapted, chosen, figures, streams
from benchmarks.harness import recipes
from benchmarks.harness.results import rows_of
from edge.stream.decision import probabilities
from edge.stream.prior import PriorConfig

LABELS = ("neutral", "happy", "angry")
CLIPS = 30
"""Of a speaker"""


def corpus(lean: float, speakers: int = 6, noise: float = 2.0) -> Clips:
    """Speakers on whose voice every logit of one emotion is too high by `lean`."""
    rng = np.random.default_rng(0)
    truth = np.tile(np.repeat(np.arange(3), CLIPS // 3), speakers)
    voices = np.repeat([f"speaker{n}" for n in range(speakers)], CLIPS)
    leaning = np.repeat(np.eye(3)[np.arange(speakers) % 3], CLIPS, axis=0)
    pooled = 3 * np.eye(3)[truth] + lean * leaning + rng.normal(0, noise, (len(truth), 3))
    return Clips("made", "0", LABELS, np.eye(3), adapters.Outputs(pooled, pooled), truth, voices)


@pytest.fixture(scope="module")
def leaning() -> Clips:
    return corpus(3.0, noise=1.0)


@pytest.mark.parametrize("frequent", [None, "angry"])
def test_a_repetition_tests_every_clip_once_and_never_what_it_adapted_to(leaning, frequent):
    for pair in streams(leaning, "speaker1", frequent, 20):
        mine = np.flatnonzero(leaning.voices == "speaker1")
        assert sorted(np.concatenate([stream.tested for stream in pair])) == mine.tolist()
        for stream in pair:
            assert len(stream.past) == AFTER[-1]
            assert not {*stream.past} & {*stream.tested}
            assert {*stream.past} <= {*mine}
            assert np.bincount(leaning.truth[stream.tested]).min() >= CLIPS // 6


@pytest.mark.parametrize(("frequent", "shares"), [(None, [1 / 3, 1 / 3, 1 / 3]), ("angry", [0.2, 0.2, 0.6])])
def test_a_stream_has_its_shares_of_emotions(leaning, frequent, shares):
    drawn = [stream.past for pair in streams(leaning, "speaker0", frequent, 40) for stream in pair]
    found = np.bincount(leaning.truth[np.concatenate(drawn)]) / (len(drawn) * AFTER[-1])
    assert found == pytest.approx(shares, abs=0.03)


def test_gains_are_those_of_the_uar(leaning):
    """Of a method that is known to give one answer: the UAR is then one of three."""
    label_free.METHODS["one answer"] = (lambda classifier, past, clips: np.tile([1, 0, 0], (len(clips.logits), 1)), [])
    try:
        speakers = adapted(leaning, "one answer", {}, None, 50, 2)
    finally:
        del label_free.METHODS["one answer"]
    for speaker in speakers:
        mine = leaning.voices == speaker.voice
        right = leaning.outputs.logits[mine].argmax(axis=1) == leaning.truth[mine]
        uar = np.mean([right[leaning.truth[mine] == emotion].mean() for emotion in range(3)])
        assert speaker.gain == pytest.approx(1 / 3 - uar)
        assert speaker.standard_error == pytest.approx(0)


def test_the_prior_helps_voices_on_which_the_model_leans(leaning):
    settings = {"strength": 1.0, "cap": 3.0, "prior_utterances": 1.0}
    found = figures(adapted(leaning, "prior", settings, None, 50, 4))
    assert found["gain"] > 0.1
    assert found["gain_ci95"][0] > 0
    assert (found["losing"], found["n_speakers"], found["n_clips"]) == (0, 6, 180)


def test_chance_loses_what_changes_without_a_cause():
    """A method that throws dice: nobody truly gains, and the worst speaker is no worse than chance has it."""
    clips = corpus(0.0, speakers=20)
    dice = np.random.default_rng(1)
    label_free.METHODS["dice"] = (lambda classifier, past, clips: clips.logits + dice.normal(0, 1, 3), [])
    try:
        found = figures(adapted(clips, "dice", {}, None, 50, 6))
    finally:
        del label_free.METHODS["dice"]
    assert found["worst_of_all_by_chance"] <= found["worst_by_chance"] < 0
    assert found["losing_by_chance"] > 0
    nothing = figures(adapted(clips, "prior", {"strength": 0.0, "cap": 1.0, "prior_utterances": 10.0}, None, 50, 2))
    assert [nothing[name] for name in ("gain", "worst_gain", "worst_of_all_by_chance", "losing")] == [0, 0, 0, 0]


def test_the_largest_gain_is_chosen_among_what_harms_few():
    rows = [{"gain": 0.05, "losing": 0.2}, {"gain": 0.02, "losing": 0.05}, {"gain": 0.01, "losing": 0.0}]
    assert chosen(rows) == rows[1]
    assert chosen([{"gain": 0.05, "losing": 0.2}, {"gain": 0.01, "losing": 0.1}])["losing"] == 0.1


def test_what_ships_was_chosen_on_development_speakers():
    """Of all methods, and of all settings of it."""
    dev = rows_of(ROOT / label_free.RESULTS, set="dev", recipe=recipes.BEFORE)
    best = chosen(dev)
    assert (best["method"], best["settings"]) == ("prior", vars(PriorConfig()))


def test_t3a_is_that_of_the_paper(leaning):
    """One utterance after another, each class's supports sorted by entropy and cut."""
    weights = np.array([[1.0, 0.2, 0.0], [0.0, 1.0, 0.3], [0.1, 0.0, 1.0]])
    past, clips = (adapters.Outputs(*(values[at] for values in leaning.outputs)) for at in (slice(40), slice(40, 60)))
    supports = [[(-1.0, row / np.linalg.norm(row))] for row in weights]
    for logits, pooled in zip(*past, strict=True):
        probs = probabilities(logits, 1.0)
        of_class = supports[int(logits.argmax())]
        of_class.append((float(-(probs * np.log(np.maximum(probs, 1e-12))).sum()), pooled / np.linalg.norm(pooled)))
        of_class.sort(key=lambda support: support[0])
        del of_class[4:]
    templates = [np.mean([vector for _, vector in of_class], axis=0) for of_class in supports]
    expected = np.stack([clips.pooled @ (t / np.linalg.norm(t)) for t in templates], axis=1)
    np.testing.assert_allclose(adapters.t3a(weights, past, clips, most=3), expected, atol=1e-6)


@pytest.mark.parametrize("method", label_free.METHODS)
def test_every_method_gives_numbers_with_every_setting(leaning, method):
    adapter, tried = label_free.METHODS[method]
    past, clips = (adapters.Outputs(*(values[at] for values in leaning.outputs)) for at in (slice(1), slice(1, 9)))
    for settings in tried:
        found = adapter(leaning.classifier, past, clips, **settings)
        assert found.shape == (8, 3)
        assert np.isfinite(found).all()
