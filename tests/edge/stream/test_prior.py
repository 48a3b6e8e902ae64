"""The correction of the prior: bounded, of no order, nothing without utterances, and towards equal frequency."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from crnn.errors import InputError
from edge.stream.prior import PriorConfig, PriorCorrection

CLASSES = 4
configs = st.builds(PriorConfig, strength=st.floats(0, 1), cap=st.floats(0, 3), prior_utterances=st.floats(0.01, 100))
logits = arrays(np.float64, st.tuples(st.integers(0, 40), st.just(CLASSES)), elements=st.floats(-300, 300, width=32))


def softmax(values: np.ndarray) -> np.ndarray:
    weights = np.exp(values - values.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def bias(utterances: np.ndarray, config: PriorConfig | None = None) -> np.ndarray:
    made = PriorCorrection(CLASSES, config)
    for probs in utterances:
        made.count(probs)
    found = made.adaptation()
    assert found.utterances == len(utterances)
    return found.bias


@settings(max_examples=100, deadline=None)
@given(values=logits, config=configs)
def test_it_is_a_number_within_the_cap_whatever_was_said(values, config):
    found = bias(softmax(values), config)
    assert found.shape == (CLASSES,)
    assert np.isfinite(found).all()
    assert np.abs(found).max() <= config.cap


@settings(max_examples=100, deadline=None)
@given(values=logits, config=configs, seed=st.integers(0, 1000))
def test_the_order_of_the_past_does_not_matter(values, config, seed):
    shuffled = np.random.default_rng(seed).permutation(values)
    np.testing.assert_allclose(bias(softmax(values), config), bias(softmax(shuffled), config), atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(values=logits, config=configs)
def test_several_at_once_are_one_after_another(values, config):
    made = PriorCorrection(CLASSES, config)
    made.count(softmax(values))
    assert made.adaptation().utterances == len(values)
    np.testing.assert_allclose(made.adaptation().bias, bias(softmax(values), config), atol=1e-9)


@given(config=configs)
def test_without_utterances_nothing_changes(config):
    assert np.abs(bias(np.zeros((0, CLASSES)), config)).max() <= 1e-12


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 300), config=configs)
def test_an_emotion_that_is_never_answered_is_raised_by_the_cap_at_most(n, config):
    found = bias(np.tile([0.5, 0.5, 0, 0], (n, 1)), config)
    assert (found[2:] >= found[:2].max()).all()
    assert found[2:].max() <= config.cap


@settings(max_examples=50, deadline=None)
@given(values=logits.filter(lambda values: len(values) > 0))
def test_it_is_a_share_of_the_centred_logarithm_of_the_mean(values):
    """Bayes's rule, up to the cap: the mean includes ten utterances of equal probabilities."""
    rows = np.concatenate([softmax(values), np.full((10, CLASSES), 1 / CLASSES)])
    log_mean = np.log(rows.mean(axis=0))
    expected = np.clip(0.5 * (log_mean.mean() - log_mean), -1, 1)
    np.testing.assert_allclose(bias(softmax(values), PriorConfig(0.5, 1, 10)), expected, atol=1e-9)


def test_a_model_that_leans_one_way_is_straightened():
    """A bias of all logits, which is all that is wrong, is undone where strength and cap allow it."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, CLASSES, 600)
    right = 4 * np.eye(CLASSES)[truth] + rng.normal(0, 1, (600, CLASSES))
    leaning = right + [2, 0, 0, -1]
    corrected = leaning + bias(softmax(leaning[:300]), PriorConfig(1, 10, 1))
    correct = [(scores[300:].argmax(axis=1) == truth[300:]).mean() for scores in (right, leaning, corrected)]
    assert correct[1] < correct[2] <= correct[0] + 0.01


def test_it_forgets():
    made = PriorCorrection(CLASSES)
    made.count(np.array([1, 0, 0, 0]))
    assert made.adaptation().bias[0] < 0
    made.reset()
    found = made.adaptation()
    assert (found.utterances, np.abs(found.bias).max()) == (0, 0)


@pytest.mark.parametrize(
    "probs",
    [
        [np.nan, 0.5, 0.25, 0.25],
        [np.inf, 0, 0, 0],
        [0.5, 0.5, 0.5, -0.5],
        [0.5, 0.5],
        [1, 1, 1, 1],
        [[0.25] * 4, [0.5] * 4],
    ],
)
def test_what_is_no_probability_is_refused_and_changes_nothing(probs):
    made = PriorCorrection(CLASSES)
    with pytest.raises(ValueError, match="sum to 1"):
        made.count(np.array(probs))
    assert made.adaptation().utterances == 0
    assert not made.adaptation().bias.any()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("strength", -0.1), ("strength", 1.1), ("strength", np.nan), ("cap", -1), ("cap", np.nan), ("cap", np.inf),
        ("prior_utterances", 0), ("prior_utterances", np.inf), ("prior_utterances", np.nan),
    ],
)  # fmt: skip
def test_a_setting_outside_its_range_is_named(name, value):
    with pytest.raises(InputError, match=f"adaptation.{name} is {value}"):
        PriorConfig(**{name: value})
