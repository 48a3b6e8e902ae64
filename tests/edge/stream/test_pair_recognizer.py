"""Two models that answer together, whose windows differ in length."""

from dataclasses import replace

import numpy as np
import pytest
from small_stream import FEATURES, GEOMETRY, LABELS, small_recognizer

from edge.runtimes import Contract
from edge.stream.pair_recognizer import PairRecognizer, fills_window
from edge.stream.window_recognizer import WindowRecognizer, window_geometry

WINDOW = window_geometry(FEATURES, 0.6, 0.2)


class Encoder:
    contract = Contract("log_mel", (1, 8, 48), "means", (1, 8))

    def run(self, x: np.ndarray) -> np.ndarray:
        return x.mean(axis=2)


class Head:
    contract = Contract("means", (1, 8), "logits_and_pooled", (1, 11))

    def run(self, x: np.ndarray) -> np.ndarray:
        return np.concatenate([x[:, :3], x], axis=1)


def test_a_small_model_of_shorter_windows_answers_by_the_mean_of_all_that_a_window_has():
    """Its windows have 2,600 samples, a new one every 600; one of the larger model has 4,800, which five of them cover,
    the last completed by silence as in a clip."""
    rng = np.random.default_rng(0)
    sound = (np.linspace(0.02, 0.3, 4800) * rng.standard_normal(4800)).astype(np.float32)
    window = WindowRecognizer(Encoder(), Head(), FEATURES, WINDOW, LABELS)
    pair = PairRecognizer(window, small_recognizer(arousal=True))
    (answer,) = [result for result in pair.push(sound) if result.logits is not None]

    small = small_recognizer(arousal=True)
    decided = [result for result in small.push(sound) + small.flush() if result.logits is not None]
    assert [round(result.seconds * 8000) for result in decided] == [2600, 3200, 3800, 4400, 5000]
    parts = (window.push(sound)[-1].logits, np.mean([result.logits for result in decided], axis=0))
    probs = [np.exp(part) / np.exp(part).sum() for part in parts]
    np.testing.assert_allclose(answer.logits, np.log(probs[0] * probs[1]) / 2, atol=1e-5)
    assert answer.arousal == pytest.approx(np.mean([result.arousal for result in decided]), abs=1e-6)
    assert np.ptp([result.logits for result in decided], axis=0).max() > 0.01, "one of them alone would differ"


@pytest.mark.parametrize(("window_intervals", "filled"), [(1, True), (4, True), (8, True), (9, False)])
def test_windows_of_the_small_model_are_filled_but_for_less_than_an_interval(window_intervals, filled):
    small = replace(GEOMETRY, window_intervals=window_intervals)
    assert small.sound_samples == 2600 + 600 * (window_intervals - 4)
    assert fills_window(small, WINDOW) is filled
