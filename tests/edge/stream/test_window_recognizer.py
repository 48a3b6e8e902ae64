"""The stream of recomputed windows, with averages in place of a network: every decision from its own samples alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crnn.config import FeatureConfig
from crnn.errors import InputError
from crnn.whisper_features import WhisperLogMel, at_level
from edge.runtimes import Contract
from edge.stream.profile import Profile
from edge.stream.results import State
from edge.stream.window_recognizer import WindowRecognizer, window_geometry

FEATURES = FeatureConfig(8000, 400, 100, 8, 100.0, 3600.0, 1e-10)
GEOMETRY = window_geometry(FEATURES, 0.6, 0.2)
INTERVAL, WINDOW = 1600, 4800
LABELS = ("neutral", "happy", "angry")


class Encoder:
    """The mean of the frames, later ones weighing more: an answer depends on their order."""

    contract = Contract("log_mel", (1, 8, 48), "means", (1, 8))

    def run(self, x: np.ndarray) -> np.ndarray:
        assert (x.shape, x.dtype) == (self.contract.input_shape, np.float32)
        return (x * np.linspace(0.5, 1.5, 48, dtype=np.float32)).mean(axis=2)


class Head:
    """The logits are the first three values, the pooled vector is all of them."""

    contract = Contract("means", (1, 8), "logits_and_pooled", (1, 11))

    def run(self, x: np.ndarray) -> np.ndarray:
        assert (x.shape, x.dtype) == (self.contract.input_shape, np.float32)
        return np.concatenate([x[:, :3], x], axis=1)


def recognizer() -> WindowRecognizer:
    return WindowRecognizer(Encoder(), Head(), FEATURES, GEOMETRY, LABELS)


def sound(n_samples: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return ((0.1 + 0.1 * np.sin(np.arange(n_samples) / 900)) * rng.standard_normal(n_samples) + 0.05).astype(np.float32)


def expected(waveform: np.ndarray) -> list[tuple[float, np.ndarray | None]]:
    """(seconds, pooled) of every interval: windows cut from the clip, the last completed by its own sound."""
    n = max(-(-len(waveform) // INTERVAL), 3)
    found: list[tuple[float, np.ndarray | None]] = [(end * INTERVAL / 8000, None) for end in (1, 2)]
    for end in range(3, n + 1):
        window = waveform[max(0, (end - 3) * INTERVAL) : end * INTERVAL]
        whole = np.tile(window, -(-WINDOW // len(window)))[:WINDOW]
        found.append((end * INTERVAL / 8000, Encoder().run(WhisperLogMel(FEATURES)(at_level(whole))[None])[0]))
    return found


STREAM = recognizer()


@settings(max_examples=60)
@given(st.integers(1, 12000), st.lists(st.integers(1, 5000), min_size=1, max_size=8), st.integers(0, 99))
def test_any_chunking_gives_the_windows_of_the_whole_clip(n_samples, sizes, seed):
    waveform, results, at = sound(n_samples, seed), [], 0
    STREAM.reset()
    for size in [*sizes, n_samples]:
        results += STREAM.push(waveform[at : at + size])
        at += size
    results += STREAM.flush()
    for result, (seconds, pooled) in zip(results, expected(waveform), strict=True):
        assert result.seconds == pytest.approx(seconds)
        assert result.state is (State.WARMING_UP if pooled is None else State.DECIDING)
        if pooled is not None:
            np.testing.assert_array_equal(result.pooled, pooled)
            np.testing.assert_array_equal(result.logits, pooled[:3])
    STREAM.reset()
    in_one = STREAM.push(waveform) + STREAM.flush()
    decided = [r.logits for r in results if r.logits is not None]
    assert np.array_equal(decided, [r.logits for r in in_one if r.logits is not None])


def test_the_stream_has_the_interface_of_the_exact_one():
    stream = recognizer()
    assert (stream.pooled_width, stream.arousal, stream.labels) == (8, False, LABELS)
    assert stream.push(sound(INTERVAL - 1)) == []
    assert len(stream.push(sound(1))) == 1
    stream.reset()
    assert stream.flush() == []
    with pytest.raises(RuntimeError, match="reset"):
        stream.push(sound(10))
    stream.reset()
    weights = np.zeros((8, 3), np.float32)
    stream.profile = Profile("b", LABELS, {}, weights, np.array([0, 0, 7], np.float32))
    lifted = [r for r in stream.push(sound(WINDOW)) if r.logits is not None]
    np.testing.assert_allclose(lifted[0].logits - lifted[0].pooled[:3], [0, 0, 7], atol=1e-5)


@pytest.mark.parametrize(("window", "interval"), [(0.6, 0.25), (0.6, 0.205), (0.0, 0.2), (0.6, 0.0), (0.6, 1e-9)])
def test_windows_of_part_of_an_interval_are_refused(window, interval):
    with pytest.raises(InputError, match=str(interval)):
        window_geometry(FEATURES, window, interval)
