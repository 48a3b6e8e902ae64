"""The live label: calm, but never stubborn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from crnn.errors import InputError
from edge.stream.decision import UNCERTAIN, DecisionConfig, decide, probabilities
from edge.stream.live_label import LiveLabel, SmoothingConfig

LABELS = ("neutral", "happy", "sad", "angry")
INTERVAL = 0.25
configs = st.builds(SmoothingConfig, half_life_seconds=st.floats(0, 3), margin=st.floats(0, 0.5))


def logits(n_classes: int):
    return arrays(np.float32, st.tuples(st.integers(1, 60), st.just(n_classes)), elements=st.floats(-8, 8, width=16))


def shown(labels, values, config, decision=None) -> list[str]:
    live = LiveLabel(labels, decision or DecisionConfig(), INTERVAL, config)
    return [live.update(row)[1] for row in values]


def changes(values: list) -> int:
    return sum(a != b for a, b in zip(values, values[1:], strict=False))


@settings(max_examples=100, deadline=None)
@given(values=logits(2), config=configs)
def test_of_two_emotions_it_changes_at_most_as_often_as_the_raw_label(values, config):
    raw = [LABELS[int(row.argmax())] for row in values if row[0] != row[1]]
    calm = shown(LABELS[:2], [row for row in values if row[0] != row[1]], config)
    assert changes(calm) <= changes(raw)


@settings(max_examples=100, deadline=None)
@given(values=logits(4), config=configs, top=st.integers(0, 3))
def test_where_the_raw_label_stands_still_so_does_it(values, config, top):
    values = values.copy()
    values[:, top] = values.max(axis=1) + 0.1
    assert set(shown(LABELS, values, config)) == {LABELS[top]}


@settings(max_examples=100, deadline=None)
@given(values=logits(4), config=configs)
def test_a_new_emotion_leads_the_old_one_by_the_margin(values, config):
    live = LiveLabel(LABELS, DecisionConfig(), INTERVAL, config)
    before = None
    for row in values:
        probs, emotion, confidence = live.update(row)
        assert probs.sum() == pytest.approx(1, abs=1e-5)
        assert confidence == probs[LABELS.index(emotion)]
        if before not in (None, emotion):
            assert confidence - probs[LABELS.index(before)] > config.margin
        before = emotion


@settings(max_examples=50, deadline=None)
@given(values=logits(4), config=configs, top=st.integers(0, 3))
def test_a_clear_change_arrives(values, config, top):
    """What went before is forgotten after some half-lives, whatever it was."""
    clear = np.full((200, 4), -4.0, np.float32)
    clear[:, top] = 4.0
    assert shown(LABELS, np.concatenate([values, clear]), config)[-1] == LABELS[top]


@settings(max_examples=100, deadline=None)
@given(values=logits(4), threshold=st.floats(0, 0.9), temperature=st.floats(0.3, 3))
def test_switched_off_it_is_the_decision_itself(values, threshold, temperature):
    decision = DecisionConfig(temperature, threshold)
    live = LiveLabel(LABELS, decision, INTERVAL, SmoothingConfig(0.0, 0.0))
    for row in values:
        probs, emotion, confidence = live.update(row)
        assert np.allclose(probs, probabilities(row, temperature), atol=1e-6)
        assert probs.sum() == pytest.approx(1, abs=1e-5)
        if np.sort(probs)[-1] - np.sort(probs)[-2] > 1e-5 and abs(probs.max() - threshold) > 1e-5:
            assert (emotion, confidence) == decide(probs, LABELS, decision)


def test_uncertain_comes_and_goes_with_a_margin():
    def row(probability: float) -> np.ndarray:
        return np.log(np.float32([probability, 1 - probability]))

    live = LiveLabel(("a", "b"), DecisionConfig(1.0, 0.7), INTERVAL, SmoothingConfig(0.0, 0.1))
    shown_labels = [live.update(row(p))[1] for p in (0.65, 0.72, 0.65, 0.64, 0.61, 0.65, 0.71)]
    assert shown_labels == [UNCERTAIN, "a", "a", "a", UNCERTAIN, UNCERTAIN, "a"]


def test_reset_forgets():
    values = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    live = LiveLabel(LABELS, DecisionConfig(), INTERVAL, SmoothingConfig())
    first = [live.update(row) for row in values]
    live.reset()
    for (probs, *shown_labels), row in zip(first, values, strict=True):
        again, *same = live.update(row)
        assert np.array_equal(probs, again)
        assert shown_labels == same


@pytest.mark.parametrize(("half_life", "share"), [(0.25, 0.5), (0.5, 2**-0.5), (0.125, 0.25), (0.0, 0.0)])
def test_a_decision_has_half_its_weight_after_the_half_life(half_life, share):
    """The first decision is taken as it is; later ones count 1 - share, and what was before them share."""
    decision = DecisionConfig(temperature=2.0)
    live = LiveLabel(LABELS, decision, INTERVAL, SmoothingConfig(half_life, 0.0))
    values = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
    smooth = None
    for row in values.astype(np.float64):
        smooth = row if smooth is None else share * smooth + (1 - share) * row
        probs, emotion, confidence = live.update(row.astype(np.float32))
        np.testing.assert_allclose(probs, probabilities(smooth, 2.0), rtol=1e-5)
        assert (emotion, confidence) == (LABELS[int(smooth.argmax())], probs.max())


def test_an_emotion_that_only_draws_level_is_not_shown():
    live = LiveLabel(LABELS, DecisionConfig(), INTERVAL, SmoothingConfig(0.0, 0.0))
    rows = np.float32([[0, 2, 1, 0], [2, 2, 1, 0], [2, 1.75, 1, 0]])
    assert [live.update(row)[1] for row in rows] == ["happy", "happy", "neutral"]


def test_at_the_threshold_it_is_sure_and_a_new_utterance_must_reach_it_again():
    live = LiveLabel(("a", "b"), DecisionConfig(1.0, 0.5), INTERVAL, SmoothingConfig(0.0, 0.5))
    level, below = np.float32([0, 0]), np.float32([-0.5, 0])
    assert live.update(below)[1] == "b"
    live.reset()
    assert live.update(level)[1] == "a", "0.5 is not below 0.5"
    assert live.update(below)[1:] == ("a", pytest.approx(0.378, abs=1e-3)), "above half of the threshold"
    strict = LiveLabel(("a", "b"), DecisionConfig(1.0, 0.7), INTERVAL, SmoothingConfig(0.0, 0.5))
    assert [strict.update(np.float32(row))[1] for row in ([2, 0], [0.5, 0])] == ["a", "a"]
    strict.reset()
    assert strict.update(np.float32([0.5, 0]))[1] == UNCERTAIN


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ((-0.01, 0.2), r"smoothing\.half_life_seconds .*-0\.01.* 0 s "),
        ((0.25, -0.01), r"smoothing\.margin .*-0\.01.* 0 <= margin < 1$"),
        ((0.25, 1.0), r"smoothing\.margin .*1\.0"),
    ],
)
def test_settings_beyond_their_limits_are_refused_with_the_value(settings, part):
    SmoothingConfig(0.0, 0.0), SmoothingConfig(1e6, 0.999)
    with pytest.raises(InputError, match=part):
        SmoothingConfig(*settings)
