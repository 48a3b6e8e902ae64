"""From logits to an answer: an exact softmax at a temperature, the threshold of "uncertain", the mean of decisions."""

import math

import numpy as np
import pytest

from crnn.errors import InputError
from edge.stream.decision import DecisionConfig, decide, decide_mean, probabilities

LABELS = ("neutral", "happy", "angry")


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_probabilities_are_the_softmax_of_each_row_at_the_temperature(temperature):
    logits = np.float32([[[1.0, 2.0, 4.0], [0.0, -3.0, 7.0]], [[5.0, 5.0, 5.0], [-1.0, 0.5, 0.25]]])
    made = probabilities(logits, temperature)
    assert made.dtype == np.float32 and made.shape == logits.shape
    for row, expected in zip(made.reshape(-1, 3), logits.reshape(-1, 3), strict=True):
        weights = [math.exp(float(value) / temperature) for value in expected]
        assert row.tolist() == pytest.approx([weight / sum(weights) for weight in weights], rel=1e-6)


def test_no_logit_is_too_large_at_the_lowest_temperature():
    with np.errstate(all="raise", under="ignore"):
        made = probabilities(np.float32([[3e5, -3e5, 0.0], [1.0, 1.0, -3e5]]), 1e-3)
    assert made.tolist() == [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]]


def test_at_the_threshold_the_emotion_is_named_and_below_it_is_not():
    probs = np.float32([0.25, 0.5, 0.25])
    assert decide(probs, LABELS, DecisionConfig(1.0, 0.5)) == ("happy", 0.5)
    assert decide(probs, LABELS, DecisionConfig(1.0, 0.5001)) == ("uncertain", 0.5)
    assert decide(probs[::-1] + np.float32([0.5, 0, 0]), LABELS, DecisionConfig()) == ("neutral", 0.75)


def test_the_mean_over_decisions_is_taken_of_logits_not_of_probabilities():
    logits = np.float64([[4.0, 0.0, 0.0], [-1.0, 1.5, 0.0], [0.0, 1.5, 0.0]])
    config = DecisionConfig(2.0, 0.4)
    emotion, confidence, probs = decide_mean(logits.sum(axis=0), 3, LABELS, config)
    expected = probabilities(np.float64([1.0, 1.0, 0.0]), 2.0)
    assert probs == pytest.approx(dict(zip(LABELS, expected.tolist(), strict=True)))
    assert list(probs) == list(LABELS) and all(type(value) is float for value in probs.values())
    assert (emotion, confidence) == ("uncertain", max(probs.values()))
    assert decide_mean(logits.sum(axis=0), 3, LABELS, DecisionConfig(2.0, 0.3))[0] == "neutral"
    with pytest.raises(ValueError, match="longer"):
        decide_mean(logits.sum(axis=0), 3, LABELS[:2], config)


@pytest.mark.parametrize("values", [(1e-3, 0.0), (1e3, 0.0), (1.0, 0.9999)])
def test_settings_at_their_limits_are_taken(values):
    config = DecisionConfig(*values)
    assert (config.temperature, config.min_confidence) == values


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"temperature": 0.00099}, r"decision\.temperature .*0\.00099.* 0\.001 to 1000\.0$"),
        ({"temperature": 1000.1}, r"decision\.temperature .*1000\.1"),
        ({"temperature": math.nan}, r"decision\.temperature .*nan"),
        ({"min_confidence": -0.01}, r"decision\.min_confidence .*-0\.01"),
        ({"min_confidence": 1.0}, r"decision\.min_confidence .*1\.0.* 0 to 1$"),
    ],
)
def test_settings_beyond_their_limits_are_refused_with_the_value(values, part):
    with pytest.raises(InputError, match=part):
        DecisionConfig(**values)
